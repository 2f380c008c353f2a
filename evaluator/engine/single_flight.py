"""Computations in flight, shared by those who need the same buckets at the same revisions.

Nothing is remembered once a computation has ended. To take a bucket from one is as good as to read the
cache: who read the same revision of it as the computation did, read it after every event that was
acknowledged by then had raised it, so before the computation's scan began.

The work is shared, not its fate: a question whose flight fails goes on with a computation of its own,
under its own bounds, and it joins none that has much more to do than the question asks for.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Hashable, Mapping
from contextlib import aclosing
from typing import NamedTuple, TypeAlias

from cube.process.threads import Condition
from evaluator.engine.states import Encoded
from evaluator.query.queries import LimitExceeded
from evaluator.scheduling.scheduler import QueryCost

Gaps: TypeAlias = "Mapping[int, int]"
"""Bucket -> the revision that was read."""

JOINING_SHARE = 0.5
"""A flight is joined for at least this share of what it has still to do: so that nobody waits for much
more than a computation of one's own would take."""


class FlightPart(NamedTuple):
    """Some gaps that are computed, and their contents; a bucket that is lost has none."""

    gaps: Gaps
    contents: Encoded


Compute: TypeAlias = "Callable[[Gaps], AsyncGenerator[FlightPart, None]]"
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
        self.left = set(gaps)
        self.waiting = 0
        self._cost = cost
        self._parts: list[FlightPart] = []
        self._progress = Condition()

    async def run(self, compute: Compute) -> None:
        """Compute the gaps, and hand each part to those who wait."""
        async with aclosing(compute(self.gaps)) as parts:
            async for part in parts:
                self._parts.append(part)
                self.left.difference_update(part.gaps)
                self.notify()

    def offer(self, buckets: Collection[int], cost: QueryCost) -> Collection[int]:
        """Return those of some buckets that are done, and the others if they are worth the wait.

        From then on it has the priority of whoever of those who wait has had less.
        """
        pending = self.left.intersection(buckets)
        if pending:
            if len(pending) < JOINING_SHARE * len(self.left) or (self._cost.is_parked and not cost.is_long):
                return [bucket for bucket in buckets if bucket not in pending]
            self._cost.inherit(cost)
        return buckets

    async def take(self, buckets: Collection[int], found: Encoded) -> set[int]:
        """Put the contents of some buckets into `found` as they come; return those that come no more."""
        wanted, seen = set(buckets), 0
        while True:
            for part in self._parts[seen:]:
                mine = wanted.intersection(part.gaps)
                wanted -= mine
                found.update({bucket: part.contents[bucket] for bucket in mine & part.contents.keys()})
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
        self._flights: dict[Hashable, dict[tuple[int, int], Flight]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def contents(self, key: Hashable, gaps: Gaps, compute: Compute, cost: QueryCost) -> Encoded:
        """Return the contents of some gaps: those in flight are waited for, the others computed.

        A flight gives only the buckets for which it was joined: it may be at work on others at an older
        revision. It is cancelled once nobody waits for it. Raises what a computation of one's own raises.
        """
        found: Encoded = {}
        joined = self._joined(key, gaps, cost)
        elsewhere = {bucket for buckets in joined.values() for bucket in buckets}
        rest = gaps
        if elsewhere:
            rest = {bucket: revision for bucket, revision in gaps.items() if bucket not in elsewhere}
        lost = await self._wait(joined, self._start(key, rest, compute, cost), found)
        for flight in joined:
            task = flight.task
            failure = task.exception() if task.done() and not task.cancelled() else None
            # What was too much of buckets that are all asked for here as well, is too much here as well.
            if isinstance(failure, LimitExceeded) and flight.gaps.items() <= gaps.items():
                raise failure
        again = {bucket: gaps[bucket] for bucket in lost}
        await self._wait({}, self._start(key, again, compute, cost), found)
        return found

    async def close(self) -> None:
        """Return when all computations have ended, the cancelled ones included."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _joined(self, key: Hashable, gaps: Gaps, cost: QueryCost) -> dict[Flight, Collection[int]]:
        """Return the flights to join, each with the buckets that it is to give."""
        flights = self._flights.get(key)
        if flights is None:
            return {}
        wanted: dict[Flight, list[int]] = {}
        for gap in gaps.items():
            flight = flights.get(gap)
            if flight is not None:
                wanted.setdefault(flight, []).append(gap[0])
        offers = {flight: flight.offer(buckets, cost) for flight, buckets in wanted.items()}
        return {flight: buckets for flight, buckets in offers.items() if buckets}

    def _start(self, key: Hashable, gaps: Gaps, compute: Compute, cost: QueryCost) -> Flight | None:
        """Begin to compute what there is to compute; who asks next joins this rather than an older flight."""
        if not gaps:
            return None
        flight = self._make(key, gaps, cost)
        self._flights.setdefault(key, {}).update(dict.fromkeys(gaps.items(), flight))
        flight.task = asyncio.create_task(flight.run(compute))
        self._tasks.add(flight.task)
        flight.task.add_done_callback(lambda _: self._end(flight))
        return flight

    async def _wait(
        self, joined: Mapping[Flight, Collection[int]], own: Flight | None, found: Encoded
    ) -> set[int]:
        """Take what the flights give; return the buckets of joined ones that have failed."""
        aboard = dict(joined) if own is None else {own: own.gaps, **joined}
        for flight in aboard:
            flight.waiting += 1
        lost: set[int] = set()
        try:
            for flight, buckets in list(aboard.items()):
                left = await flight.take(buckets, found)
                if left and flight is own:
                    own.task.result()
                lost |= left
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
        flights = self._flights.get(flight.key, {})
        others = {gap: other for gap, other in flights.items() if other is not flight}
        if others:
            self._flights[flight.key] = others
        else:
            self._flights.pop(flight.key, None)
