"""The pyramid: the values of expressions, of their reductions, from the cache, from finer tiers, from events.

What is believed, and when, is in ``docs/decisions/0001-revisions.md``. The two orders that carry it:
revisions are read before what they vouch for is scanned, and a coarse tier's before the finer one's.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

import numpy as np

from cube.expression import canonical_text
from cube.expression.nodes import MetricExpression, Reduction, SequenceExpression
from cube.model.grid import Grid, simplified
from cube.model.tier import Span, Tier
from cube.store.bucket_revisions import NO_REVISIONS, BucketRevisions
from cube.store.metric_ports import CachedBucket, MetricStore
from cube.store.ports import Revisions
from evaluator.context import QueryContext, within
from evaluator.engine.bucket_values import NOTHING_FOUND, BucketValues, FoundBuckets, bytes_of
from evaluator.engine.builds import Builds
from evaluator.engine.computation import Computation, look_up
from evaluator.engine.framed import FramedAnswers
from evaluator.engine.grid_computation import GridComputation
from evaluator.engine.grid_revisions import GridRevisions, keeper, read_grid_revisions
from evaluator.engine.kept_series import KEPT_BUCKETS, KeptSeries, SeriesCache, dense, unknown, whole
from evaluator.engine.plain import PlainAnswers, is_plain
from evaluator.engine.ranking import unbounded
from evaluator.engine.revision_reads import RevisionReads
from evaluator.engine.scan import Scan
from evaluator.engine.series import VALUE, ReductionJob, Series, check_memory
from evaluator.engine.shared_scan import SharedScan
from evaluator.engine.shared_scans import SharedScans
from evaluator.engine.single_flight import FlightPart, Gaps, SingleFlight
from evaluator.engine.states import MAX_PARTIAL_BYTES, Encoded
from evaluator.engine.store_blocks import StoreBlocks
from evaluator.engine.time_functions import Leaf
from evaluator.engine.together import Together
from evaluator.scheduling.scheduler import QueryCost


class Pyramid:
    """Evaluates expressions over one store; safe for any number of concurrent callers.

    ``blocks``: those that are kept, if any are. ``on_computed`` is told the type, the reduction's text and
    the milliseconds of each computation. ``flights``: its computations under way. ``series``: keeps what was
    answered, where it is given. ``metrics``: the cache of metrics, where it is not the store's own.
    ``reads``: its reads of revisions. ``share``: makes its shared scans.
    """

    def __init__(
        self,
        context: QueryContext,
        blocks: StoreBlocks | None = None,
        *,
        on_computed: Callable[[str, str, float], None] | None = None,
        flights: SingleFlight | None = None,
        series: SeriesCache | None = None,
        metrics: MetricStore | None = None,
        reads: RevisionReads | None = None,
        share: Callable[[Gaps, QueryCost], SharedScan] = SharedScan,
    ) -> None:
        self.context: Final = context
        self.blocks = blocks
        self._flights = SingleFlight() if flights is None else flights
        self._series = series
        self._metrics = context.store.metrics if metrics is None else metrics
        self._reads = RevisionReads(context, keeps=series is not None) if reads is None else reads
        self._on_computed = on_computed
        self._builds = Builds(context.store.events)
        shared = (self._flights, self.revisions, self.scan, on_computed, self._metrics, series)
        self._plain = PlainAnswers(context, self.measure, series, Together(context, blocks, *shared))
        self._framed = FramedAnswers(
            context, self, blocks, self._flights, self._metrics, on_computed, keeps=series is not None
        )
        self._shared_scans = None if blocks is None else SharedScans(blocks, self._metrics, self.scan, share)

    async def evaluate(
        self,
        expression: MetricExpression,
        grid: Grid,
        span: Span,
        cost: QueryCost,
        *,
        origin: int | None = None,
    ) -> Series:
        """Return the series of an expression over the buckets of an aligned span, which may be empty.

        Each of its reductions and sequences is measured once in each frame. ``origin``: where what is
        cumulative begins; None: with the span. Raises as `measure` does.
        """
        if is_plain(expression):
            return await self._plain.evaluate(expression, grid, span, cost)
        begin = span.start if origin is None else origin
        return await self._framed.evaluate(expression, grid, span, cost, begin)

    async def beyond(self, leaf: Leaf, sequence: SequenceExpression) -> int | None:
        """Return what tells whether a sequence's series is as it was, though it depends on other buckets.

        None where nothing tells that.
        """
        return await self._framed.beyond(leaf, sequence)

    async def ranking_digest(self, expression: MetricExpression, grid: Grid, span: Span) -> int | None:
        """Return what tells whether an expression's ranking chooses what it did; None where nothing does."""
        return await self._framed.ranking_digest(expression, grid, span)

    async def measure(self, reduction: Reduction, grid: Grid, span: Span, cost: QueryCost) -> Series:
        """Return the values of a reduction in each bucket of an aligned span, at the cost of a query.

        They count every event that was acknowledged before the call. Warm, this takes one find, of
        revisions, or another of cached metrics, and reads no event.

        Raises `LimitExceeded`, `DeadlineExceeded` or `QueueFull` over the limits, `Unavailable` where
        the store does not answer.
        """
        grid = simplified(grid, span)
        read = await self.read(reduction.type, grid, span)
        revisions = read.revisions
        job = ReductionJob(reduction, canonical_text(reduction), grid, revisions.expired_before)
        if revisions.foreign:
            async with self.scan(cost) as scan:
                values = await self._computing(scan, job).foreign(job, span)
            return await self._read_series(job, revisions.numbers, FoundBuckets.of(values), span, cost)
        if not revisions.numbers and revisions.expired_before is None:
            return await self._read_series(job, NO_REVISIONS, NOTHING_FOUND, span, cost)
        is_long = len(grid.buckets(span)) > KEPT_BUCKETS
        if self._series is None or is_long or not grid.cached or job.is_expired(span.start):
            found = await self.find(job, read, revisions.numbers, span, cost)
            return await self._read_series(job, revisions.numbers, found, span, cost)
        return await self._kept_series(self._series, job, read, span, cost)

    async def total(
        self, job: ReductionJob, read: GridRevisions, span: Span, cost: QueryCost
    ) -> BucketValues:
        """Return the values of all events of a span together, as one bucket's, of any number of groups."""
        async with self.scan(cost, of_all_groups=True) as scan:
            state = await self._computing(scan, job, MAX_PARTIAL_BYTES).total(job, read, span)
            return await scan.run(BucketValues.of_states, job.reduction, {span.start: state})

    async def revisions(self, type: str, grid: Grid, span: Span) -> Revisions:
        """Read the revisions of a span, at 1 s those of the 10 s around.

        Those of a type that another tool has filled are built first. Those of a grid that is not a tier are
        made of several: each changes whenever one of these does.
        """
        return (await self.read(type, simplified(grid, span), span)).revisions

    async def read(self, type: str, grid: Grid, span: Span) -> GridRevisions:
        """Read what `revisions` does, with what those of a grid are made of; the grid is a simplified one."""
        while True:
            if isinstance(grid, Tier):
                read = GridRevisions(await self._reads.read(type, grid, span))
            else:
                read = await read_grid_revisions(partial(self._reads.read, type), grid, span)
            revisions = read.revisions
            if revisions.complete or revisions.foreign or not revisions.known:
                return read
            await self.build(type)

    async def build(self, type: str) -> None:
        """Build a type's revisions, together with all who need them."""
        await self._builds.build(type)

    async def close(self) -> None:
        """Return when the work that nobody waits for any more has released the store."""
        await self._builds.close()
        await self._flights.close()
        if self._shared_scans is not None:
            await self._shared_scans.close()

    async def _kept_series(
        self, cache: SeriesCache, job: ReductionJob, read: GridRevisions, span: Span, cost: QueryCost
    ) -> Series:
        """Return the series of a job: from memory where the revisions are those that were read."""
        grid, numbers = job.grid, read.revisions.numbers
        wanted = dense(numbers, grid, span)
        key = (self.context.store, job.reduction.type, job.text, grid.text)
        kept = cache.get(key)
        known = np.zeros(len(wanted), dtype=np.bool_) if kept is None else kept.known(span, wanted)
        if kept is not None and known.all():
            self.context.looked_up(len(numbers), 0)
            return kept.part(span)
        rest = unknown(numbers, known, grid, span)
        found = NOTHING_FOUND
        if rest:
            self.context.looked_up(len(numbers) - len(rest), 0)
            part = Span(int(rest.buckets[0]), grid.after(int(rest.buckets[-1])))
            found = await self.find(job, read, rest, part, cost)
        series = await self._read_series(job, rest, found, span, cost)
        if kept is not None:
            series = kept.completed(span, known, series)
        if not found.lacks_any(rest):  # else some are lost, since they expired meanwhile
            series = whole(series, wanted)
            cache.put(key, KeptSeries(grid, span, wanted, series))
        return series

    async def _read_series(
        self, job: ReductionJob, numbers: BucketRevisions, found: FoundBuckets, span: Span, cost: QueryCost
    ) -> Series:
        arguments = (job, numbers, span, self.context.limits)
        if found.is_quick(len(job.grid.buckets(span)), grouped=job.reduction.is_grouped):
            return found.series(*arguments)
        return await self.context.scheduler.run(cost, found.series, *arguments)

    async def find(
        self,
        job: ReductionJob,
        read: GridRevisions,
        numbers: BucketRevisions,
        span: Span,
        cost: QueryCost,
        kind: str = VALUE,
    ) -> FoundBuckets:
        """Find what buckets come to at the revisions that were read: cached, or computed with all who ask.

        ``numbers``: of all that are wanted, within the span. Raises as `measure` does.
        """
        valid: Encoded = {}
        spares = kind == VALUE and self.blocks is not None and self.blocks.spare_lookup(job, numbers)
        if job.grid.cached and not spares:
            valid = job.believed(await self._cached(job, numbers, span, kind), numbers)
        gaps = numbers.without(np.array(sorted(valid), dtype=np.int64)) if valid else numbers
        self.context.looked_up(len(valid), len(gaps))
        if not gaps:
            return FoundBuckets(valid, ())
        computed = await self._flights.parts(
            (job.text, job.reduction.type, job.grid.text, job.expired_before, kind),
            gaps,
            lambda some: self._compute(job, some, read, cost, kind),
            cost,
        )
        found = FoundBuckets(valid, computed)
        check_memory(self.context.limits, found.bytes)
        return found

    async def _cached(
        self, job: ReductionJob, numbers: BucketRevisions, span: Span, kind: str
    ) -> Mapping[int, CachedBucket]:
        """Read what is cached of a span, at whatever revision; see `keeper`."""
        tier = keeper(job.grid)
        found = await look_up(self._metrics, job, kind, tier, tier.cover(span))
        if tier is job.grid:
            return found
        places = ((bucket, tier.floor(bucket)) for bucket in numbers)
        return {bucket: found[place] for bucket, place in places if place in found}

    async def _compute(
        self,
        job: ReductionJob,
        gaps: Gaps,
        read: GridRevisions,
        cost: QueryCost,
        kind: str,
    ) -> AsyncGenerator[FlightPart[BucketValues | Encoded], None]:
        """Compute and save some buckets of the grid that is asked for, in a session of its own.

        Whole slices are kept, whatever comes after them; one that is cut leaves nothing.
        """
        began, held = time.monotonic(), 0
        found = None
        if self._shared_scans is not None and kind == VALUE:
            found = await self._shared_scans.values(job, gaps, cost)
        if found is not None:
            yield FlightPart(gaps, found)
        else:
            async with self.scan(cost) as scan:
                computing = self._computing(scan, job)
                for part in computing.slices(gaps, job, read, kind):
                    contents = await computing.contents(job, part, read, kind)
                    held += bytes_of(contents)
                    check_memory(self.context.limits, held)
                    yield FlightPart(part, contents)
        if self._on_computed is not None:
            self._on_computed(job.reduction.type, job.text, (time.monotonic() - began) * 1000)

    @asynccontextmanager
    async def scan(self, cost: QueryCost, *, of_all_groups: bool = False) -> AsyncIterator[Scan]:
        """Begin to compute, in a session of its own; ``of_all_groups``: without a bound of their number."""
        context = self.context
        limits = unbounded(context.limits) if of_all_groups else context.limits
        async with (
            within(context.limits.query_seconds),
            context.session(cost) as (session, time_slice),
        ):
            yield Scan(context, session, time_slice, self.blocks, limits)

    def _computing(
        self, scan: Scan, job: ReductionJob, most: int | None = None
    ) -> Computation | GridComputation:
        tiers = Computation(scan, self._metrics, most)
        return tiers if isinstance(job.grid, Tier) else GridComputation(scan, self._metrics, tiers)
