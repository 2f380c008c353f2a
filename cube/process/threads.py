"""Work in threads, and waiting for what others bring about: what the tasks of one loop share.

Work that takes more than a few milliseconds, or blocks, goes through `run_in_thread`, so that the loop goes
on meanwhile; where its size tells how long it takes, through `run_by_size`; on blocks of events, through
`cube.store.slices`.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")


async def run_in_thread(work: Callable[..., T], *arguments: Any, executor: Executor | None = None) -> T:
    """Call a function in a thread of ``executor``, or of the event loop's own, and return its result.

    It runs in a copy of the caller's context, so that its log lines have the request's id. A thread cannot
    be stopped: a cancellation is raised once it has ended, so that a lock held around the call is held as
    long as the work lasts, and nothing goes on that nobody knows of. What it raises then is dropped.
    """
    call = contextvars.copy_context().run
    future = asyncio.get_running_loop().run_in_executor(executor, call, work, *arguments)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        while not future.done():
            with suppress(asyncio.CancelledError):  # told once more: it is raised below
                await asyncio.wait([future])
        if not future.cancelled():
            future.exception()
        raise


async def run_by_size(size: int, limit: int, work: Callable[..., T], *arguments: Any) -> T:
    """Call a function at once where its input is of at most ``limit``; else as `run_in_thread` does."""
    if size <= limit:
        return work(*arguments)
    return await run_in_thread(work, *arguments)


class Condition:
    """A claim that tasks of one event loop wait for, and that others make true.

    Unlike `asyncio.Condition` it has no lock, so that callbacks can notify, too; the loop's own order is
    enough where a claim is checked and acted upon without an ``await`` between.
    """

    def __init__(self) -> None:
        self._notified = asyncio.Event()

    async def wait_for(self, claim: Callable[[], bool]) -> None:
        """Return when a claim holds; it is asked at once, and again after each `notify`."""
        while not claim():
            await self._notified.wait()

    def notify(self) -> None:
        self._notified.set()
        self._notified.clear()
