"""Work on a request that could block the event loop: in a thread, and in turn where order counts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, TypeVar

from cube.web import Request

T = TypeVar("T")

LOOP_BYTES: Final = 16 * 1024
"""Longer bodies are translated in a thread: some take 0.5 ms a KiB, and would hold up all other requests."""


async def aside(request: Request, function: Callable[..., T], *arguments: Any) -> T:
    """Call a function, in a thread where a large body could block the event loop for long."""
    if len(request.body) <= LOOP_BYTES:
        return function(*arguments)
    return await asyncio.to_thread(function, *arguments)


class Turns:
    """Lets one function run at a time, in order of arrival.

    A thread cannot be stopped: a turn lasts as long as its thread, though its request be cancelled.
    """

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    async def take(self, request: Request, function: Callable[..., T], *arguments: Any) -> T:
        """Do what `aside` does, when it is this request's turn."""
        work = self._take(request, function, *arguments)
        if len(request.body) <= LOOP_BYTES:
            return await work
        turn = asyncio.create_task(work)
        try:
            return await asyncio.shield(turn)
        except asyncio.CancelledError:
            turn.add_done_callback(lambda done: done.exception())  # which nobody asks for any more
            raise

    async def _take(self, request: Request, function: Callable[..., T], *arguments: Any) -> T:
        async with self._lock:
            return await aside(request, function, *arguments)
