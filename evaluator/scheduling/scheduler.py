"""The fair scheduler: how the queries of one process share its processor, its sessions and its memory.

The interpreter's lock lets one thread compute at a time, and gives itself to whoever happens to grab
it. So the work is cut into pieces of some milliseconds, and here it is decided whose piece is next:
of the query that has had the least so far, and among those that have had nothing, of the one over the
shortest span. So a cheap query waits for one piece of an expensive one, never for all of it.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any, TypeVar

from cube.process.threads import run_in_thread
from cube.settings import EvaluatorLimits
from cube.store.read_options import TimeSlice
from evaluator.query.limits import QueueFull
from evaluator.scheduling.priority_semaphore import PrioritySemaphore

T = TypeVar("T")

QUICK_SECONDS = 0.25
"""A query that has had more than this is a long one: it goes on once it has one of their places."""

ADMITTED = 32
"""Computations that have a session of the store and are not long yet."""

LOOKUPS = 16
"""So many queries read revisions at once; each holds a connection of the store meanwhile."""

KEEP_SECONDS = 0.005
"""How long the next time slice is kept for a query that is not long and has just had one: it needs some, one
after another, and would wait for a piece of a long one before each."""

OVERRUN_SECONDS = 0.03
"""After so long a piece that cannot be interrupted (a pattern's search in one long text) is left to
itself, and the next time slice begins beside it."""

OVERRUNS = 8
"""So many pieces at once are left to themselves; threads are needed for them all."""

BACKGROUND_SECONDS = 3600.0
"""What nobody waits for stands as if it had had so much already: behind every query."""

IDLE_SECONDS = 0.1
"""Nobody has asked for so long before a piece of idle work begins."""


class QueryCost:
    """What one query has had so far in ``seconds``; ``reach``: the length of its span in milliseconds.

    ``is_parked``: whether it waits for a place among the long ones.
    """

    __slots__ = ("is_parked", "reach", "seconds")

    def __init__(self, reach: int = 0) -> None:
        self.reach = reach
        self.seconds = 0.0
        self.is_parked = False

    @classmethod
    def background(cls, reach: int) -> QueryCost:
        """Return the cost of work that nobody waits for; who comes to wait for it hands on its priority."""
        cost = cls(reach)
        cost.seconds = BACKGROUND_SECONDS
        return cost

    @property
    def is_long(self) -> bool:
        """Whether it goes on only once it has a place among the long ones."""
        return self.seconds > QUICK_SECONDS

    @property
    def priority(self) -> tuple[float, int]:
        """How it stands to others that wait, the lowest first."""
        return (self.seconds, self.reach)

    def inherit(self, other: QueryCost) -> None:
        """Take the priority of a query that waits for this one's work, where that is the lower one."""
        self.seconds, self.reach = min(self.priority, other.priority)


class Scheduler:
    """The time slices of one process, whatever the number of its stores.

    Of the limits, ``scans`` long computations hold partial results at once, while ``scans_waiting`` others
    wait for their place; more are refused with `QueueFull`.
    """

    def __init__(self, limits: EvaluatorLimits) -> None:
        self.lookups = asyncio.Semaphore(LOOKUPS)
        self._admitted = PrioritySemaphore(ADMITTED)
        self._long = PrioritySemaphore(limits.scans)
        self._most_waiting = limits.scans_waiting
        self._processor = PrioritySemaphore(1, keep_seconds=KEEP_SECONDS, low=(QUICK_SECONDS,))
        self._overruns = 0
        self._asking = 0
        self._asked = 0.0

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Let no piece of idle work begin in this block, in which somebody waits for an answer."""
        self._asking += 1
        try:
            yield
        finally:
            self._asking -= 1
            self._asked = asyncio.get_running_loop().time()

    @asynccontextmanager
    async def idle_slice(self) -> AsyncIterator[None]:
        """Do one piece of work that nobody waits for, some milliseconds of it, when nobody asks."""
        loop = asyncio.get_running_loop()
        while self._asking or loop.time() < self._asked + IDLE_SECONDS:  # noqa: ASYNC110 - each question would set an event
            await asyncio.sleep(IDLE_SECONDS)
        async with self.time_slice(_idle_cost()):
            yield

    @property
    def waiting(self) -> int:
        """How many computations wait for a place."""
        return len(self._admitted) + len(self._long)

    @asynccontextmanager
    async def admit(self, cost: QueryCost) -> AsyncIterator[TimeSlice]:
        """Begin a computation that holds a session and partial results; yields what begins its time slices.

        Raises `QueueFull`, at the beginning of one, where too many long ones wait already.
        """
        place = _Place(self._admitted)
        await self._admitted.acquire(cost.priority)
        try:
            yield partial(self._admitted_slice, place, cost)
        finally:
            if place.held is not None:
                place.held.release()

    @asynccontextmanager
    async def time_slice(self, cost: QueryCost) -> AsyncIterator[None]:
        """Do one piece of a query's work."""
        await self._processor.acquire(cost.priority)
        loop = asyncio.get_running_loop()
        began = loop.time()
        overrun = _Overrun(self._give_up)
        try:
            yield
        finally:
            cost.seconds += loop.time() - began
            if overrun.end():
                self._overruns -= 1
            else:
                self._processor.release(keep=not cost.is_long)

    async def run(self, cost: QueryCost, work: Callable[..., T], *arguments: Any) -> T:
        """Call a function in a thread, as one piece of a query's work."""
        async with self.time_slice(cost):
            return await run_in_thread(work, *arguments)

    @asynccontextmanager
    async def _admitted_slice(self, place: _Place, cost: QueryCost) -> AsyncIterator[None]:
        if place.held is self._admitted and cost.is_long:
            await self._join_long(place, cost)
        async with self.time_slice(cost):
            yield

    async def _join_long(self, place: _Place, cost: QueryCost) -> None:
        """Leave one's place to those who come, and wait for one among the long ones."""
        if len(self._long) >= self._most_waiting:
            raise QueueFull(self._most_waiting)
        place.held = None
        self._admitted.release()
        cost.is_parked = True
        try:
            await self._long.acquire(cost.priority)
        finally:
            cost.is_parked = False
        place.held = self._long

    def _give_up(self) -> bool:
        """Let another time slice begin beside a piece that lasts, unless too many last already."""
        if self._overruns >= OVERRUNS:
            return False
        self._overruns += 1
        self._processor.release()
        return True


def _idle_cost() -> QueryCost:
    cost = QueryCost()
    cost.seconds = math.inf  # whoever else waits comes first
    return cost


class _Place:
    """Which semaphore a computation holds a place of."""

    __slots__ = ("held",)

    def __init__(self, held: PrioritySemaphore) -> None:
        self.held: PrioritySemaphore | None = held


class _Overrun:
    """Watches a piece of work that may last: then `give_up` is asked, again and again, until it agrees."""

    def __init__(self, give_up: Callable[[], bool]) -> None:
        self._give_up = give_up
        self._given_up = False
        self._watch()

    def end(self) -> bool:
        """End it; tell whether its time slice had been given up."""
        self._timer.cancel()
        return self._given_up

    def _watch(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(OVERRUN_SECONDS, self._lasts)

    def _lasts(self) -> None:
        self._given_up = self._give_up()
        if not self._given_up:
            self._watch()
