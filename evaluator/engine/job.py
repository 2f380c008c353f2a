"""Jobs: one reduction at one tier, and the pure steps of computing it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from cube.columns import SEMANTICS
from cube.expression.nodes import Reduction
from cube.model.reduce import REDUCES
from cube.model.tier import Span, Tier
from cube.store.ports import CachedBucket, CacheKey
from evaluator.engine import codec
from evaluator.engine.codec import State
from evaluator.engine.single_flight import Encoded, Gaps

SLICE = 4_096
"""So many finer buckets are computed at once, so that a long span takes no more memory than a short one."""

LARGE_SLICE = 256
"""The same where a bucket's partial may be large: a tally, or a partial for each group."""

REACH = 16
"""A slice reaches over so many times its number of buckets at most: of all between, revisions are read."""

States: TypeAlias = "dict[int, State | None]"
"""Bucket -> state; None where it is lost: it had events, is expired, and no metric of it is left."""


@dataclass(frozen=True, slots=True)
class ReductionJob:
    """One reduction at one tier, and what is expired of its type."""

    reduction: Reduction
    text: str
    tier: Tier
    expired_before: int | None

    def finer(self, tier: Tier) -> ReductionJob:
        """Return the job of a finer tier."""
        return ReductionJob(self.reduction, self.text, tier, self.expired_before)

    def expiring(self, before: int | None) -> ReductionJob:
        """Return the job with another instant before which all is expired."""
        return ReductionJob(self.reduction, self.text, self.tier, before)

    def is_expired(self, bucket: int) -> bool:
        """Tell whether a bucket's events are, or may be, gone."""
        return self.expired_before is not None and bucket < self.expired_before

    def lost(self, numbers: Mapping[int, int], contents: Encoded, span: Span) -> set[int]:
        """Return the buckets that have no value, though they had, or may have had, events."""
        lost = numbers.keys() - contents.keys()
        if self.expired_before is not None:
            expired = span.intersect(Span(span.start, self.tier.ceil(self.expired_before)))
            lost |= set(self.tier.buckets(expired)) - contents.keys()
        return lost

    def key(self, kind: str) -> CacheKey:
        """Return the key of the job's cells of one kind."""
        return CacheKey(self.reduction.type, self.text, kind, SEMANTICS)

    def believed(self, found: Mapping[int, CachedBucket], numbers: Mapping[int, int]) -> Encoded:
        """Return the contents that count: of the same revision, whether the bucket is expired or not."""
        return {
            bucket: cell.content for bucket, cell in found.items() if numbers.get(bucket) == cell.revision
        }


def slices(gaps: Gaps, job: ReductionJob) -> Iterator[Gaps]:
    """Cut gaps into slices, each of which is computed at once, and kept when it is."""
    tier, reduction = job.tier, job.reduction
    is_large = reduction.group is not None or REDUCES[reduction.reduce].grows
    finest = LARGE_SLICE if is_large else SLICE
    size = finest if tier.finer is None else max(1, finest * tier.finer.step // tier.step)
    part: dict[int, int] = {}
    first = 0
    for bucket in sorted(gaps):
        if len(part) == size or (part and bucket - first >= REACH * size * tier.step):
            yield part
            part = {}
        if not part:
            first = bucket
        part[bucket] = gaps[bucket]
    if part:
        yield part


def decode(reduction: Reduction, contents: Encoded) -> dict[int, State]:
    """Return the states that cells of the reduction's `partial_kind` hold."""
    return {bucket: codec.decode_state(reduction, content) for bucket, content in contents.items()}


def encode(reduction: Reduction, states: Mapping[int, State | None]) -> tuple[Encoded, Encoded]:
    """Return the "value" and the "partial" contents of the states that are not lost."""
    known = [(bucket, state) for bucket, state in states.items() if state is not None]
    values = {bucket: codec.encode_value(reduction, state) for bucket, state in known}
    if codec.partial_kind(reduction) == codec.VALUE:
        return values, {}
    partials = ((bucket, codec.encode_partial(reduction, state)) for bucket, state in known)
    return values, {bucket: content for bucket, content in partials if content is not None}


def combine(job: ReductionJob, finer: States) -> States:
    """Merge finer states into those of the job's buckets they are of; one with a lost part is lost."""
    parts: dict[int, list[State]] = {}
    lost: set[int] = set()
    for bucket in sorted(finer):
        coarse, state = job.tier.floor(bucket), finer[bucket]
        if state is None:
            lost.add(coarse)
        else:
            parts.setdefault(coarse, []).append(state)
    whole = {bucket: found for bucket, found in parts.items() if bucket not in lost}
    merged: States = dict.fromkeys(lost)
    return merged | codec.merge_buckets(job.reduction, whole)
