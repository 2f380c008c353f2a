"""Several reductions of one expression in one pass: both sums of a share, and whatever else has one type.

Where the columns are in memory and are few, to look after a reduction (revisions, a session, a hop between
threads for each block) takes as long as to compute it. Here all of that is there once for all.

The promise is the pyramid's: revisions are read before the events, who shares a computation has read the
same ones, and each reduction's values are kept at these, as if it had been asked for alone.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TypeAlias

from cube.expression.nodes import Reduction
from cube.model.grid import Grid, simplified
from cube.model.reduce import REDUCES
from cube.model.tier import Span, Tier
from cube.store.bucket_revisions import BucketRevisions
from cube.store.metric_ports import MetricStore
from cube.store.ports import Revisions
from evaluator.context import QueryContext
from evaluator.engine.bucket_values import BucketValues, read_series
from evaluator.engine.computation import Computation, slices
from evaluator.engine.kept_series import KEPT_BUCKETS, KeptSeries, SeriesCache, dense, whole
from evaluator.engine.scan import Scan
from evaluator.engine.series import ReductionJob, Series
from evaluator.engine.single_flight import FlightPart, Gaps, SingleFlight
from evaluator.engine.store_blocks import StoreBlocks
from evaluator.scheduling.scheduler import QueryCost

ReadRevisions: TypeAlias = Callable[[str, Tier, Span], Awaitable[Revisions]]
OpenScan: TypeAlias = Callable[[QueryCost], AbstractAsyncContextManager[Scan]]


@dataclass(frozen=True, slots=True)
class Together:
    """Measures the reductions of one expression over one store.

    ``read``: reads revisions, and builds those of a type that has none. ``on_computed`` is told the type, the
    text of each reduction and the milliseconds that all took. ``series``: keeps what was answered.
    """

    context: QueryContext
    blocks: StoreBlocks | None
    flights: SingleFlight
    read: ReadRevisions
    scan: OpenScan
    on_computed: Callable[[str, str, float], None] | None
    metrics: MetricStore
    series: SeriesCache | None

    async def measure(
        self, wanted: Mapping[str, Reduction], grid: Grid, span: Span, cost: QueryCost
    ) -> dict[str, Series] | None:
        """Return the series of some reductions by their canonical texts; None where they are not served here.

        Raises as `Pyramid.measure` does.
        """
        grid = simplified(grid, span)
        if not isinstance(grid, Tier) or not _are_alike(wanted.values()):
            return None
        if self.blocks is None or len(grid.buckets(span)) > KEPT_BUCKETS:
            return None
        if any(self._has_some(text, each.type, grid, span) for text, each in wanted.items()):
            return None
        type = next(iter(wanted.values())).type
        revisions = await self.read(type, grid, span)
        numbers = revisions.numbers
        if revisions.foreign or revisions.expired_before is not None or not numbers:
            return None
        jobs = [ReductionJob(each, text, grid, None) for text, each in wanted.items()]
        if not all(self.blocks.spare_lookup(job, numbers) for job in jobs):
            return None
        parts = await self._parts(jobs, numbers, cost)
        return {
            job.text: self._read(
                job, [each.contents[place].only(each.gaps.buckets) for each in parts], numbers, span
            )
            for place, job in enumerate(jobs)
        }

    def _has_some(self, text: str, type: str, grid: Tier, span: Span) -> bool:
        """Tell whether a reduction was asked for lately: then little of it is missing, if anything."""
        kept = None if self.series is None else self.series.get((self.context.store, type, text, grid.text))
        return kept is not None and bool(kept.span.intersect(span))

    def _read(
        self, job: ReductionJob, values: Sequence[BucketValues], numbers: BucketRevisions, span: Span
    ) -> Series:
        series = read_series(job, numbers, values, span, self.context.limits)
        if self.series is not None:
            wanted = dense(numbers, job.grid, span)
            series = whole(series, wanted)
            key = (self.context.store, job.reduction.type, job.text, job.grid.text)
            self.series.put(key, KeptSeries(job.grid, span, wanted, series))
        return series

    async def _parts(
        self, jobs: Sequence[ReductionJob], numbers: BucketRevisions, cost: QueryCost
    ) -> list[FlightPart[list[BucketValues]]]:
        """Return the values of each job, computed together with all who have read the same revisions."""
        self.context.looked_up(0, len(jobs) * len(numbers))
        texts = tuple(job.text for job in jobs)
        return await self.flights.parts(
            (texts, jobs[0].reduction.type, jobs[0].grid.text),
            numbers,
            lambda gaps: self._compute(jobs, gaps, cost),
            cost,
        )

    async def _compute(
        self, jobs: Sequence[ReductionJob], gaps: Gaps, cost: QueryCost
    ) -> AsyncGenerator[FlightPart[list[BucketValues]], None]:
        began = time.monotonic()
        async with self.scan(cost) as scan:
            computing = Computation(scan, self.metrics)
            for part in slices(gaps, jobs[0], values_alone=True):
                yield FlightPart(part, await computing.values_together(jobs, part))
        if self.on_computed is not None:
            for job in jobs:
                self.on_computed(job.reduction.type, job.text, (time.monotonic() - began) * 1000)


def _are_alike(reductions: Collection[Reduction]) -> bool:
    """Tell whether there are several, of one type, whose partials are small and have no groups."""
    return (
        len(reductions) > 1
        and len({each.type for each in reductions}) == 1
        and not any(each.is_grouped or REDUCES[each.reduce].grows for each in reductions)
    )
