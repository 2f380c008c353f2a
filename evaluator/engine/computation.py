"""A computation: the states of a job's buckets, from finer tiers and from events, in one session."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TypeVar

from cube.model.tier import Span
from cube.process.threads import run_in_thread
from cube.store.ports import CachedBucket, MetricStore, ReadSession, Revisions, TimeSlice
from evaluator.engine import codec
from evaluator.engine.accumulator import Accumulator
from evaluator.engine.job import ReductionJob, States, combine, decode, encode, slices
from evaluator.engine.scan import Scan, runs
from evaluator.engine.series import Bounds
from evaluator.engine.single_flight import Encoded, Gaps

T = TypeVar("T")


class Computation:
    """Computes in one session of a store, in the turns that ``time_slice`` gives, and within ``bounds``."""

    def __init__(
        self, metrics: MetricStore, scan: Scan, session: ReadSession, time_slice: TimeSlice, bounds: Bounds
    ) -> None:
        self._metrics = metrics
        self._scan = scan
        self._session = session
        self._time_slice = time_slice
        self._bounds = bounds

    async def contents(self, job: ReductionJob, gaps: Gaps, eventful: Collection[int]) -> Encoded:
        """Compute some gaps, keep what was computed, and return their values."""
        return await self._save(job, gaps, await self._states(job, gaps, eventful))

    async def foreign(self, job: ReductionJob, span: Span) -> Encoded:
        """Scan a whole span of a type whose revisions say nothing; skip and keep nothing."""
        states = await self._scan.states(self._session, job.reduction, job.tier, [span], self._time_slice)
        kept = {bucket: state for bucket, state in states.items() if not job.is_expired(bucket)}
        values, _ = await self._turn(encode, job.reduction, kept)
        return values

    async def _states(self, job: ReductionJob, gaps: Gaps, eventful: Collection[int]) -> States:
        """Return the states of some gaps: from the finer tier where there is one, else from events."""
        if job.tier.finer is not None:
            return await self._merge(job, job.finer(job.tier.finer), gaps)
        fresh = [bucket for bucket in gaps if not job.is_expired(bucket)]
        spans = runs(fresh, eventful, job.tier)
        found = await self._scan.states(self._session, job.reduction, job.tier, spans, self._time_slice)
        states: States = {bucket: None for bucket in gaps if job.is_expired(bucket)}
        states.update({bucket: found.get(bucket, {}) for bucket in fresh})
        return states

    async def _merge(self, job: ReductionJob, finer: ReductionJob, gaps: Gaps) -> States:
        """Build the states of some gaps from the finer tier, whose revisions are read only now."""
        span = Span(min(gaps), max(gaps) + job.tier.step)
        revisions = await self._session.revisions(job.reduction.type, finer.tier, span)
        finer = finer.expiring(revisions.expired_before)
        lost: States = {bucket: None for bucket in gaps if _is_forgotten(bucket, revisions)}
        gaps = {bucket: revision for bucket, revision in gaps.items() if bucket not in lost}
        numbers = {
            bucket: number for bucket, number in revisions.numbers.items() if job.tier.floor(bucket) in gaps
        }
        found = await self._metrics.read(finer.key(codec.partial_kind(job.reduction)), finer.tier, span)
        kept = {
            bucket: content
            for bucket, content in finer.believed(found, numbers).items()
            if job.tier.floor(bucket) in gaps
        }
        accumulator = Accumulator(job.reduction, self._bounds)  # merges as they come, so that few are held
        for part in slices(numbers, finer):
            some = {bucket: kept[bucket] for bucket in part if bucket in kept}
            states: States = dict(await self._turn(decode, job.reduction, some)) if some else {}
            missing = {bucket: number for bucket, number in part.items() if bucket not in states}
            if missing:
                fresh = await self._states(finer, missing, revisions.numbers)
                await self._save(finer, missing, fresh)
                states |= fresh
            lost |= await self._turn(_accumulate, accumulator, job, states)
        states = {bucket: None if job.is_expired(bucket) else {} for bucket in gaps}
        return states | await self._turn(accumulator.states) | lost

    async def _save(self, job: ReductionJob, gaps: Gaps, states: States) -> Encoded:
        """Keep what was computed with the revisions that were read before; return the values."""
        values, partials = await self._turn(encode, job.reduction, states)
        if job.tier.cached:
            for kind, contents in ((codec.VALUE, values), (codec.PARTIAL, partials)):
                # An expired bucket was merged from cells that are kept as long as it would be.
                kept = {
                    bucket: CachedBucket(gaps[bucket], content)
                    for bucket, content in contents.items()
                    if not job.is_expired(bucket)
                }
                if kept:
                    await self._metrics.save(job.key(kind), job.tier, kept, self._time_slice)
        return values

    async def _turn(self, work: Callable[..., T], *arguments: object) -> T:
        async with self._time_slice():
            return await run_in_thread(work, *arguments)


def _accumulate(accumulator: Accumulator, job: ReductionJob, finer: States) -> States:
    """Take some finer states in; return the buckets that they show to be lost."""
    merged = combine(job, finer)
    accumulator.add({bucket: state for bucket, state in merged.items() if state is not None})
    return {bucket: state for bucket, state in merged.items() if state is None}


def _is_forgotten(bucket: int, revisions: Revisions) -> bool:
    """Tell whether finer buckets in a bucket may have had events and have no revision."""
    return revisions.forgotten_before is not None and bucket < revisions.forgotten_before
