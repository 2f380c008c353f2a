"""Jobs: one reduction at one tier, and the pure steps of computing it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeAlias

from cube.columns import SEMANTICS
from cube.expression.nodes import Reduction
from cube.reduce import REDUCES
from cube.span import Span
from cube.store.ports import CacheKey, Cell
from cube.tier import Tier
from evaluator import cells
from evaluator.cells import State
from evaluator.sharing import Contents, Gaps

SLICE = 4_096
"""So many finer buckets are computed at once, so that a long span takes no more memory than a short one."""

LARGE_SLICE = 256
"""The same where a bucket's partial may be large: a tally, or a partial for each group."""

_TALLIES = (dict[float, int], set[bytes])

States: TypeAlias = "dict[int, State | None]"
"""Bucket -> state; None where it is lost: it had events, is expired, and no metric of it is left."""


@dataclass(frozen=True, slots=True)
class Job:
    """One reduction at one tier, and what is expired of its type."""

    reduction: Reduction
    text: str
    tier: Tier
    expired_before: int | None

    def finer(self, tier: Tier) -> Job:
        """Return the job of a finer tier."""
        return Job(self.reduction, self.text, tier, self.expired_before)

    def expiring(self, before: int | None) -> Job:
        """Return the job with another instant before which all is expired."""
        return Job(self.reduction, self.text, self.tier, before)

    def is_expired(self, bucket: int) -> bool:
        """Tell whether a bucket's events are, or may be, gone."""
        return self.expired_before is not None and bucket < self.expired_before

    def lost(self, numbers: Mapping[int, int], contents: Contents, span: Span) -> set[int]:
        """Return the buckets that have no value, though they had, or may have had, events."""
        lost = numbers.keys() - contents.keys()
        if self.expired_before is not None:
            expired = span.intersect(Span(span.start, self.tier.ceil(self.expired_before)))
            lost |= set(self.tier.buckets(expired)) - contents.keys()
        return lost

    def key(self, kind: str) -> CacheKey:
        """Return the key of the job's cells of one kind."""
        return CacheKey(self.reduction.type, self.text, kind, SEMANTICS)

    def believed(self, found: Mapping[int, Cell], numbers: Mapping[int, int]) -> Contents:
        """Return the contents that count: of the same revision, whether the bucket is expired or not."""
        return {
            bucket: cell.content for bucket, cell in found.items() if numbers.get(bucket) == cell.revision
        }


def slices(gaps: Gaps, job: Job) -> Iterator[Gaps]:
    """Cut gaps into slices, each of which is computed at once, and kept when it is."""
    tier, reduction = job.tier, job.reduction
    is_large = reduction.group is not None or REDUCES[reduction.reduce].form in _TALLIES
    finest = LARGE_SLICE if is_large else SLICE
    size = finest if tier.finer is None else max(1, finest * tier.finer.step // tier.step)
    buckets = iter(sorted(gaps))
    while part := list(islice(buckets, size)):
        yield {bucket: gaps[bucket] for bucket in part}


def decode(reduction: Reduction, contents: Contents) -> dict[int, State]:
    """Return the states that cells of the reduction's `partial_kind` hold."""
    return {bucket: cells.decode_state(reduction, content) for bucket, content in contents.items()}


def encode(reduction: Reduction, states: Mapping[int, State | None]) -> tuple[Contents, Contents]:
    """Return the "value" and the "partial" contents of the states that are not lost."""
    known = [(bucket, state) for bucket, state in states.items() if state is not None]
    values = {bucket: cells.encode_value(reduction, state) for bucket, state in known}
    if cells.partial_kind(reduction) == cells.VALUE:
        return values, {}
    partials = ((bucket, cells.encode_partial(reduction, state)) for bucket, state in known)
    return values, {bucket: content for bucket, content in partials if content is not None}


def combine(job: Job, gaps: Gaps, finer: States) -> States:
    """Merge finer states into those of `gaps`; a bucket with a lost part is lost."""
    parts: dict[int, list[State | None]] = {bucket: [] for bucket in gaps}
    for bucket in sorted(finer):
        parts[job.tier.floor(bucket)].append(finer[bucket])
    states: States = {}
    whole: dict[int, Sequence[State]] = {}
    for bucket, found in parts.items():
        present = [state for state in found if state is not None]
        if len(present) < len(found) or (not found and job.is_expired(bucket)):
            states[bucket] = None
        else:
            whole[bucket] = present or [{}]
    return states | cells.merge_buckets(job.reduction, whole)
