"""Computations over grids that are not tiers: from the partials of tiers, and from events at the edges."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from cube.columns import Cuts
from cube.expression.nodes import Reduction
from cube.model.reduce import REDUCES
from cube.model.tier import Span, Tier
from cube.store.bucket_revisions import NO_REVISIONS, BucketRevisions
from cube.store.metric_ports import MetricStore
from evaluator.engine.bucket_values import BucketValues
from evaluator.engine.computation import LARGE_SLICE, SLICE, Computation, is_forgotten
from evaluator.engine.deferred_metrics import unsaved
from evaluator.engine.grid_revisions import GridRevisions, ReadRevisions, keeper, read_pieces
from evaluator.engine.pieces import Numbers, Pieces, Runs, chosen, joined_spans
from evaluator.engine.scan import Held, Scan
from evaluator.engine.series import VALUE, ReductionJob
from evaluator.engine.single_flight import Gaps
from evaluator.engine.states import Accumulator, State, States, merge_states

_Mask: TypeAlias = npt.NDArray[np.bool_]


class GridComputation:
    """Computes in the session and the time slices of a scan; ``tiers``: what computes those of tiers.

    ``metrics``: where values are kept.
    """

    def __init__(self, scan: Scan, metrics: MetricStore, tiers: Computation) -> None:
        self._scan = scan
        self._metrics = metrics
        self._tiers = tiers

    def slices(self, gaps: Gaps, job: ReductionJob, read: GridRevisions, kind: str) -> Iterator[Gaps]:
        """Cut gaps into slices, each of which is computed at once, and kept when it is."""
        size, tiers = SLICE, read.plan.tiers
        if tiers:
            grows = job.reduction.group is not None or REDUCES[job.reduction.reduce].grows
            size = max(1, (LARGE_SLICE if grows else SLICE) * tiers[0].step // job.grid.shortest)
        for first in range(0, len(gaps), size):
            yield gaps.rows(first, first + size)

    async def contents(self, job: ReductionJob, gaps: Gaps, read: GridRevisions, kind: str) -> BucketValues:
        """Compute some gaps at the revisions that were read, keep what was computed, return the values.

        Of no other ``kind``: partials are kept of tiers alone.
        """
        if kind != VALUE:
            raise ValueError(f"{job.grid.text} is not a tier: no {kind} of it is kept")
        expired, fresh = (
            {bucket: read.intervals[bucket] for bucket in some.buckets.tolist()}
            for some in (job.expired(gaps), job.fresh(gaps))
        )
        parts: list[BucketValues] = []
        if fresh:
            parts.append(await self._fresh(job, fresh, read))
            await self._save(job, gaps, parts[0])
        if expired:
            states = await self._expired(job, [*expired.values()], read)
            parts.insert(0, await self._finished(job, expired, states))
        return BucketValues.joined(parts)

    async def total(self, job: ReductionJob, read: GridRevisions, span: Span) -> State:
        """Return the state of all events of a span together, whatever the number of groups.

        ``read``: of the span's buckets. Of what has expired there is what is kept of it.
        """
        merging = _Merging(self._scan, job.reduction, together=True)
        if read.revisions.foreign:
            known = [each for each in job.grid.intervals(span) if not job.is_expired(each.start)]
            found = await self._scan.states(job.reduction, Cuts.of(known), joined_spans(known))
            await merging.take(found, [_runs(known)])
            return await merging.total()
        fresh = [each for each in read.intervals.values() if not job.is_expired(each.start)]
        expired = [each for each in read.intervals.values() if job.is_expired(each.start)]
        if fresh:
            pieces = Pieces.of(read.plan, fresh)
            if read.plan.tiers or not self._scan.keeps(job.reduction):
                await self._merge_tiers(job, pieces, read.numbers, merging)
                await self._merge_rests(job.reduction, pieces, read.numbers, merging)
            else:
                await self._merge_kept(job.reduction, pieces, read, merging)
        if expired:
            pieces = Pieces.of(read.plan.expired, expired)
            revisions, numbers = await read_pieces(self._reads(job.reduction.type), pieces)
            job = replace(job, expired_before=revisions.expired_before)
            await self._merge_tiers(job, pieces, numbers, merging)
        return await merging.total()

    async def foreign(self, job: ReductionJob, span: Span) -> BucketValues:
        """Scan a whole span of a type whose revisions say nothing; skip and keep nothing."""
        pairs = zip(job.grid.buckets(span), job.grid.intervals(span), strict=True)
        known = {bucket: interval for bucket, interval in pairs if not job.is_expired(bucket)}
        if not known:
            return BucketValues.of_states(job.reduction, {})
        intervals = [*known.values()]
        found = await self._scan.states(job.reduction, Cuts.of(intervals), joined_spans(intervals))
        merging = _Merging(self._scan, job.reduction, len(intervals))
        await merging.take(found, [_runs(intervals)])
        return await self._finished(job, known, await merging.states())

    async def _fresh(
        self, job: ReductionJob, intervals: Mapping[int, Span], read: GridRevisions
    ) -> BucketValues:
        pieces = Pieces.of(read.plan, [*intervals.values()])
        if not read.plan.tiers and self._scan.keeps(job.reduction):
            held, wanted = _held(pieces, read.numbers), np.array([*intervals], dtype=np.int64)
            return await self._scan.kept_values(job.reduction, Cuts.of(pieces.intervals), held, wanted)
        merging = _Merging(self._scan, job.reduction, len(intervals))
        await self._merge_tiers(job, pieces, read.numbers, merging)
        await self._merge_rests(job.reduction, pieces, read.numbers, merging)
        return await self._finished(job, intervals, await merging.states())

    async def _expired(
        self, job: ReductionJob, intervals: Sequence[Span], read: GridRevisions
    ) -> list[State | None]:
        """Return the states of what has expired, of cached metrics alone; None where a part of it is lost."""
        pieces = Pieces.of(read.plan.expired, intervals)
        revisions, numbers = await read_pieces(self._reads(job.reduction.type), pieces)
        job = replace(job, expired_before=revisions.expired_before)
        merging = _Merging(self._scan, job.reduction, len(intervals))
        await self._merge_tiers(job, pieces, numbers, merging)
        states = await merging.states()
        rest = pieces.plan.rest
        cut = [_overlapped(numbers.get(rest, NO_REVISIONS), runs.covered(rest)) for runs in pieces.rests]
        lost = np.logical_or.reduce(cut)
        return [
            None if is_lost or is_forgotten(interval.start, revisions) else state
            for interval, is_lost, state in zip(intervals, lost.tolist(), states, strict=True)
        ]

    async def _merge_tiers(
        self, job: ReductionJob, pieces: Pieces, numbers: Numbers, merging: _Merging
    ) -> None:
        for tier, runs in pieces.runs.items():
            known = numbers.get(tier, NO_REVISIONS)
            some = chosen(known, runs)
            if not some:
                continue
            spans = joined_spans(sorted((span for each in runs for span in each.spans(tier)), key=_start))
            kept = self._tiers.parts(replace(job, grid=tier), some, known, spans)
            async with aclosing(kept) as parts:
                async for states in parts:
                    await merging.take(states, runs)

    async def _merge_kept(
        self, reduction: Reduction, pieces: Pieces, read: GridRevisions, merging: _Merging
    ) -> None:
        """Take all of the intervals together, from kept blocks; between them there are no events."""
        whole = Span(pieces.intervals[0].start, pieces.intervals[-1].stop)
        accumulator = Accumulator(reduction, self._scan.limits)
        together = Tier("span", whole.length, whole.start, None, cached=False)
        await self._scan.kept_total(reduction, _held(pieces, read.numbers), together, accumulator)
        await merging.take(await self._scan.run(accumulator.states), [_runs([whole])])

    async def _merge_rests(
        self, reduction: Reduction, pieces: Pieces, numbers: Numbers, merging: _Merging
    ) -> None:
        rest = pieces.plan.rest
        eventful = chosen(numbers.get(rest, NO_REVISIONS), pieces.covers())
        cuts = pieces.rest_spans()
        if not eventful or not cuts:
            return
        if self._scan.keeps(reduction):
            found = await self._scan.kept_states(reduction, Cuts.of(cuts), Held(rest, eventful))
        else:
            spans = joined_spans([cut for cut in cuts if _is_eventful(cut, rest, eventful)])
            found = await self._scan.states(reduction, Cuts.of(cuts), spans)
        await merging.take(found, pieces.rests)

    async def _finished(
        self, job: ReductionJob, intervals: Mapping[int, Span], states: Sequence[State | None]
    ) -> BucketValues:
        by_bucket: States = dict(zip(intervals, states, strict=True))
        return await self._scan.run(BucketValues.of_states, job.reduction, by_bucket)

    def _reads(self, type: str) -> ReadRevisions:
        return partial(self._scan.session.revisions, type)

    async def _save(self, job: ReductionJob, gaps: Gaps, values: BucketValues) -> None:
        if not job.grid.cached or not len(values.buckets):
            return
        tier = keeper(job.grid)
        kept = unsaved(gaps, values, tier)
        await self._metrics.save(job.key(VALUE), tier, kept, self._scan.time_slice)


class _Merging:
    """The states of intervals, out of those of their pieces, as these come; or of all of them together."""

    def __init__(self, scan: Scan, reduction: Reduction, count: int = 0, *, together: bool = False) -> None:
        self._scan = scan
        self._reduce = REDUCES[reduction.reduce]
        self._accumulator = Accumulator(reduction, scan.limits)
        self._count = count
        self._together = together
        self._lost: set[int] = set()

    async def take(self, states: Mapping[int, State | None], runs: Sequence[Runs]) -> None:
        """Take some states into the intervals in whose runs they are."""
        if states:
            await self._scan.run(self._take, states, runs)

    async def states(self) -> list[State | None]:
        """Return the state of each interval; None where a part of it is lost."""
        found = await self._scan.run(self._accumulator.states)
        return [None if place in self._lost else found.get(place, {}) for place in range(self._count)]

    async def total(self) -> State:
        """Return the state of all intervals together, without what is lost."""
        return (await self._scan.run(self._accumulator.states)).get(0, {})

    def _take(self, states: Mapping[int, State | None], runs: Sequence[Runs]) -> None:
        keys = sorted(states)
        buckets = np.array(keys, dtype=np.int64)
        for each in runs:
            first, last = buckets.searchsorted(each.starts), buckets.searchsorted(each.stops)
            for place in np.flatnonzero(last > first).tolist():
                parts = [states[key] for key in keys[first[place] : last[place]]]
                known = [part for part in parts if part is not None]
                if len(known) < len(parts):
                    self._lost.add(place)
                if known and (self._together or place not in self._lost):
                    key = 0 if self._together else place
                    self._accumulator.add({key: merge_states(self._reduce, known)})


def _held(pieces: Pieces, numbers: Numbers) -> Held:
    """Return which kept blocks have the events of the rests."""
    rest = pieces.plan.rest
    return Held(rest, chosen(numbers.get(rest, NO_REVISIONS), pieces.covers()))


def _runs(intervals: Sequence[Span]) -> Runs:
    starts, stops = np.array([(each.start, each.stop) for each in intervals], dtype=np.int64).T
    return Runs(starts, stops)


def _overlapped(numbers: BucketRevisions, runs: Runs) -> _Mask:
    buckets = numbers.buckets
    overlapped: _Mask = buckets.searchsorted(runs.stops) > buckets.searchsorted(runs.starts)
    return overlapped


def _is_eventful(cut: Span, tier: Tier, eventful: Collection[int]) -> bool:
    return any(bucket in eventful for bucket in tier.buckets(tier.cover(cut)))


def _start(span: Span) -> int:
    return span.start
