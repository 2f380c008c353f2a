"""An evaluator for one command, which opens a store itself: where no other one runs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from queue import SimpleQueue
from threading import Thread

from cube.cli.output import tell
from cube.process.supervisor import Program, Supervisor


@contextmanager
def own_evaluator(flags: Sequence[str]) -> Iterator[str]:
    """Run an evaluator in this block, on a free port of the loopback; yields its address.

    It has the flags, and its settings else from the environment. Raises `FailedStart`.
    """
    own = (*flags, "--host", "127.0.0.1", "--port", "0", "--log-level", "warning", "--status-seconds", "0")
    told: SimpleQueue[str | BaseException] = SimpleQueue()
    loop, stop = asyncio.new_event_loop(), asyncio.Event()
    program = Program("evaluator", "evaluator.main", own, {"http": "--port"})
    thread = Thread(target=loop.run_until_complete, args=(_run(program, told, stop),), name="own evaluator")
    thread.start()
    try:
        address = told.get()
        if isinstance(address, BaseException):
            raise address
        yield address
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


async def _run(program: Program, told: SimpleQueue[str | BaseException], stop: asyncio.Event) -> None:
    async with Supervisor(tell) as supervisor:
        try:
            told.put((await supervisor.start(program))["http"])
        except BaseException as error:
            told.put(error)
            return
        await stop.wait()
