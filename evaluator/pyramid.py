"""The pyramid: the values of one reduction, from the cache, from finer tiers, from events.

What is believed, and when, is section 5 of the design. The two orders that carry it: revisions are
read before what they vouch for is scanned, and a coarse tier's before the finer one's.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TypeAlias

from cube.columns import SEMANTICS
from cube.expression import print_expression
from cube.expression.nodes import Reduction
from cube.span import Span
from cube.store.ports import CacheKey, Cell, ReadSession, Revisions, Store
from cube.tier import SECOND, TEN_SECONDS, Tier
from evaluator import cells
from evaluator.cells import State
from evaluator.scan import Scan, runs
from evaluator.series import Bounds, Series, read_series
from evaluator.sharing import Contents, Gaps, Sharing

SLICE = 4_096
"""So many finer buckets are computed at once, so that a long span takes no more memory than a short one."""

LOOKS = 16
"""So many queries read revisions at once; each holds a connection of the store meanwhile."""

_ASIDE = 2_000  # more buckets than these are put together in a thread

States: TypeAlias = "dict[int, State | None]"
"""Bucket -> state; None where it is lost: it had events, is expired, and no metric of it is left."""


class Pyramid:
    """Measures reductions over one store; safe for any number of concurrent callers.

    At most ``scans`` computations run at a time. ``on_computed`` is told the type, the reduction's text
    and the milliseconds of each.
    """

    def __init__(
        self,
        store: Store,
        scan: Scan,
        *,
        scans: int = 4,
        bounds: Bounds | None = None,
        on_computed: Callable[[str, str, float], None] | None = None,
    ) -> None:
        self._store = store
        self._scan = scan
        self._sharing = Sharing()
        self._looking = asyncio.Semaphore(LOOKS)
        self._scanning = asyncio.Semaphore(scans)
        self._bounds = bounds or Bounds()
        self._on_computed = on_computed

    async def measure(self, reduction: Reduction, tier: Tier, span: Span) -> Series:
        """Return the values of a reduction in each bucket of an aligned span.

        They count every event that was acknowledged before the call. Warm, this takes two finds
        (revisions, and cached metrics) and reads no event.

        Raises `InvalidQuery` over the bounds, `Unavailable` where the store does not answer.
        """
        revisions = await self.revisions(reduction.type, tier, span)
        job = _Job(reduction, print_expression(reduction), tier, revisions.expired_before)
        if revisions.foreign:
            contents = await self._scan_foreign(job, span)
        elif revisions.numbers or revisions.expired_before is not None:
            contents = await self._contents(job, revisions.numbers, span)
        else:
            contents = {}

        lost = job.lost(revisions.numbers, contents, span)
        arguments = (reduction, tier, span, contents, lost, self._bounds)
        if len(contents) <= _ASIDE and reduction.group is None:
            return read_series(*arguments)
        return await asyncio.to_thread(read_series, *arguments)

    async def revisions(self, type: str, tier: Tier, span: Span) -> Revisions:
        """Read the revisions of a span, at 1 s those of the 10 s around.

        Those of a type that another tool has filled are built first.
        """
        while True:
            async with self._looking, self._store.events.read() as session:
                revisions = await _read_revisions(session, type, tier, span)
            if revisions.complete or revisions.foreign or not revisions.known:
                return revisions
            await self._store.events.build(type)

    async def _contents(self, job: _Job, numbers: Mapping[int, int], span: Span) -> Contents:
        valid: Contents = {}
        if job.tier.cached:
            found = await self._store.metrics.read(job.key(cells.VALUE), job.tier, span)
            valid = job.believed(found, numbers)
        gaps = {bucket: revision for bucket, revision in numbers.items() if bucket not in valid}
        if gaps:
            valid |= await self._sharing.contents(
                (job.text, job.reduction.type, job.tier.step, job.expired_before),
                gaps,
                lambda fresh: self._compute(job, fresh, numbers),
            )
        return valid

    async def _compute(self, job: _Job, gaps: Gaps, numbers: Mapping[int, int]) -> Contents:
        """Compute and save some buckets of the tier that is asked for, in a session of its own."""
        contents: Contents = {}
        began = time.monotonic()
        async with self._scanning, self._store.events.read() as session:
            for part in _slices(gaps, job.tier):
                states = await self._states(session, job, part, numbers)
                contents |= await self._save(job, part, states)
        if self._on_computed is not None:
            self._on_computed(job.reduction.type, job.text, (time.monotonic() - began) * 1000)
        return contents

    async def _states(self, session: ReadSession, job: _Job, gaps: Gaps, eventful: Collection[int]) -> States:
        """Return the states of some gaps: from the finer tier where there is one, else from events."""
        if job.tier.finer is not None:
            return await self._merge(session, job, job.finer(job.tier.finer), gaps)
        fresh = [bucket for bucket in gaps if not job.is_expired(bucket)]
        spans = runs(fresh, eventful, job.tier)
        found = await self._scan.states(session, job.reduction, job.tier, spans)
        states: States = {bucket: None for bucket in gaps if job.is_expired(bucket)}
        states.update({bucket: found.get(bucket, {}) for bucket in fresh})
        return states

    async def _merge(self, session: ReadSession, job: _Job, finer: _Job, gaps: Gaps) -> States:
        """Build the states of some gaps from the finer tier, whose revisions are read only now."""
        span = Span(min(gaps), max(gaps) + job.tier.step)
        revisions = await session.revisions(job.reduction.type, finer.tier, span)
        finer = finer.expiring(revisions.expired_before)
        lost: States = {bucket: None for bucket in gaps if _is_forgotten(bucket, revisions)}
        gaps = {bucket: revision for bucket, revision in gaps.items() if bucket not in lost}
        numbers = {
            bucket: number for bucket, number in revisions.numbers.items() if job.tier.floor(bucket) in gaps
        }
        found = await self._store.metrics.read(finer.key(cells.partial_kind(job.reduction)), finer.tier, span)
        kept = {
            bucket: content
            for bucket, content in finer.believed(found, numbers).items()
            if job.tier.floor(bucket) in gaps
        }
        states: States = dict(await asyncio.to_thread(_decode, job.reduction, kept))
        missing = {bucket: number for bucket, number in numbers.items() if bucket not in states}
        for part in _slices(missing, finer.tier):
            fresh = await self._states(session, finer, part, revisions.numbers)
            await self._save(finer, part, fresh)
            states |= fresh
        return lost | await asyncio.to_thread(_combine, job, gaps, states)

    async def _save(self, job: _Job, gaps: Gaps, states: States) -> Contents:
        """Keep what was computed with the revisions that were read before; return the values."""
        values, partials = await asyncio.to_thread(_encode, job.reduction, states)
        if job.tier.cached:
            for kind, contents in ((cells.VALUE, values), (cells.PARTIAL, partials)):
                # An expired bucket was merged from cells that are kept as long as it would be.
                kept = {
                    bucket: Cell(gaps[bucket], content)
                    for bucket, content in contents.items()
                    if not job.is_expired(bucket)
                }
                if kept:
                    await self._store.metrics.save(job.key(kind), job.tier, kept)
        return values

    async def close(self) -> None:
        """Return when the computations that nobody waits for any more have let go of the store."""
        await self._sharing.close()

    async def _scan_foreign(self, job: _Job, span: Span) -> Contents:
        """Scan a whole span of a type whose revisions say nothing; skip and keep nothing."""
        async with self._scanning, self._store.events.read() as session:
            states = await self._scan.states(session, job.reduction, job.tier, [span])
        kept = {bucket: state for bucket, state in states.items() if not job.is_expired(bucket)}
        values, _ = await asyncio.to_thread(_encode, job.reduction, kept)
        return values


@dataclass(frozen=True, slots=True)
class _Job:
    """One reduction at one tier, and what is expired of its type."""

    reduction: Reduction
    text: str
    tier: Tier
    expired_before: int | None

    def finer(self, tier: Tier) -> _Job:
        return _Job(self.reduction, self.text, tier, self.expired_before)

    def expiring(self, before: int | None) -> _Job:
        return _Job(self.reduction, self.text, self.tier, before)

    def is_expired(self, bucket: int) -> bool:
        return self.expired_before is not None and bucket < self.expired_before

    def lost(self, numbers: Mapping[int, int], contents: Contents, span: Span) -> set[int]:
        """Return the buckets that have no value, though they had, or may have had, events."""
        lost = numbers.keys() - contents.keys()
        if self.expired_before is not None:
            expired = span.intersect(Span(span.start, self.tier.ceil(self.expired_before)))
            lost |= set(self.tier.buckets(expired)) - contents.keys()
        return lost

    def key(self, kind: str) -> CacheKey:
        return CacheKey(self.reduction.type, self.text, kind, SEMANTICS)

    def believed(self, found: Mapping[int, Cell], numbers: Mapping[int, int]) -> Contents:
        """Return the contents that count: of the same revision, whether the bucket is expired or not."""
        return {
            bucket: cell.content for bucket, cell in found.items() if numbers.get(bucket) == cell.revision
        }


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


def _is_forgotten(bucket: int, revisions: Revisions) -> bool:
    """Tell whether finer buckets in a bucket may have had events and have no revision."""
    return revisions.forgotten_before is not None and bucket < revisions.forgotten_before


def _slices(gaps: Gaps, tier: Tier) -> Iterator[Gaps]:
    size = SLICE if tier.finer is None else max(1, SLICE * tier.finer.step // tier.step)
    buckets = iter(sorted(gaps))
    while part := list(islice(buckets, size)):
        yield {bucket: gaps[bucket] for bucket in part}


def _decode(reduction: Reduction, contents: Contents) -> dict[int, State]:
    return {bucket: cells.decode_state(reduction, content) for bucket, content in contents.items()}


def _encode(reduction: Reduction, states: Mapping[int, State | None]) -> tuple[Contents, Contents]:
    """Return the "value" and the "partial" contents of the states that are not lost."""
    known = [(bucket, state) for bucket, state in states.items() if state is not None]
    values = {bucket: cells.encode_value(reduction, state) for bucket, state in known}
    if cells.partial_kind(reduction) == cells.VALUE:
        return values, {}
    partials = ((bucket, cells.encode_partial(reduction, state)) for bucket, state in known)
    return values, {bucket: content for bucket, content in partials if content is not None}


def _combine(job: _Job, gaps: Gaps, finer: States) -> States:
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
