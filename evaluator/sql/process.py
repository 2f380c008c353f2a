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
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from cube.errors import Unavailable
from cube.settings.daemons import SqlSettings
from evaluator.sql.messages import FromEvaluator, FromProcess, Ready, framed, received

START_SECONDS: Final = 60.0
"""A process that is not ready by then will never be."""

MODULE: Final = "evaluator.sql.worker"

_OURS: Final = str(Path(__file__).parents[2])

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
    """Starts them; one that is ready is kept for the next statement. ``spare``: whether one is."""

    def __init__(self, settings: SqlSettings) -> None:
        self._settings = settings
        self._spare: asyncio.Task[StatementProcess] | None = None

    def prepare(self) -> None:
        """Have one ready, if none is."""
        if self._spare is None:
            self._spare = asyncio.create_task(self._start(), name="a process for statements")
            self._spare.add_done_callback(_noted(self))

    async def take(self) -> StatementProcess:
        """Return a process that is ready; raises `Unavailable` where none can be started."""
        self.prepare()
        spare, self._spare = self._spare, None
        if spare is None:
            raise Unavailable("No process for statements can be started.")
        try:
            return await spare
        except asyncio.CancelledError:  # who waits has gone: another may have it
            if not spare.done() and self._spare is None:
                self._spare = spare
            raise
        finally:
            if self._spare is None:
                self.prepare()

    async def close(self) -> None:
        """End the one that is ready."""
        if self._spare is not None:
            self._spare.cancel()
            with suppress(asyncio.CancelledError, Unavailable):
                await (await self._spare).close()

    async def _start(self) -> StatementProcess:
        settings = self._settings
        process = StatementProcess(
            await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", MODULE, str(settings.memory_bytes), str(settings.seconds)),
                stdin=PIPE,
                stdout=PIPE,
                stderr=DEVNULL,
                cwd="/",
                # Our own packages first, whatever else is on the path.
                env={"PYTHONPATH": os.pathsep.join(map(os.path.abspath, [_OURS, *sys.path]))},
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
        _log.debug("a process for statements is ready, held by %s", ", ".join(ready.sandbox))
        return process


def _noted(processes: StatementProcesses) -> Callable[[asyncio.Task[StatementProcess]], None]:
    """Return what forgets a start that failed, so that the next statement tries again."""

    def note(task: asyncio.Task[StatementProcess]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.warning("no process for statements could be started: %s", error)
            if processes._spare is task:  # noqa: SLF001 - a part of it
                processes._spare = None  # noqa: SLF001

    return note
