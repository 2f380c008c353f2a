"""Flights and shared scans as actors, which stand at their gates whoever waits for them, or has gone.

That of a question which is not an actor meets no gates either.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any

from evaluator.context import QueryContext
from evaluator.engine.blocks import TypeBlocks
from evaluator.engine.bucket_values import BucketValues
from evaluator.engine.revision_reads import RevisionReads
from evaluator.engine.shared_scan import SharedScan
from evaluator.engine.single_flight import Compute, Flight, Gaps
from evaluator.scheduling.scheduler import QueryCost
from tests.promise.actors import Actor, current


class Flights:
    """Makes the flights of one evaluator, and knows which are under way."""

    def __init__(self) -> None:
        self._actors: list[Actor] = []

    @property
    def actors(self) -> list[Actor]:
        """Those that have not ended, in the order of their beginnings."""
        self._actors = [actor for actor in self._actors if not actor.done]
        return self._actors

    def make(self, key: Hashable, gaps: Gaps, cost: QueryCost) -> Flight:
        """Make one, which is an actor from when it is run."""
        return _Flight(key, gaps, cost, self._actors)

    def share(self, gaps: Gaps, cost: QueryCost) -> SharedScan:
        """Make a scan that is shared, an actor likewise."""
        return _SharedScan(gaps, cost, self._actors)


class _Flight(Flight):
    def __init__(self, key: Hashable, gaps: Gaps, cost: QueryCost, actors: list[Actor]) -> None:
        super().__init__(key, gaps, cost)
        self._actors = actors

    async def run(self, compute: Compute[Any]) -> None:
        work = super().run(compute)
        if current() is None:
            await work
        else:
            actor = Actor(work)
            self._actors.append(actor)
            await actor.task

    async def until_more(self, seen: int) -> None:
        actor = current()
        more = super().until_more(seen)
        await (more if actor is None else actor.block(more))


class _SharedScan(SharedScan):
    def __init__(self, gaps: Gaps, cost: QueryCost, actors: list[Actor]) -> None:
        super().__init__(gaps, cost)
        self._actors = actors

    async def run(self, scan: Callable[[], Coroutine[None, None, None]]) -> None:
        work = super().run(scan)
        if current() is None:
            await work
        else:
            actor = Actor(work)
            self._actors.append(actor)
            await actor.task

    async def until(self, found: asyncio.Future[BucketValues | None]) -> BucketValues | None:
        actor = current()
        if actor is not None:
            await actor.block(found)
        return await super().until(found)


class SharedReads(RevisionReads):
    """Reads of revisions, for which an actor may wait that another one makes, as long as that takes."""

    def __init__(self, context: QueryContext, *, keeps: bool) -> None:
        super().__init__(context, gather_seconds=1e6, keeps=keeps)

    async def until_done(self, done: asyncio.Event) -> None:
        actor = current()
        ended = super().until_done(done)
        await (ended if actor is None else actor.block(ended))


class KeptBlocks(TypeBlocks):
    """Blocks of which an actor's read may be waited for by another."""

    async def until_free(self, lock: asyncio.Lock) -> None:
        actor = current()
        free = super().until_free(lock)
        await (free if actor is None else actor.block(free))
