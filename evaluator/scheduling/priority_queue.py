"""A line: places that are given, one by one, to those who wait for them."""

from __future__ import annotations

import asyncio
from itertools import count
from typing import NamedTuple, TypeAlias

Rank: TypeAlias = tuple[float, ...]
"""Who waits with the lowest comes first; among equals, who came first."""

ELDEST = 10
"""Every so many times whoever has waited longest comes first, whatever the rank: nobody waits forever."""


class PrioritySemaphore:
    """Some places, which are taken by `enter` and given back by `leave`.

    ``keep_seconds``: for so long a place that is given back is kept, where only those wait whose rank is
    above ``low``, for whoever comes with another; see `leave`.
    """

    def __init__(self, places: int, *, keep_seconds: float = 0.0, low: Rank = ()) -> None:
        self._free = places
        self._keep_seconds = keep_seconds
        self._low = low
        self._kept: asyncio.TimerHandle | None = None
        self._waiting: list[_Waiting] = []
        self._numbers = count()
        self._given = 0

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._waiting)

    async def enter(self, rank: Rank = ()) -> None:
        """Take a place, as soon as it is one's turn."""
        if self._free and (not self._waiting or rank < self._first().rank):
            self._free -= 1
            return
        waiting = _Waiting(rank, next(self._numbers), asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        try:
            await waiting.called
        except asyncio.CancelledError:
            if not waiting.called.cancelled():  # called and cancelled at the same moment
                self.leave()
            elif waiting in self._waiting:
                self._waiting.remove(waiting)
            raise

    def leave(self, *, keep: bool = False) -> None:
        """Give a place back, to be kept for somebody of a low rank, or not."""
        self._free += 1
        if self._kept is not None:
            self._kept.cancel()
            self._kept = None
        if keep and self._waiting and self._first().rank > self._low:
            self._kept = asyncio.get_running_loop().call_later(self._keep_seconds, self._give)
        else:
            self._give()

    def _give(self) -> None:
        self._kept = None
        while self._free and self._waiting:
            waiting = self._next()
            self._waiting.remove(waiting)
            if not waiting.called.done():  # else it was cancelled, and has not heard of it yet
                self._free -= 1
                waiting.called.set_result(None)

    def _next(self) -> _Waiting:
        self._given += 1
        if self._given % ELDEST == 0:
            return self._waiting[0]
        return self._first()

    def _first(self) -> _Waiting:
        return min(self._waiting, key=lambda waiting: (waiting.rank, waiting.number))


class _Waiting(NamedTuple):
    rank: Rank
    number: int
    called: asyncio.Future[None]
