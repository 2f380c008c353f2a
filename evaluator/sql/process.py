"""The processes that run statements: one for each, started before it is needed, and killed after it.

A statement is somebody else's program in a native library. In a process of its own it can be ended at any
time, can take no more memory than it may, and takes nobody with it where it crashes
(docs/decisions/0051-sql.md).
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import deque
from contextlib import suppress
from typing import Final

from cube.errors import Unavailable
from cube.settings.daemons import SqlSettings
from evaluator.sql.messages import FromEvaluator, FromProcess, Ready, framed, received
from evaluator.sql.sandbox import FILTER

START_SECONDS: Final = 60.0
"""A process that is not ready by then will never be."""

_PROGRAM: Final = """
import os, sys
sys.path[:] = sys.argv[1].split(os.pathsep)
from cube.launch import import_own
import_own("evaluator")
from evaluator.without_pandas import hide_pandas
hide_pandas()
from evaluator.sql.worker import main
main(int(sys.argv[2]), float(sys.argv[3]))
"""
"""What it runs: our own packages, as they are found here, without pandas: to import that takes as long as all
else together."""

_log = logging.getLogger(__name__)


class StatementProcess:
    """One process, that has not been given a statement yet, or has."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._ended: asyncio.Task[int] | None = None

    async def send(self, message: FromEvaluator) -> None:
        """Send a message; one that has ended is told by `receive`."""
        sink = self._process.stdin
        if sink is not None:
            with suppress(ConnectionError):
                sink.write(framed(message))
                await sink.drain()

    async def receive(self) -> FromProcess | None:
        """Return what it says next; None where it has ended."""
        source = self._process.stdout
        return None if source is None else await received(source)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        return self._process.returncode is not None

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            self._process.kill()

    async def close(self) -> int:
        """Kill it, and return how it ended once it has."""
        self.kill()
        status = await self._process.wait()
        transport = getattr(self._process, "_transport", None)
        if transport is not None:  # its pipes, which asyncio closes when they are read to their end
            transport.close()
        return status


class StatementProcesses:
    """Starts them; one that is ready is kept for the next statement."""

    def __init__(self, settings: SqlSettings) -> None:
        self._settings = settings
        self._is_warned = False
        self._started: deque[asyncio.Task[StatementProcess]] = deque()

    def prepare(self) -> None:
        """Have one ready, if none is."""
        if not self._started:
            self._started.append(asyncio.create_task(self.start(), name="a process for statements"))

    async def take(self) -> StatementProcess:
        """Return a process that is ready; raises `Unavailable` where none can be started."""
        self.prepare()
        started = self._started.popleft()
        try:
            return await self._living(started) or await self.start()
        except asyncio.CancelledError:  # who waits has gone: another may have it
            self._started.append(started)
            raise
        except (OSError, TimeoutError) as error:
            raise Unavailable(f"No process for statements can be started: {error!r}.") from None
        finally:
            self.prepare()

    async def _living(self, started: asyncio.Task[StatementProcess]) -> StatementProcess | None:
        """Return one that was started ahead; None where it has ended since, as where memory was scarce."""
        try:
            process = await asyncio.shield(started)
        except (Unavailable, OSError, TimeoutError):
            return None
        if not process.has_ended:
            return process
        await process.close()
        return None

    async def close(self) -> None:
        """End those that are ready."""
        while self._started:
            started = self._started.popleft()
            started.cancel()
            with suppress(asyncio.CancelledError, Unavailable, OSError, TimeoutError):
                await (await started).close()

    async def start(self) -> StatementProcess:
        """Start one, and return it once it is ready; raises `Unavailable`, `OSError` or `TimeoutError`."""
        settings = self._settings
        process = StatementProcess(
            await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-c", _PROGRAM, os.pathsep.join(map(os.path.abspath, sys.path))),
                *(str(settings.memory_bytes), str(settings.seconds)),
                stdin=PIPE,
                stdout=PIPE,
                stderr=DEVNULL,
                cwd="/",
                env={},
                start_new_session=True,  # Ctrl-C is for the evaluator
                limit=2**16,
            )
        )
        try:
            async with asyncio.timeout(START_SECONDS):
                ready = await process.receive()
        except BaseException:
            await process.close()
            raise
        if not isinstance(ready, Ready):
            status = await process.close()
            raise Unavailable(f"The process for statements ended with {status} before it was ready.")
        if FILTER not in ready.sandbox and not self._is_warned:
            self._is_warned = True
            _log.warning("statements of SQL run without a filter of system calls (seccomp), which is missing")
        _log.debug("a process for statements is ready, held by %s", ", ".join(ready.sandbox))
        return process
