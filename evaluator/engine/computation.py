"""Computations: the states of a reduction's buckets, from finer tiers and from events, in one session."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace

import numpy as np

from cube.columns.buckets import Times
from cube.expression.nodes import Reduction
from cube.model.reduce import REDUCES
from cube.model.tier import HOUR, Span, Tier
from cube.store.bucket_revisions import NO_REVISIONS, are_among
from cube.store.metric_ports import CachedBucket, MetricStore
from cube.store.ports import Revisions
from evaluator.engine.bucket_values import BucketValues
from evaluator.engine.deferred_metrics import unsaved
from evaluator.engine.grid_revisions import GridRevisions
from evaluator.engine.reading import runs
from evaluator.engine.scan import Held, Scan
from evaluator.engine.series import PARTIAL, VALUE, ReductionJob
from evaluator.engine.single_flight import Gaps
from evaluator.engine.states import (
    Accumulator,
    Encoded,
    State,
    States,
    decode,
    encode,
    encode_partials,
    merge_states,
    partial_kind,
)
from evaluator.engine.value_codec import renewed

SLICE = 4_096
"""So many finer buckets are computed at once, so that a long span takes no more memory than a short one."""

LARGE_SLICE = 256
"""The same where a bucket's partial may be large: a tally, or a partial for each group."""

REACH = 16
"""A slice reaches over so many times its number of buckets at most: of all between, revisions are read."""


def slices(gaps: Gaps, job: ReductionJob, *, values_alone: bool = False) -> Iterator[Gaps]:
    """Cut gaps into slices, each of which is computed at once, and kept when it is.

    ``values_alone``: whether no partials are made of them.
    """
    tier = job.tier
    size = SLICE
    if not values_alone:
        grows = job.reduction.group is not None or REDUCES[job.reduction.reduce].grows
        finest = LARGE_SLICE if grows else SLICE
        size = finest if tier.finer is None else max(1, finest * tier.finer.step // tier.step)
    first = 0
    while first < len(gaps):
        reach = int(gaps.buckets[first]) + REACH * size * tier.step
        stop = min(first + size, int(gaps.buckets.searchsorted(reach)))
        yield gaps.rows(first, stop)
        first = stop


class Computation:
    """Computes in the session and the time slices of a scan, within its limits.

    ``metrics``: the cache that it reads and saves to. ``most``: larger contents are not kept; None keeps all
    values.
    """

    def __init__(self, scan: Scan, metrics: MetricStore, most: int | None = None) -> None:
        self._metrics = metrics
        self._scan = scan
        self._most = most
        self._session = scan.session

    def slices(self, gaps: Gaps, job: ReductionJob, read: GridRevisions, kind: str) -> Iterator[Gaps]:
        """Cut gaps into slices, each of which is computed at once, and kept when it is."""
        return slices(gaps, job, values_alone=kind == VALUE and self.takes_values_alone(job))

    async def contents(
        self, job: ReductionJob, gaps: Gaps, read: GridRevisions, kind: str
    ) -> BucketValues | Encoded:
        """Compute some gaps, keep what was computed, and return their values, or the contents of partials."""
        if kind != VALUE:
            return await self._partials(job, gaps, read.revisions.numbers)
        if self.takes_values_alone(job):
            return await self._values_alone(job, gaps)
        return await self._save(job, gaps, await self._states(job, gaps, read.revisions.numbers))

    async def _values_alone(self, job: ReductionJob, gaps: Gaps) -> BucketValues:
        kept: list[Times] = []

        async def keep(some: BucketValues) -> None:
            await self._save_values(job, gaps, some)
            kept.append(some.buckets)

        held = Held(job.tier, gaps)
        values = await self._scan.kept_values(job.reduction, job.tier, held, gaps.buckets, keep)
        await self._save_values(job, gaps, values.without(np.concatenate(kept)) if kept else values)
        return values

    async def values_together(self, jobs: Sequence[ReductionJob], gaps: Gaps) -> list[BucketValues]:
        """Compute some gaps of jobs of one type over one tier, below an hour; keep and return the values."""
        found = await self._scan.kept_values_together([job.reduction for job in jobs], jobs[0].tier, gaps)
        for job, values in zip(jobs, found, strict=True):
            await self._save_values(job, gaps, values)
        return found

    async def keep_values(self, job: ReductionJob, gaps: Gaps, values: BucketValues) -> None:
        """Keep values that were computed elsewhere, at the revisions of some gaps."""
        await self._save_values(job, gaps, values)

    async def _partials(self, job: ReductionJob, gaps: Gaps, eventful: Gaps) -> Encoded:
        """Compute some gaps, keep what was computed, and return their partials, however large."""
        states = await self._states(job, gaps, eventful)
        await self._save(job, gaps, states)
        return await self._scan.run(encode_partials, job.reduction, states)

    def takes_values_alone(self, job: ReductionJob) -> bool:
        """Tell whether no partials are made and kept, of a type of which nothing has expired.

        Where blocks are kept, those below an hour serve only to merge what has expired. Days are merged from
        those of hours, which are made then where they are dear: tallies, and sets of keys.
        """
        if not self._keeps(job) or job.expired_before is not None:
            return False
        return job.tier.step < HOUR.step or REDUCES[job.reduction.reduce].grows

    async def total(self, job: ReductionJob, read: GridRevisions, span: Span) -> State:
        """Return the state of all events of an aligned span together, whatever the number of groups.

        ``read``: of the span's buckets. Of what has expired there is what is kept of it.
        """
        gaps, foreign = read.revisions.numbers, read.revisions.foreign
        whole = Tier("span", span.length, span.start, job.tier, cached=False)
        accumulator = Accumulator(job.reduction, self._scan.limits)
        if self._keeps(job) and job.tier.step < HOUR.step and not foreign:
            rest = job.expired(gaps)
            await self._scan.kept_total(job.reduction, Held(job.tier, job.fresh(gaps)), whole, accumulator)
        elif foreign or not job.tier.cached:
            rest = NO_REVISIONS
            if job.expired_before is not None:
                span = span.intersect(Span(job.tier.ceil(job.expired_before), span.stop))
            accumulator.add(await self._scan.states(job.reduction, whole, [span]))
        else:
            rest = gaps
        spans = [rest.span(job.tier.step)] if rest else []
        async with aclosing(self.parts(job, rest, rest, spans)) as parts:
            async for states in parts:
                known = {bucket: state for bucket, state in states.items() if state is not None}
                await self._scan.run(_accumulate, accumulator, replace(job, grid=whole), known)
        found = await self._scan.run(accumulator.states)
        return next(iter(found.values()), {})

    async def foreign(self, job: ReductionJob, span: Span) -> BucketValues:
        """Scan a whole span of a type whose revisions say nothing; skip and keep nothing."""
        states = await self.foreign_states(job, span)
        return await self._scan.run(BucketValues.of_states, job.reduction, states)

    async def foreign_states(self, job: ReductionJob, span: Span) -> States:
        """Return the states of a whole span of such a type, but of what has expired."""
        states = await self._scan.states(job.reduction, job.tier, [span])
        return {bucket: state for bucket, state in states.items() if not job.is_expired(bucket)}

    async def _states(self, job: ReductionJob, gaps: Gaps, eventful: Gaps) -> States:
        """Return the states of some gaps: from the finer tier where there is one, else from events."""
        if self._keeps(job):
            return await self._kept_states(job, gaps)
        if job.tier.finer is not None:
            return await self._merge(job, replace(job, grid=job.tier.finer), gaps)
        fresh = job.fresh(gaps)
        found = await self._scan.states(job.reduction, job.tier, runs(fresh, eventful, job.tier))
        return dict.fromkeys(gaps) | {bucket: found.get(bucket, {}) for bucket in fresh}

    async def _kept_states(self, job: ReductionJob, gaps: Gaps) -> States:
        """Return the states of some gaps from events; of those that have expired, from the finer tier."""
        fresh, expired = job.fresh(gaps), job.expired(gaps)
        states: States = dict.fromkeys(expired)
        if expired and job.tier.finer is not None:
            states = await self._merge(job, replace(job, grid=job.tier.finer), expired)
        held = Held(job.tier, fresh)
        found = await self._scan.kept_states(job.reduction, job.tier, held) if fresh else {}
        return states | {bucket: found.get(bucket, {}) for bucket in fresh}

    async def _merge(self, job: ReductionJob, finer: ReductionJob, gaps: Gaps) -> States:
        """Build the states of some gaps from the finer tier, whose revisions are read only now."""
        span = gaps.span(job.tier.step)
        revisions = await self._session.revisions(job.reduction.type, finer.tier, span)
        finer = replace(finer, expired_before=revisions.expired_before)
        lost: States = {bucket: None for bucket in gaps if is_forgotten(bucket, revisions)}
        gaps = gaps.without(np.array(sorted(lost), dtype=np.int64))
        finer_buckets = revisions.numbers.buckets
        coarse = finer_buckets - (finer_buckets - job.tier.origin) % job.tier.step
        numbers = revisions.numbers.where(are_among(coarse, gaps.buckets))
        accumulator = Accumulator(
            job.reduction, self._scan.limits
        )  # merges as they come, so that few are held
        spans = [numbers.span(finer.tier.step)] if numbers else []
        async with aclosing(self.parts(finer, numbers, revisions.numbers, spans)) as parts:
            async for states in parts:
                lost |= await self._scan.run(_accumulate, accumulator, job, states)
        states = {bucket: None if job.is_expired(bucket) else {} for bucket in gaps}
        return states | await self._scan.run(accumulator.states) | lost

    async def parts(
        self, job: ReductionJob, gaps: Gaps, eventful: Gaps, spans: Iterable[Span]
    ) -> AsyncGenerator[States, None]:
        """Yield the states of some gaps, part by part: from the cache where they are kept, else computed.

        ``spans``: where the gaps lie.
        """
        kept: Encoded = {}
        for span in spans if job.tier.cached else ():
            found = await look_up(self._metrics, job, partial_kind(job.reduction), job.tier, span)
            kept |= job.believed(found, gaps)
        for part in slices(gaps, job):
            some = {bucket: kept[bucket] for bucket in part if bucket in kept}
            states = await self._scan.run(decode, job.reduction, some) if some else {}
            missing = part.without(np.array(sorted(states), dtype=np.int64)) if states else part
            if missing:
                fresh = await self._states(job, missing, eventful)
                await self._save(job, missing, fresh)
                states |= fresh
            yield states

    def _keeps(self, job: ReductionJob) -> bool:
        """Tell whether kept blocks serve a job: up to an hour."""
        return self._scan.keeps(job.reduction) and job.tier.step <= HOUR.step

    async def _save(self, job: ReductionJob, gaps: Gaps, states: States) -> BucketValues:
        """Keep what was computed with the revisions that were read before; return the values."""
        values, partials = await self._scan.run(_made, job.reduction, states)
        await self._save_values(job, gaps, values)
        fresh = job.fresh(gaps).items() if job.tier.cached and partials else ()
        kept = {bucket: CachedBucket(at, partials[bucket]) for bucket, at in fresh if bucket in partials}
        if kept:
            await self._metrics.save(job.key(PARTIAL), job.tier, kept, self._scan.time_slice)
        return values

    async def _save_values(self, job: ReductionJob, gaps: Gaps, values: BucketValues) -> None:
        """Keep values, but of what has expired: it was merged from what is kept as long as it."""
        if not job.tier.cached:
            return
        if job.expired_before is not None:
            values = values.only(job.fresh(gaps).buckets)
        if len(values.buckets):
            kept = unsaved(gaps, values, job.tier, self._most)
            if self._most is not None:
                await self._scan.run(len, kept)  # to know which are too large makes the contents
            await self._metrics.save(job.key(VALUE), job.tier, kept, self._scan.time_slice)


def _made(reduction: Reduction, states: States) -> tuple[BucketValues, Encoded]:
    return BucketValues.of_states(reduction, states), encode(reduction, states)


async def look_up(
    metrics: MetricStore, job: ReductionJob, kind: str, tier: Tier, span: Span
) -> Mapping[int, CachedBucket]:
    """Return what is cached of a job's buckets in an aligned span of a tier, whatever the revisions.

    Values of groups whose events have expired are found as well where an older version kept them, in another
    form: nobody can compute those again.
    """
    found = await metrics.read(job.key(kind), tier, span)
    former = job.former_key(kind)
    if former is None:
        return found
    older = await metrics.read(former, tier, span)
    kept = {
        bucket: CachedBucket(cached.revision, renewed(cached.content))
        for bucket, cached in older.items()
        if bucket not in found and job.is_expired(bucket)
    }
    return {**kept, **found}


def _accumulate(accumulator: Accumulator, job: ReductionJob, finer: States) -> States:
    """Take finer states into those of the job's buckets they are of; return the buckets with a lost part."""
    parts: dict[int, list[State]] = {}
    lost: States = {}
    for bucket in sorted(finer):
        coarse, state = job.tier.floor(bucket), finer[bucket]
        if state is None:
            lost[coarse] = None
        else:
            parts.setdefault(coarse, []).append(state)
    reduce = REDUCES[job.reduction.reduce]
    accumulator.add({each: merge_states(reduce, parts[each]) for each in parts if each not in lost})
    return lost


def is_forgotten(bucket: int, revisions: Revisions) -> bool:
    """Tell whether finer buckets in a bucket may have had events and have no revision."""
    return revisions.forgotten_before is not None and bucket < revisions.forgotten_before
