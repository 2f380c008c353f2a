"""A send queue: many who send much on the event loop, one by one."""

from __future__ import annotations

import asyncio
from collections import deque


class SendQueue:
    """Lets one sender go on in each pass of the event loop, however many there are.

    Between two of them the loop does all else that is due, so what a request waits for does not grow
    with the number of sockets that are being sent to.
    """

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._is_due = False

    async def next(self) -> None:
        """Return in the pass that is this sender's."""
        waiting = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        self._schedule()
        await waiting

    def _schedule(self) -> None:
        if self._waiting and not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._call)

    def _call(self) -> None:
        self._is_due = False
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():  # its task was cancelled
                waiting.set_result(None)
                break
        self._schedule()
