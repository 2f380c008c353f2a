"""Computations in flight, shared by all who need the same bucket at the same revision.

Nothing is remembered once a computation has ended. To join one is as good as to read the cache: who
read the same revision of a bucket as the computation did, read it after every event that was
acknowledged by then had raised it, so before the computation's scan began.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping
from typing import TypeAlias

Gaps: TypeAlias = "Mapping[int, int]"
"""Bucket -> the revision that was read."""

Contents: TypeAlias = "dict[int, bytes]"
"""Bucket -> the content of its "value" cell."""


class Sharing:
    """The computations of one process that are in flight."""

    def __init__(self) -> None:
        self._flights: dict[Hashable, _Flight] = {}
        self._tasks: set[asyncio.Future[Contents]] = set()

    async def contents(
        self, key: Hashable, gaps: Gaps, compute: Callable[[Gaps], Awaitable[Contents]]
    ) -> Contents:
        """Return the contents of some gaps: those in flight are waited for, the others computed.

        A computation in flight gives only the buckets for which it was joined: it may be at work on the
        others at an older revision. It is cancelled once nobody waits for it; if it fails, all who wait fail.
        """
        joined: dict[_Flight, list[int]] = {}
        fresh: dict[Hashable, int] = {}
        for bucket, revision in gaps.items():
            name = (key, bucket, revision)
            if name in self._flights:
                joined.setdefault(self._flights[name], []).append(bucket)
            else:
                fresh[name] = bucket
        if fresh:
            mine = self._start(frozenset(fresh), {bucket: gaps[bucket] for bucket in fresh.values()}, compute)
            joined[mine] = list(fresh.values())
        for flight in joined:
            flight.waiting += 1
        try:
            await asyncio.wait([flight.task for flight in joined])
        finally:
            for flight in joined:
                self._leave(flight)
        found: Contents = {}
        for flight, buckets in joined.items():
            contents = flight.task.result()
            found.update({bucket: contents[bucket] for bucket in buckets if bucket in contents})
        return found

    async def close(self) -> None:
        """Return when all computations have ended, the cancelled ones included."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _start(
        self, names: frozenset[Hashable], gaps: Gaps, compute: Callable[[Gaps], Awaitable[Contents]]
    ) -> _Flight:
        flight = _Flight(names, asyncio.ensure_future(compute(gaps)))
        self._flights.update(dict.fromkeys(names, flight))
        self._tasks.add(flight.task)
        flight.task.add_done_callback(lambda _: self._end(flight))
        return flight

    def _leave(self, flight: _Flight) -> None:
        flight.waiting -= 1
        if flight.waiting == 0 and not flight.task.done():
            self._forget(flight)
            flight.task.cancel()

    def _end(self, flight: _Flight) -> None:
        self._tasks.discard(flight.task)
        self._forget(flight)
        if not flight.task.cancelled():
            flight.task.exception()  # who waits raises it; nobody may be left to

    def _forget(self, flight: _Flight) -> None:
        for name in flight.names:
            if self._flights.get(name) is flight:
                del self._flights[name]


class _Flight:
    """One computation, and how many wait for it."""

    __slots__ = ("names", "task", "waiting")

    def __init__(self, names: frozenset[Hashable], task: asyncio.Future[Contents]) -> None:
        self.names = names
        self.task = task
        self.waiting = 0
