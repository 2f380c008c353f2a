"""Funnels, retentions and sessions: their series, from the cache and from events.

The promise is the pyramid's, with other revisions: of each bucket a digest of those of all the buckets that
it depends on (`evaluator.engine.sequence_revisions`), read before any event. What was cached counts at that
digest alone, so an event that comes late shows wherever it matters, however far that is.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias, assert_never

import numpy as np

from cube.columns import SEMANTICS
from cube.expression import print_expression
from cube.expression.nodes import Cohorts, Funnel, SequenceExpression, SessionReduction
from cube.model import instant
from cube.model.grid import Grid, simplified
from cube.model.tier import WEEK, Span, Tier
from cube.settings import EvaluatorLimits
from cube.store.bucket_revisions import NO_REVISIONS, BucketRevisions
from cube.store.metric_ports import CachedBucket, CacheKey, MetricStore
from cube.store.ports import Revisions
from evaluator.context import QueryContext, within
from evaluator.engine.bucket_values import BucketValues, read_series
from evaluator.engine.frames import Frame
from evaluator.engine.grid_revisions import keeper
from evaluator.engine.reading import runs
from evaluator.engine.scan import Scan
from evaluator.engine.sequence_events import SequenceScan, bucket_edges, counted, parts
from evaluator.engine.sequence_revisions import (
    Reach,
    ReachRevisions,
    bucket_revisions,
    reaches,
    vouching_tier,
)
from evaluator.engine.series import VALUE, ReductionJob, Series, check_memory, check_size
from evaluator.engine.single_flight import FlightPart, Gaps, SingleFlight
from evaluator.engine.states import Encoded
from evaluator.engine.store_blocks import StoreBlocks
from evaluator.engine.value_codec import KIND
from evaluator.scheduling.scheduler import QueryCost

ReadRevisions: TypeAlias = Callable[[str, Tier, Span], Awaitable[Revisions]]

_EVERYTHING: Final = Span(WEEK.ceil(instant.EARLIEST), WEEK.floor(instant.LATEST))
_APART: Final = 52
"""So many weeks without events are read as part of a longer span."""


@dataclass(frozen=True, slots=True)
class SequenceJob:
    """One sequence over a grid, and the revisions of all that it depends on."""

    node: SequenceExpression
    text: str
    grid: Grid
    vouching: Tier
    known: Sequence[ReachRevisions]

    @property
    def type(self) -> str:
        """The type whose events a bucket has: of the first step, of the cohort, or of the sessions."""
        return self.known[0].reach.type

    @property
    def expired_before(self) -> int | None:
        """Before which a bucket's own events are, or may be, gone."""
        return self.known[0].revisions.expired_before

    @property
    def is_foreign(self) -> bool:
        """Whether revisions say nothing of some of the events."""
        return any(each.revisions.foreign for each in self.known)

    @property
    def key(self) -> CacheKey:
        is_grouped = isinstance(self.node, SessionReduction) and self.node.reduction.is_grouped
        kind = KIND if is_grouped else VALUE
        of = kind if isinstance(self.grid, Tier) else f"{kind} {self.grid.text}"
        return CacheKey(self.type, self.text, of, SEMANTICS)


class Sequences:
    """Measures sequences over one store.

    ``metrics``: what was computed. ``read``: reads the revisions of a type, tier and span, and builds those
    of a type that has none. ``on_computed`` is told the type, the text and the milliseconds it took.
    """

    def __init__(
        self,
        context: QueryContext,
        blocks: StoreBlocks | None,
        metrics: MetricStore,
        flights: SingleFlight,
        read: ReadRevisions,
        on_computed: Callable[[str, str, float], None] | None = None,
    ) -> None:
        self._context = context
        self._blocks = blocks
        self._metrics = metrics
        self._flights = flights
        self._read = read
        self._on_computed = on_computed

    async def measure(self, node: SequenceExpression, grid: Grid, span: Span, cost: QueryCost) -> Series:
        """Return the values of a sequence in each bucket of an aligned span.

        They count every event that was acknowledged before the call. Raises as `Pyramid.measure` does.
        """
        check_size(self._context.limits, len(grid.buckets(span)), _groups(node))
        grid = simplified(grid, span)
        job = await self._job(node, grid, span)
        if job.is_foreign:
            numbers = BucketRevisions.of(dict.fromkeys(grid.buckets(span), 1))
            contents: Encoded = {}
            async for part in self._compute(job, numbers, cost):
                contents |= part.contents
        else:
            numbers = bucket_revisions(job.known, bucket_edges(grid, span))
            contents = await self._contents(job, numbers, span, cost)
        return await self._context.scheduler.run(
            cost, sequence_series, job, numbers, contents, span, self._context.limits
        )

    async def measure_windows(self, node: SequenceExpression, frame: Frame, cost: QueryCost) -> Series:
        """Return the values of a sequence over a frame's intervals, which are no buckets and may overlap.

        Nothing of them is kept: they are computed from events each time. Else it is as `measure`.
        """
        context, began = self._context, time.monotonic()
        check_size(context.limits, frame.count, _groups(node))
        job = await self._job(node, frame.grid, frame.hull())
        starts, stops = frame.intervals()
        async with (
            within(context.limits.query_seconds),
            context.session(cost) as (session, time_slice),
        ):
            scan = Scan(context, session, time_slice, self._blocks, context.limits)
            work = SequenceScan(scan, job.node, job.grid, job.vouching, job.known)
            found = await work.windows(starts, stops)
        if self._on_computed is not None:
            self._on_computed(job.type, job.text, (time.monotonic() - began) * 1000)
        if job.expired_before is not None:
            for values in (found.default, *(found.groups or {}).values()):
                values[starts < job.expired_before] = np.nan
        return found

    async def digest(self, node: SequenceExpression, grid: Grid, span: Span) -> int | None:
        """Return what tells whether a sequence's series over a span is still the same; None: nothing does."""
        job = await self._job(node, grid, span)
        if job.is_foreign:
            return None
        whole = np.array([span.start, span.stop], dtype=np.int64)
        return hash(tuple(int(each.digests(whole)[0]) for each in job.known))

    async def _job(self, node: SequenceExpression, grid: Grid, span: Span) -> SequenceJob:
        vouching = vouching_tier(node, grid)
        known = [
            ReachRevisions(reach, vouching, await self._revisions(reach, vouching, span))
            for reach in reaches(node)
        ]
        return SequenceJob(node, print_expression(node), grid, vouching, known)

    async def _revisions(self, reach: Reach, tier: Tier, span: Span) -> Revisions:
        inside = reach.span(span)
        if inside is not None:
            return await self._read(reach.type, tier, tier.cover(inside))
        weeks = await self._read(reach.type, WEEK, _EVERYTHING)
        end = tier.cover(span).stop
        numbers = NO_REVISIONS
        found = weeks
        for run in runs(*_joined_weeks(weeks.numbers, end), WEEK, bridge=_APART):
            found = await self._read(reach.type, tier, Span(run.start, min(run.stop, end)))
            numbers = numbers.joined(found.numbers)
        return replace(found, numbers=numbers)

    async def _contents(
        self, job: SequenceJob, numbers: BucketRevisions, span: Span, cost: QueryCost
    ) -> Encoded:
        valid: Encoded = {}
        if job.grid.cached and numbers:
            tier = keeper(job.grid)
            found = await self._metrics.read(job.key, tier, tier.cover(span))
            cached = ((bucket, found.get(tier.floor(bucket))) for bucket in numbers)
            valid = {bucket: one.content for bucket, one in cached if one and one.revision == numbers[bucket]}
        gaps = numbers.without(np.array([*valid], dtype=np.int64))
        self._context.looked_up(len(valid), len(gaps))
        if gaps:
            parts = await self._flights.parts(
                (job.text, job.type, job.grid.text, job.expired_before),
                gaps,
                lambda some: self._compute(job, some, cost),
                cost,
            )
            for part in parts:
                valid |= {bucket: part.contents[bucket] for bucket in part.gaps if bucket in part.contents}
        return valid

    async def _compute(
        self, job: SequenceJob, gaps: Gaps, cost: QueryCost
    ) -> AsyncGenerator[FlightPart[Encoded], None]:
        """Compute and save some buckets, part by part; what has expired has no content."""
        context, began, held = self._context, time.monotonic(), 0
        expired = job.expired_before
        first = 0 if expired is None else int(gaps.buckets.searchsorted(expired))
        fresh = gaps.buckets[first:].tolist()
        if first:
            yield FlightPart(gaps.rows(0, first), {})
        async with (
            within(context.limits.query_seconds),
            context.session(cost) as (session, time_slice),
        ):
            scan = Scan(context, session, time_slice, self._blocks, context.limits)
            work = SequenceScan(scan, job.node, job.grid, job.vouching, job.known)
            for part in parts(job.node, fresh, job.grid) if fresh else ():
                contents = await work.contents(part)
                held += sum(map(len, contents.values()))
                check_memory(context.limits, held)
                if job.grid.cached and not job.is_foreign:
                    tier = keeper(job.grid)
                    kept = {tier.floor(at): CachedBucket(gaps[at], each) for at, each in contents.items()}
                    await self._metrics.save(job.key, tier, kept, time_slice)
                yield FlightPart(gaps.only(np.array(part, dtype=np.int64)), contents)
        if self._on_computed is not None:
            self._on_computed(job.type, job.text, (time.monotonic() - began) * 1000)


def sequence_series(
    job: SequenceJob, numbers: BucketRevisions, contents: Encoded, span: Span, limits: EvaluatorLimits
) -> Series:
    """Make the series of a sequence of its contents by bucket; those of other buckets are empty, or lost.

    The groups of a funnel are its steps, from 1; those of a retention 0, the cohort, and the later periods.
    """
    if isinstance(job.node, SessionReduction):
        reduction = ReductionJob(job.node.reduction, job.text, job.grid, job.expired_before)
        values = BucketValues.decoded(contents, grouped=job.node.reduction.is_grouped)
        return read_series(reduction, numbers, [values], span, limits)
    buckets = job.grid.buckets(span)
    expired = job.expired_before
    default, table = np.zeros(len(buckets)), np.zeros((len(buckets), _groups(job.node)))
    for place, bucket in enumerate(buckets):
        content = contents.get(bucket)
        if content is not None:
            table[place] = np.frombuffer(content, dtype="<f8")
        elif bucket in numbers or (expired is not None and bucket < expired):
            table[place] = default[place] = np.nan
    return Series(default, counted(job.node, table).groups)


def _groups(node: SequenceExpression) -> int:
    match node:
        case Funnel(steps=steps):
            return len(steps)
        case Cohorts(periods=periods):
            return periods + 1
        case SessionReduction():
            return 0
        case _:
            assert_never(node)


def _joined_weeks(numbers: Mapping[int, int], stop: int) -> tuple[list[int], range]:
    """Return the weeks that have events and begin before a time, and all between them."""
    weeks = sorted(week for week in numbers if week < stop)
    return weeks, range(weeks[0], weeks[-1] + 1, WEEK.step) if weeks else range(0)
