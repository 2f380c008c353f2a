"""A semaphore whose places are given by priority, and now and then to whoever has waited longest."""

from __future__ import annotations

import asyncio
from itertools import count
from typing import NamedTuple, TypeAlias

Priority: TypeAlias = tuple[float, ...]
"""Who waits with the lowest comes first; among equals, who came first."""

ELDEST = 10
"""Every so many times whoever has waited longest comes first, whatever the priority: nobody waits forever."""


class PrioritySemaphore:
    """A semaphore whose places are given by priority.

    ``keep_seconds``: for so long a place that is released is kept, where only those wait whose priority is
    above ``low``, for whoever comes with another; see `release`.
    """

    def __init__(self, places: int, *, keep_seconds: float = 0.0, low: Priority = ()) -> None:
        self._free = places
        self._keep_seconds = keep_seconds
        self._low = low
        self._kept: asyncio.TimerHandle | None = None
        self._waiting: list[_Waiter] = []
        self._numbers = count()
        self._given = 0

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._waiting)

    async def acquire(self, priority: Priority = ()) -> None:
        """Take a place, as soon as it is one's turn."""
        if self._free and (not self._waiting or priority < self._first().priority):
            self._free -= 1
            return
        waiter = _Waiter(priority, next(self._numbers), asyncio.get_running_loop().create_future())
        self._waiting.append(waiter)
        try:
            await waiter.called
        except asyncio.CancelledError:
            if not waiter.called.cancelled():  # called and cancelled at the same moment
                self.release()
            elif waiter in self._waiting:
                self._waiting.remove(waiter)
            raise

    def release(self, *, keep: bool = False) -> None:
        """Give a place back, to be kept for somebody of a low priority, or not."""
        self._free += 1
        if self._kept is not None:
            self._kept.cancel()
            self._kept = None
        if keep and self._waiting and self._first().priority > self._low:
            self._kept = asyncio.get_running_loop().call_later(self._keep_seconds, self._give)
        else:
            self._give()

    def _give(self) -> None:
        self._kept = None
        while self._free and self._waiting:
            self._given += 1
            waiter = self._waiting[0] if self._given % ELDEST == 0 else self._first()
            self._waiting.remove(waiter)
            if not waiter.called.done():  # else it was cancelled, and has not heard of it yet
                self._free -= 1
                waiter.called.set_result(None)

    def _first(self) -> _Waiter:
        return min(self._waiting)


class _Waiter(NamedTuple):
    priority: Priority
    number: int
    called: asyncio.Future[None]
