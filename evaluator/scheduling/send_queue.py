"""Sends to many sockets in turn: they share the event loop, as queries share the processor."""

from __future__ import annotations

import asyncio
from collections import deque


class SendQueue:
    """Lets one sender go on in each pass of the event loop, however many there are.

    Between two of them the loop does all else that is due, so what a request waits for does not grow
    with the number of sockets that are being sent to.
    """

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()  # while it is not empty, a call is due

    async def next(self) -> None:
        """Return in the pass that is this sender's."""
        waiting = asyncio.get_running_loop().create_future()
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._call)
        self._waiting.append(waiting)
        await waiting

    def _call(self) -> None:
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():  # its task was cancelled
                waiting.set_result(None)
                break
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._call)
