"""Child processes that are kept running, and that end with their parent.

Each runs ``python -m cube.process.supervisor MODULE …``, which runs that module and watches the parent:
standard input is a pipe whose other end only the parent holds and never writes to. However the parent ends,
SIGKILL included, the kernel closes that end; then the child stops as by SIGTERM.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import runpy
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from cube.backoff import Backoff
from cube.errors import CubeError
from cube.launch import import_own

RESTARTS = Backoff(0.1, longest=10.0)
STEADY_SECONDS = 30.0
"""A child that lived so long is restarted as after its first death."""
KILL_SECONDS = 60.0
"""How long a child may take to stop before it is killed; above the default of ``stop_seconds``."""

_LOOK_SECONDS = 0.02
_STANDARD_INPUT = 0


class FailedStart(CubeError):
    """A child ended before it was ready; it has said why on standard error."""

    def __init__(self, name: str, status: int) -> None:
        super().__init__(f"The {name} did not start.", status=status)
        self.status = status


@dataclass(frozen=True, slots=True)
class Program:
    """What to run: a Python module with flags.

    ``ports``: for each address of its ready file, the flag that fixes its port, so that a child
    that is started again listens where the first one did.
    """

    name: str
    module: str
    flags: tuple[str, ...]
    ports: Mapping[str, str]

    def at(self, addresses: Mapping[str, str]) -> Program:
        """Return the program with its ports fixed to those of a ready file."""
        fixed = [
            word
            for key, flag in self.ports.items()
            if key in addresses
            for word in (flag, addresses[key].rpartition(":")[2])
        ]
        return replace(self, flags=(*self.flags, *fixed))


class Child:
    """Runs a `Program`, again and again, until it is stopped.

    ``directory`` is for the ready file that the program writes. ``say`` is told what becomes of it.
    """

    def __init__(
        self, program: Program, directory: Path, say: Callable[[str], None], kill_seconds: float
    ) -> None:
        self._program = program
        self._say = say
        self._kill_seconds = kill_seconds
        self._ready_file = directory / f"{program.name}.json"
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = False

    async def start(self) -> dict[str, str]:
        """Start the program and return its addresses once it listens.

        Raises `FailedStart` if it ends before: it refused its settings or its store.
        """
        process = await self._spawn()
        while not self._ready_file.exists():
            if process.returncode is not None:
                raise FailedStart(self._program.name, process.returncode)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS):
                    await process.wait()
        addresses: dict[str, str] = json.loads(self._ready_file.read_text())
        self._program = self._program.at(addresses)
        return addresses

    async def keep(self) -> None:
        """Start the program again whenever it ends, after a pause that doubles; return when stopped."""
        clock = asyncio.get_running_loop().time
        deaths, began = 0, clock()
        while self._process is not None:
            status = await self._process.wait()
            if self._stopping:
                return
            if clock() - began > STEADY_SECONDS:
                deaths = 0
            pause = RESTARTS.pause(deaths)
            reason = f"exit status {status}" if status >= 0 else signal.Signals(-status).name
            self._say(f"The {self._program.name} ended ({reason}); it is started again in {pause:g} s.")
            await asyncio.sleep(pause)
            deaths, began = deaths + 1, clock()
            await self._spawn()

    async def stop(self) -> None:
        """Ask the program to finish, wait for it, and kill it if it does not."""
        self._stopping = True
        process = self._process
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(self._kill_seconds):
                await process.wait()
        except TimeoutError:
            self._say(f"The {self._program.name} does not stop; it is killed.")
            process.kill()
            await process.wait()

    async def _spawn(self) -> asyncio.subprocess.Process:
        self._ready_file.unlink(missing_ok=True)
        # -P: no package of the working directory may stand in for ours.
        python = (sys.executable, "-P", "-m", "cube.process.supervisor", self._program.module)
        self._process = await asyncio.create_subprocess_exec(
            *(*python, *self._program.flags, "--ready-file", str(self._ready_file)),
            stdin=asyncio.subprocess.PIPE,  # never written: see above
            start_new_session=True,  # Ctrl-C is for us alone; we tell the children
        )
        return self._process


class Supervisor:
    """Runs programs as child processes, each a `Child`; after its ``async with`` all of them have ended.

    ``say`` is told what becomes of them. ``kill_seconds``: how long each may take to stop. ``directory``: of
    their ready files, there while the block runs.
    """

    def __init__(self, say: Callable[[str], None], kill_seconds: float = KILL_SECONDS) -> None:
        self._say = say
        self._kill_seconds = kill_seconds
        self._temporary = tempfile.TemporaryDirectory(prefix="cube-")
        self.directory = Path(self._temporary.name)
        self._children: list[Child] = []
        self._kept: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Supervisor:
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._kept:
            task.cancel()
        # Shielded: a second Ctrl-C must not leave a child behind.
        await asyncio.shield(asyncio.gather(*(child.stop() for child in self._children)))
        self._temporary.cleanup()

    async def start(self, program: Program) -> dict[str, str]:
        """Start a program, and return its addresses; from then on it is kept running.

        Raises `FailedStart`.
        """
        child = Child(program, self.directory, self._say, self._kill_seconds)
        self._children.append(child)
        addresses = await child.start()
        self._kept.append(asyncio.create_task(child.keep()))
        return addresses

    async def keep(self) -> None:
        """Keep the programs running until this is cancelled."""
        await asyncio.gather(*self._kept)


async def run_until(
    stopped: Coroutine[object, object, object],
    work: Coroutine[object, object, None],
    stopping: Callable[[], None],
) -> None:
    """Do some work to its end, or until ``stopped`` returns: then it is cancelled, and waited for."""
    stop, main = asyncio.create_task(stopped), asyncio.create_task(work)
    await asyncio.wait({stop, main}, return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    if not main.done():
        stopping()
        main.cancel()
    await asyncio.wait({main})
    if not main.cancelled():
        main.result()


def _stop_with_parent() -> None:
    while os.read(_STANDARD_INPUT, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=_stop_with_parent, name="parent-watch", daemon=True).start()
    sys.argv = sys.argv[1:]
    import_own(sys.argv[0].partition(".")[0])
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
