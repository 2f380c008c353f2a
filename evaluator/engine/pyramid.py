"""The pyramid: the values of expressions, from the cache, from finer tiers, from events.

What is believed, and when, is in ``docs/decisions/0001-revisions.md``. The two orders that carry it:
revisions are read before what they vouch for is scanned, and a coarse tier's before the finer one's.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

import numpy as np

from cube.expression import canonical_text, print_expression
from cube.expression.nodes import MetricExpression, Reduction, SequenceExpression, SessionReduction
from cube.model.grid import Grid, simplified
from cube.model.tier import Span, Tier
from cube.store.ports import CachedBucket, MetricStore, Revisions
from evaluator.context import QueryContext, within
from evaluator.engine import windows
from evaluator.engine.blocks import StoreBlocks
from evaluator.engine.builds import Builds
from evaluator.engine.computation import Computation, look_up
from evaluator.engine.first_keys import FirstKeys
from evaluator.engine.frames import Frame
from evaluator.engine.grid_computation import GridComputation
from evaluator.engine.grid_revisions import GridRevisions, keeper, read_grid_revisions
from evaluator.engine.kept_series import KEPT_BUCKETS, KeptSeries, SeriesCache, dense, unknown, whole
from evaluator.engine.plain import PlainAnswers, all_of, is_plain
from evaluator.engine.ranker import Ranker
from evaluator.engine.ranking import named, unbounded
from evaluator.engine.revision_reads import RevisionReads
from evaluator.engine.scan import Scan
from evaluator.engine.sequences import Sequences
from evaluator.engine.series import THREAD_ROWS, VALUE, ReductionJob, Series, check_size, read_series
from evaluator.engine.shared_scans import SharedScan, SharedScans
from evaluator.engine.single_flight import FlightPart, Gaps, SingleFlight
from evaluator.engine.states import (
    MAX_PARTIAL_BYTES,
    Encoded,
    States,
    check_memory,
    decode,
    encode_value,
    partial_kind,
    weight,
)
from evaluator.engine.time_functions import Leaf, Measured, computed, leaves, lowered
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
        self._on_computed = on_computed
        self._flights = SingleFlight() if flights is None else flights
        self._series = series
        self._metrics = context.store.metrics if metrics is None else metrics
        self._reads = RevisionReads(context) if reads is None else reads
        shared = (context, blocks, self._flights, self.revisions, self._scan, on_computed)
        self._plain = PlainAnswers(context, self.measure, series, Together(*shared, self._metrics, series))
        self._ranker = Ranker(context, self._read, self._flights, self._total, keeps=series is not None)
        self._builds = Builds(context.store.events)
        self._sequences = Sequences(
            context, blocks, self._metrics, self._flights, self.revisions, on_computed
        )
        self._firsts = FirstKeys(*shared)
        self._shared_scans = None if blocks is None else SharedScans(blocks, self._metrics, self._scan, share)

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
        limits, frame = self.context.limits, Frame(grid, span, span.start if origin is None else origin)
        if frame.count:
            expression = await self._ranker.with_chosen(expression, grid, span, cost)
        expression = lowered(expression)
        wanted = dict(leaves(expression, frame))
        if not frame.count:
            return Series(np.empty(0), {} if any(map(_is_grouped, wanted.values())) else None)
        check_size(limits, max(leaf.frame.count for leaf in wanted) if wanted else frame.count, 0)
        measured = await all_of(
            {leaf: partial(self._measure_leaf, leaf, each, cost) for leaf, each in wanted.items()}
        )
        if any(series.groups is not None for series in measured.values()):
            run = self.context.scheduler.run
            return named(await run(cost, computed, expression, frame, measured, limits))
        return computed(expression, frame, measured, limits)

    async def measure(self, reduction: Reduction, grid: Grid, span: Span, cost: QueryCost) -> Series:
        """Return the values of a reduction in each bucket of an aligned span, at the cost of a query.

        They count every event that was acknowledged before the call. Warm, this takes one find, of
        revisions, or another of cached metrics, and reads no event.

        Raises `LimitExceeded`, `DeadlineExceeded` or `QueueFull` over the limits, `Unavailable` where
        the store does not answer.
        """
        grid = simplified(grid, span)
        read = await self._read(reduction.type, grid, span)
        revisions = read.revisions
        job = ReductionJob(reduction, canonical_text(reduction), grid, revisions.expired_before)
        if revisions.foreign:
            async with self._scan(cost) as scan:
                contents = await self._computing(scan, job).foreign(job, span)
            return await self._read_series(job, revisions.numbers, contents, span, cost)
        if not revisions.numbers and revisions.expired_before is None:
            return await self._read_series(job, {}, {}, span, cost)
        is_long = len(grid.buckets(span)) > KEPT_BUCKETS
        if self._series is None or is_long or not grid.cached or job.is_expired(span.start):
            contents = await self._contents(job, read, revisions.numbers, span, cost)
            return await self._read_series(job, revisions.numbers, contents, span, cost)
        return await self._kept_series(self._series, job, read, span, cost)

    async def _total(self, job: ReductionJob, read: GridRevisions, span: Span, cost: QueryCost) -> bytes:
        """Return the "value" content of all events of a span together, of any number of groups."""
        async with self._scan(cost, of_all_groups=True) as scan:
            state = await self._computing(scan, job, MAX_PARTIAL_BYTES).total(job, read, span)
            return await scan.run(encode_value, job.reduction, state)

    async def beyond(self, leaf: Leaf, sequence: SequenceExpression) -> int | None:
        """Return what tells whether a sequence's series is as it was, though it depends on other buckets.

        None where nothing tells that.
        """
        return await self._sequences.digest(sequence, leaf.frame.grid, leaf.frame.hull())

    async def ranking_digest(self, expression: MetricExpression, grid: Grid, span: Span) -> int | None:
        """Return what tells whether an expression's ranking chooses what it did; None where nothing does."""
        return await self._ranker.digest(expression, grid, span)

    async def revisions(self, type: str, grid: Grid, span: Span) -> Revisions:
        """Read the revisions of a span, at 1 s those of the 10 s around.

        Those of a type that another tool has filled are built first. Those of a grid that is not a tier are
        made of several: each changes whenever one of these does.
        """
        return (await self._read(type, simplified(grid, span), span)).revisions

    async def _read(self, type: str, grid: Grid, span: Span) -> GridRevisions:
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

    async def _measure_leaf(self, leaf: Leaf, measured: Measured, cost: QueryCost) -> Series:
        span = leaf.frame.aligned()
        if not isinstance(measured, Reduction):
            if span is None:
                return await self._sequences.measure_windows(measured, leaf.frame, cost)
            return await self._sequences.measure(measured, leaf.frame.grid, span, cost)
        if span is not None:
            return await self.measure(measured, leaf.frame.grid, span, cost)
        counted = await self._firsts.measure(measured, leaf.frame, cost)
        if counted is not None:
            return counted
        limits, run = self.context.limits, self.context.scheduler.run
        starts, stops = leaf.frame.intervals()
        states: States = {}
        for tier, buckets in (await run(cost, windows.parts, leaf.frame, limits.cells)).items():
            states |= await self.states(measured, tier, buckets, cost)
            check_memory(limits, sum(weight(state) for state in states.values() if state))
        return await run(cost, windows.series, measured, starts, stops, states, limits)

    async def states(
        self, reduction: Reduction, tier: Tier, buckets: Sequence[int], cost: QueryCost
    ) -> States:
        """Return the states of ascending buckets that have samples; None of one that is lost.

        They are as fresh as what `measure` returns, and raise as that does.
        """
        found: States = {}
        wanted = set(buckets)
        for span in windows.spans(buckets, tier):
            read = await self._read(reduction.type, tier, span)
            revisions = read.revisions
            job = ReductionJob(reduction, print_expression(reduction), tier, revisions.expired_before)
            numbers = {bucket: number for bucket, number in revisions.numbers.items() if bucket in wanted}
            if revisions.foreign:
                async with self._scan(cost) as scan:
                    states = await Computation(scan, self._metrics).foreign_states(job, span)
            else:
                kind = partial_kind(reduction)
                contents = await self._contents(job, read, numbers, span, cost, kind) if numbers else {}
                lost = dict.fromkeys(job.lost(numbers, contents, span))
                states = lost | await self.context.scheduler.run(cost, decode, reduction, contents)
            found |= {bucket: state for bucket, state in states.items() if bucket in wanted}
        return found

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
        contents: Encoded = {}
        if rest:
            self.context.looked_up(len(numbers) - len(rest), 0)
            part = Span(min(rest), grid.after(max(rest)))
            contents = await self._contents(job, read, rest, part, cost)
        series = await self._read_series(job, rest, contents, span, cost)
        if kept is not None:
            series = kept.completed(span, known, series)
        if contents.keys() >= rest.keys():  # else some are lost, since they expired meanwhile
            series = whole(series, wanted)
            cache.put(key, KeptSeries(grid, span, wanted, series))
        return series

    async def _read_series(
        self, job: ReductionJob, numbers: Mapping[int, int], contents: Encoded, span: Span, cost: QueryCost
    ) -> Series:
        arguments = (job, numbers, contents, span, self.context.limits)
        if len(contents) <= THREAD_ROWS and not job.reduction.is_grouped:
            return read_series(*arguments)
        return await self.context.scheduler.run(cost, read_series, *arguments)

    async def _contents(
        self,
        job: ReductionJob,
        read: GridRevisions,
        numbers: Mapping[int, int],
        span: Span,
        cost: QueryCost,
        kind: str = VALUE,
    ) -> Encoded:
        valid: Encoded = {}
        spares = kind == VALUE and self.blocks is not None and self.blocks.spare_lookup(job, numbers)
        if job.grid.cached and not spares:
            valid = job.believed(await self._cached(job, numbers, span, kind), numbers)
        gaps = numbers
        if valid:
            gaps = {bucket: revision for bucket, revision in numbers.items() if bucket not in valid}
        self.context.looked_up(len(valid), len(gaps))
        if gaps:
            valid |= await self._flights.contents(
                (job.text, job.reduction.type, job.grid.text, job.expired_before, kind),
                gaps,
                lambda some: self._compute(job, some, read, cost, kind, shares=spares),
                cost,
            )
            check_memory(self.context.limits, sum(map(len, valid.values())))
        return valid

    async def _cached(
        self, job: ReductionJob, numbers: Mapping[int, int], span: Span, kind: str
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
        *,
        shares: bool = False,
    ) -> AsyncGenerator[FlightPart, None]:
        """Compute and save some buckets of the grid that is asked for, in a session of its own.

        Whole slices are kept, whatever comes after them; one that is cut leaves nothing. ``shares``: whether
        they are worth a scan that is shared.
        """
        began, held = time.monotonic(), 0
        found = None
        if shares and self._shared_scans is not None:
            found = await self._shared_scans.contents(job, gaps, cost)
        if found is not None:
            yield FlightPart(gaps, found)
        else:
            async with self._scan(cost) as scan:
                computing = self._computing(scan, job)
                for part in computing.slices(gaps, job, read, kind):
                    contents = await computing.contents(job, part, read, kind)
                    held += sum(map(len, contents.values()))
                    check_memory(self.context.limits, held)
                    yield FlightPart(part, contents)
        if self._on_computed is not None:
            self._on_computed(job.reduction.type, job.text, (time.monotonic() - began) * 1000)

    @asynccontextmanager
    async def _scan(self, cost: QueryCost, *, of_all_groups: bool = False) -> AsyncIterator[Scan]:
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


def _is_grouped(each: Measured) -> bool:
    reduction = each.reduction if isinstance(each, SessionReduction) else each
    return not isinstance(reduction, Reduction) or reduction.is_grouped
