"""Computations in flight, shared by those who need the same buckets at the same revisions.

Nothing is remembered once a computation has ended. To take a bucket from one is as good as to read the
cache: who read the same revision of it as the computation did, read it after every event that was
acknowledged by then had raised it, so before the computation's scan began.

The work is shared, not its fate: a question whose flight fails goes on with a computation of its own,
under its own bounds, and it joins none that has much more to do than the question asks for.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Hashable, Mapping
from contextlib import aclosing
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

from cube.process.threads import Condition
from cube.store.bucket_revisions import NO_REVISIONS, BucketRevisions
from evaluator.query.limits import LimitExceeded
from evaluator.scheduling.scheduler import QueryCost

T = TypeVar("T")

Gaps: TypeAlias = BucketRevisions
"""Buckets, each with the revision that was read."""

JOINING_SHARE = 0.5
"""A flight is joined for at least this share of what it has still to do: so that nobody waits for much
more than a computation of one's own would take."""


class FlightPart(NamedTuple, Generic[T]):
    """Some gaps that are computed, and what they came to; that may have other buckets, and none that is lost.

    Whoever takes a part has no use for other buckets than its gaps.
    """

    gaps: Gaps
    contents: T


Compute: TypeAlias = "Callable[[Gaps], AsyncGenerator[FlightPart[T], None]]"
"""Computes some gaps, part by part; each part is right whatever becomes of those after it."""


class Flight:
    """A computation under way: who waits takes each bucket as soon as its part is done.

    ``left``: the gaps that are not computed yet. ``waiting``: how many wait. ``cost``: of the query that
    began it.
    """

    task: asyncio.Task[None]

    def __init__(self, key: Hashable, gaps: Gaps, cost: QueryCost) -> None:
        self.key = key
        self.gaps = gaps
        self.left = gaps
        self.waiting = 0
        self._cost = cost
        self._parts: list[FlightPart[Any]] = []
        self._progress = Condition()

    async def run(self, compute: Compute[Any]) -> None:
        """Compute the gaps, and hand each part to those who wait."""
        async with aclosing(compute(self.gaps)) as parts:
            async for part in parts:
                self._parts.append(part)
                self.left = self.left.without(part.gaps.buckets)
                self.notify()

    def offer(self, gaps: Gaps, cost: QueryCost) -> Gaps:
        """Return those of some gaps that are done, and the others if they are worth the wait.

        From then on it has the priority of whoever of those who wait has had less.
        """
        pending = gaps.only(self.left.buckets)
        if pending:
            if len(pending) < JOINING_SHARE * len(self.left) or (self._cost.is_parked and not cost.is_long):
                return gaps.without(pending.buckets)
            self._cost.inherit(cost)
        return gaps

    async def take(self, gaps: Gaps, found: list[FlightPart[Any]]) -> Gaps:
        """Put what some gaps come to into `found` as it comes; return those that come no more."""
        wanted, seen = gaps, 0
        while True:
            for part in self._parts[seen:]:
                mine = part.gaps.only(wanted.buckets)
                wanted = wanted.without(mine.buckets)
                if mine:
                    found.append(FlightPart(mine, part.contents))
            seen = len(self._parts)
            if not wanted or self.task.done():
                return wanted
            await self.until_more(seen)

    async def until_more(self, seen: int) -> None:
        """Wait for a part after those that were seen, or for the end."""
        await self._progress.wait_for(lambda: len(self._parts) > seen or self.task.done())

    def notify(self) -> None:
        self._progress.notify()


class SingleFlight:
    """The computations of one process that are in flight."""

    def __init__(self, flight: Callable[[Hashable, Gaps, QueryCost], Flight] = Flight) -> None:
        self._make = flight
        self._flights: dict[Hashable, list[Flight]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def parts(
        self, key: Hashable, gaps: Gaps, compute: Compute[T], cost: QueryCost
    ) -> list[FlightPart[T]]:
        """Return what some gaps come to: those in flight are waited for, the others computed.

        No bucket is in two parts. A flight gives only the buckets for which it was joined: it may be at work
        on others at an older revision. It is cancelled once nobody waits for it. Raises what a computation of
        one's own raises.
        """
        found: list[FlightPart[T]] = []
        joined = self._joined(key, gaps, cost)
        rest = gaps
        for elsewhere in joined.values():
            rest = rest.without(elsewhere.buckets)
        lost = await self._wait(joined, self._start(key, rest, compute, cost), found)
        for flight in joined:
            task = flight.task
            failure = task.exception() if task.done() and not task.cancelled() else None
            # What was too much of buckets that are all asked for here as well, is too much here as well.
            if isinstance(failure, LimitExceeded) and len(flight.gaps.agreeing(gaps)) == len(flight.gaps):
                raise failure
        await self._wait({}, self._start(key, lost, compute, cost), found)
        return found

    async def close(self) -> None:
        """Return when all computations have ended, the cancelled ones included."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _joined(self, key: Hashable, gaps: Gaps, cost: QueryCost) -> dict[Flight, Gaps]:
        """Return the flights to join, each with the gaps that it is to give; the latest comes first."""
        joined: dict[Flight, Gaps] = {}
        for flight in reversed(self._flights.get(key, ())):
            wanted = gaps.agreeing(flight.gaps)
            if not wanted:
                continue
            gaps = gaps.without(wanted.buckets)
            offered = flight.offer(wanted, cost)
            if offered:
                joined[flight] = offered
        return joined

    def _start(self, key: Hashable, gaps: Gaps, compute: Compute[Any], cost: QueryCost) -> Flight | None:
        """Begin to compute what there is to compute; who asks next joins this rather than an older flight."""
        if not gaps:
            return None
        flight = self._make(key, gaps, cost)
        self._flights.setdefault(key, []).append(flight)
        flight.task = asyncio.create_task(flight.run(compute))
        self._tasks.add(flight.task)
        flight.task.add_done_callback(lambda _: self._end(flight))
        return flight

    async def _wait(
        self, joined: Mapping[Flight, Gaps], own: Flight | None, found: list[FlightPart[Any]]
    ) -> Gaps:
        """Take what the flights give; return what joined ones that have failed do not."""
        aboard = dict(joined) if own is None else {own: own.gaps, **joined}
        for flight in aboard:
            flight.waiting += 1
        lost = NO_REVISIONS
        try:
            for flight, gaps in list(aboard.items()):
                left = await flight.take(gaps, found)
                if left and flight is own:
                    own.task.result()
                lost = lost.joined(left)
                del aboard[flight]
                self._leave(flight)
        finally:
            for flight in aboard:
                self._leave(flight)
        return lost

    def _leave(self, flight: Flight) -> None:
        """Wait no more for a flight; one that nobody waits for, and that is not just ending, is cancelled."""
        flight.waiting -= 1
        if flight.waiting == 0 and flight.left and not flight.task.done():
            self._forget(flight)
            flight.task.cancel()

    def _end(self, flight: Flight) -> None:
        self._tasks.discard(flight.task)
        self._forget(flight)
        if not flight.task.cancelled():
            flight.task.exception()  # who waits raises it; nobody may be left to
        flight.notify()

    def _forget(self, flight: Flight) -> None:
        others = [other for other in self._flights.get(flight.key, ()) if other is not flight]
        if others:
            self._flights[flight.key] = others
        else:
            self._flights.pop(flight.key, None)
