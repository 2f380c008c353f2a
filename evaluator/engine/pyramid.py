"""The pyramid: the values of one reduction, from the cache, from finer tiers, from events.

What is believed, and when, is in ``docs/decisions/0001-revisions.md``. The two orders that carry it:
revisions are read before what they vouch for is scanned, and a coarse tier's before the finer one's.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace

from cube.expression import print_expression
from cube.expression.nodes import Reduction
from cube.model.tier import SECOND, TEN_SECONDS, Span, Tier
from cube.process.threads import run_in_thread
from cube.store.ports import ReadOptions, ReadSession, Revisions, Store
from evaluator.engine import codec
from evaluator.engine.accumulator import check_memory
from evaluator.engine.computation import Computation
from evaluator.engine.job import ReductionJob, slices
from evaluator.engine.scan import Scan
from evaluator.engine.series import Bounds, Series, read_series
from evaluator.engine.single_flight import Encoded, FlightPart, Gaps, SingleFlight
from evaluator.instrumentation import QueryCounters
from evaluator.scheduling.deadline import within
from evaluator.scheduling.scheduler import QueryCost, Scheduler

_ASIDE = 2_000  # more buckets than these are put together in a thread


class Pyramid:
    """Measures reductions over one store; safe for any number of concurrent callers.

    ``scheduler``: shared with the other pyramids of the process. ``on_computed`` is told the type, the
    reduction's text and the milliseconds of each computation. ``flights``: its computations in flight.
    """

    def __init__(
        self,
        store: Store,
        scan: Scan,
        *,
        scheduler: Scheduler,
        bounds: Bounds,
        counters: QueryCounters,
        on_computed: Callable[[str, str, float], None] | None = None,
        flights: SingleFlight | None = None,
    ) -> None:
        self._store = store
        self._scan = scan
        self._flights = SingleFlight() if flights is None else flights
        self._builds: dict[str, asyncio.Task[None]] = {}
        self._scheduler = scheduler
        self._bounds = bounds
        self._counters = counters
        self._on_computed = on_computed

    async def measure(self, reduction: Reduction, tier: Tier, span: Span, cost: QueryCost) -> Series:
        """Return the values of a reduction in each bucket of an aligned span, as a part of a query's cost.

        They count every event that was acknowledged before the call. Warm, this takes two finds
        (revisions, and cached metrics) and reads no event.

        Raises `LimitExceeded`, `DeadlineExceeded` or `QueueFull` over the limits, `Unavailable` where
        the store does not answer.
        """
        revisions = await self.revisions(reduction.type, tier, span)
        job = ReductionJob(reduction, print_expression(reduction), tier, revisions.expired_before)
        if revisions.foreign:
            contents = await self._scan_foreign(job, span, cost)
        elif revisions.numbers or revisions.expired_before is not None:
            contents = await self._contents(job, revisions.numbers, span, cost)
        else:
            contents = {}

        lost = job.lost(revisions.numbers, contents, span)
        arguments = (reduction, tier, span, contents, lost, self._bounds)
        if len(contents) <= _ASIDE and reduction.group is None:
            return read_series(*arguments)
        async with self._scheduler.turn(cost):
            return await run_in_thread(read_series, *arguments)

    async def revisions(self, type: str, tier: Tier, span: Span) -> Revisions:
        """Read the revisions of a span, at 1 s those of the 10 s around.

        Those of a type that another tool has filled are built first.
        """
        while True:
            async with (
                self._scheduler.looks,
                self._store.events.read(ReadOptions(self._bounds.seconds)) as session,
            ):
                revisions = await _read_revisions(session, type, tier, span)
            if revisions.complete or revisions.foreign or not revisions.known:
                return revisions
            await self.build(type)

    async def build(self, type: str) -> None:
        """Build a type's revisions, together with all who need them.

        It goes on when they have given up: the next who asks finds it done, or further.
        """
        build = self._builds.get(type)
        if build is None:
            build = self._builds[type] = asyncio.create_task(self._store.events.build(type))
            build.add_done_callback(lambda ended: self._end_build(type, ended))
        await asyncio.wait([build])
        build.result()

    async def close(self) -> None:
        """Return when the work that nobody waits for any more has released the store."""
        builds = set(self._builds.values())
        for build in builds:
            build.cancel()
        if builds:
            await asyncio.wait(builds)
        await self._flights.close()

    def _end_build(self, type: str, build: asyncio.Task[None]) -> None:
        del self._builds[type]
        if not build.cancelled():
            build.exception()  # who waits raises it; nobody may be left to

    async def _contents(
        self, job: ReductionJob, numbers: Mapping[int, int], span: Span, cost: QueryCost
    ) -> Encoded:
        valid: Encoded = {}
        if job.tier.cached:
            found = await self._store.metrics.read(job.key(codec.VALUE), job.tier, span)
            valid = job.believed(found, numbers)
        gaps = {bucket: revision for bucket, revision in numbers.items() if bucket not in valid}
        self._counters.looked_up(len(valid), len(gaps))
        if gaps:
            valid |= await self._flights.contents(
                (job.text, job.reduction.type, job.tier.step, job.expired_before),
                gaps,
                lambda some: self._compute(job, some, numbers, cost),
                cost,
            )
            check_memory(sum(map(len, valid.values())), self._bounds)
        return valid

    async def _compute(
        self, job: ReductionJob, gaps: Gaps, numbers: Mapping[int, int], cost: QueryCost
    ) -> AsyncGenerator[FlightPart, None]:
        """Compute and save some buckets of the tier that is asked for, in a session of its own.

        Whole slices are kept, whatever comes after them; one that is cut leaves nothing.
        """
        began, held = time.monotonic(), 0
        async with self._computation(cost) as computation:
            for part in slices(gaps, job):
                contents = await computation.contents(job, part, numbers)
                held += sum(map(len, contents.values()))
                check_memory(held, self._bounds)
                yield FlightPart(part, contents)
        if self._on_computed is not None:
            self._on_computed(job.reduction.type, job.text, (time.monotonic() - began) * 1000)

    async def _scan_foreign(self, job: ReductionJob, span: Span, cost: QueryCost) -> Encoded:
        async with self._computation(cost) as computation:
            return await computation.foreign(job, span)

    @asynccontextmanager
    async def _computation(self, cost: QueryCost) -> AsyncIterator[Computation]:
        async with (
            within(self._bounds.seconds),
            self._scheduler.part(cost) as time_slice,
            self._store.events.read(ReadOptions(self._bounds.seconds, time_slice)) as session,
        ):
            yield Computation(self._store.metrics, self._scan, session, time_slice, self._bounds)


async def _read_revisions(session: ReadSession, type: str, tier: Tier, span: Span) -> Revisions:
    if tier is not SECOND:
        return await session.revisions(type, tier, span)
    coarse = await session.revisions(type, TEN_SECONDS, TEN_SECONDS.cover(span))
    numbers = {
        second: number
        for bucket, number in coarse.numbers.items()
        for second in range(bucket, bucket + TEN_SECONDS.step, SECOND.step)
        if second in span
    }
    return replace(coarse, numbers=numbers)
