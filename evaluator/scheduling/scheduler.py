"""The fair scheduler: how the queries of one process share its processor, its sessions and its memory.

The interpreter's lock lets one thread compute at a time, and gives itself to whoever happens to grab
it. So the work is cut into pieces of some milliseconds, and here it is decided whose piece is next:
of the query that has had the least so far, and among those that have had nothing, of the one over the
shortest span. So a cheap query waits for one piece of an expensive one, never for all of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

from cube.settings import EvaluatorLimits
from cube.store.ports import TimeSlice
from evaluator.query.limits import QueueFull
from evaluator.scheduling.priority_queue import PrioritySemaphore

_LIMITS = EvaluatorLimits()

QUICK_SECONDS = 0.25
"""A query that has had more than this is a long one: it goes on once it has one of their places."""

DOOR = 32
"""Computations that have a session of the store and are not long yet."""

LOOKS = 16
"""So many queries read revisions at once; each holds a connection of the store meanwhile."""

KEEP_SECONDS = 0.005
"""How long the next turn is kept for a query that is not long and has just had one: it needs some, one
after another, and would wait for a piece of a long one before each."""

OVERRUN_SECONDS = 0.03
"""After so long a piece that cannot be interrupted (a pattern's search in one long text) is left to
itself, and the next turn begins beside it."""

OVERRUNS = 8
"""So many pieces at once are left to themselves; threads are needed for them all."""


class QueryCost:
    """What one query has had so far; ``reach``: the length of its span in milliseconds.

    ``is_parked``: whether it waits for a place among the long ones.
    """

    __slots__ = ("is_parked", "reach", "seconds")

    def __init__(self, reach: int = 0) -> None:
        self.reach = reach
        self.seconds = 0.0
        self.is_parked = False

    @property
    def is_long(self) -> bool:
        """Whether it goes on only once it has a place among the long ones."""
        return self.seconds > QUICK_SECONDS

    def ease(self, other: QueryCost) -> None:
        """Rank as a query that waits for this one's work, where that one has had less."""
        self.seconds, self.reach = min(self.rank, other.rank)

    @property
    def rank(self) -> tuple[float, int]:
        """How it stands to others that wait, the lowest first."""
        return (self.seconds, self.reach)


class Scheduler:
    """The turns of one process, whatever the number of its stores.

    ``long``: so many long computations hold partial results at once, while ``waiting`` others wait for
    their place; more are refused with `QueueFull`.
    """

    def __init__(self, *, long: int = _LIMITS.scans, waiting: int = _LIMITS.scans_waiting) -> None:
        self.looks = asyncio.Semaphore(LOOKS)
        self._door = PrioritySemaphore(DOOR)
        self._long = PrioritySemaphore(long)
        self._most_waiting = waiting
        self._turn = PrioritySemaphore(1, keep_seconds=KEEP_SECONDS, low=(QUICK_SECONDS,))
        self._overruns = 0

    @asynccontextmanager
    async def part(self, cost: QueryCost) -> AsyncIterator[TimeSlice]:
        """Begin a computation that holds a session and partial results; yields what begins its turns.

        Raises `QueueFull`, at the beginning of a turn, where too many long ones wait already.
        """
        part = _Part(self._door, cost)
        await self._door.enter(cost.rank)
        try:
            yield partial(self._part_turn, part)
        finally:
            if part.place is not None:
                part.place.leave()

    @asynccontextmanager
    async def turn(self, cost: QueryCost) -> AsyncIterator[None]:
        """Do one piece of a query's work."""
        await self._turn.enter(cost.rank)
        loop = asyncio.get_running_loop()
        began = loop.time()
        piece = _Piece(self._give_up)
        try:
            yield
        finally:
            cost.seconds += loop.time() - began
            if piece.end():
                self._overruns -= 1
            else:
                self._turn.leave(keep=not cost.is_long)

    @asynccontextmanager
    async def _part_turn(self, part: _Part) -> AsyncIterator[None]:
        if part.place is self._door and part.cost.is_long:
            await self._settle(part)
        async with self.turn(part.cost):
            yield

    async def _settle(self, part: _Part) -> None:
        """Leave the door to those who come, and wait for a place among the long ones."""
        if len(self._long) >= self._most_waiting:
            raise QueueFull(self._most_waiting)
        part.place = None
        self._door.leave()
        part.cost.is_parked = True
        try:
            await self._long.enter(part.cost.rank)
        finally:
            part.cost.is_parked = False
        part.place = self._long

    def _give_up(self) -> bool:
        """Let another turn begin beside a piece that lasts, unless too many last already."""
        if self._overruns >= OVERRUNS:
            return False
        self._overruns += 1
        self._turn.leave()
        return True


class _Part:
    __slots__ = ("cost", "place")

    def __init__(self, door: PrioritySemaphore, cost: QueryCost) -> None:
        self.cost = cost
        self.place: PrioritySemaphore | None = door


class _Piece:
    """A piece of work that may last: then `give_up` is asked, again and again, until it agrees."""

    def __init__(self, give_up: Callable[[], bool]) -> None:
        self._give_up = give_up
        self._given_up = False
        self._timer = self._wait()

    def end(self) -> bool:
        """End it; tell whether its turn had been given up."""
        self._timer.cancel()
        return self._given_up

    def _wait(self) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(OVERRUN_SECONDS, self._lasts)

    def _lasts(self) -> None:
        self._given_up = self._give_up()
        if not self._given_up:
            self._timer = self._wait()
