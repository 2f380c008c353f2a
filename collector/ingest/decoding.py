"""Decoding in turn: what was decoded takes many times the memory of its text, until the intake has it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

SHARE = 16
"""Of all bodies and messages held, this part at most is decoded at once, of each kind of way in."""


class Decoding:
    """Bounds the bytes of texts that are being decoded, or are decoded and not handed over yet.

    Whoever comes next waits, in order of arrival, with its text alone; one that is larger than ``limit``
    is decoded when nothing else is. Texts of no more than ``free`` bytes do not wait.
    """

    def __init__(self, limit: int, *, free: int = 0) -> None:
        self.held = 0
        self._limit = limit
        self._free = free
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def of(self, size: int) -> AsyncIterator[None]:
        """Decode a text of so many bytes in this block, and hand over what it holds."""
        if size <= self._free:
            yield
            return
        await self._enter(size)
        try:
            yield
        finally:
            self._leave(size)

    async def _enter(self, size: int) -> None:
        if not self._waiting and self._fits(size):
            self.held += size
            return
        called = asyncio.get_running_loop().create_future()
        self._waiting.append((size, called))
        try:
            await called
        except asyncio.CancelledError:
            if called.done() and not called.cancelled():  # called and cancelled at the same moment
                self._leave(size)
            else:
                self._waiting.remove((size, called))
                self._call()  # a smaller one behind it may fit
            raise

    def _leave(self, size: int) -> None:
        self.held -= size
        self._call()

    def _call(self) -> None:
        while self._waiting and self._fits(self._waiting[0][0]):
            size, called = self._waiting.popleft()
            if not called.done():
                self.held += size
                called.set_result(None)

    def _fits(self, size: int) -> bool:
        return not self.held or self.held + size <= self._limit
