"""Pieces: how the buckets of a grid that is not a tier are made of buckets of stored tiers, and vouched for.

Each interval is cut into *pieces*, whole buckets of the largest stored tiers that fit, and up to two *rests*
at its edges, which are read from events. What was computed of an interval is vouched for by the revisions of
its very pieces, and by those of the buckets that cover its rests: it is right as long as none has changed
(docs/decisions/0039-steps.md). Everything here is pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from cube.model.grid import FixedGrid, Grid
from cube.model.tier import CACHED_TIERS, CHUNK_BUCKETS, HOUR, TEN_SECONDS, Span, Tier
from cube.store.bucket_revisions import NO_REVISIONS, BucketRevisions

Times: TypeAlias = npt.NDArray[np.int64]

Numbers: TypeAlias = "Mapping[Tier, BucketRevisions]"
"""The revisions of each tier."""

FEW: Final = 6
"""A tier whose edges are not those of a grid serves it where a bucket has at least so many of its own."""


@dataclass(frozen=True, slots=True)
class PiecePlan:
    """``tiers``: what pieces are of, coarsest first. ``rest``: the tier whose revisions vouch for rests."""

    tiers: tuple[Tier, ...]
    rest: Tier

    @classmethod
    def of(cls, grid: Grid) -> PiecePlan:
        """Return the plan of a grid: pieces are of an hour or more, below that events are reduced at once."""
        largest = max((tier for tier in CACHED_TIERS if _serves(tier, grid)), key=lambda tier: tier.step)
        return cls(_between(HOUR, largest), min(largest, HOUR, key=lambda tier: tier.step))

    @property
    def expired(self) -> PiecePlan:
        """The plan of what has expired: all that is kept of it is metrics, down to 10 seconds."""
        return PiecePlan(_between(TEN_SECONDS, self.tiers[0] if self.tiers else self.rest), TEN_SECONDS)


def _serves(tier: Tier, grid: Grid) -> bool:
    if tier is TEN_SECONDS or FEW * tier.step <= grid.shortest:
        return True
    if not isinstance(grid, (FixedGrid, Tier)):
        return False
    return grid.step % tier.step == 0 and (grid.origin - tier.origin) % tier.step == 0


def _between(finest: Tier, coarsest: Tier) -> tuple[Tier, ...]:
    found = [tier for tier in CACHED_TIERS if finest.step <= tier.step <= coarsest.step]
    return tuple(reversed(found))


@dataclass(frozen=True, eq=False, slots=True)
class Runs:
    """A run ``[starts[i], stops[i])`` for each interval; many of them are empty."""

    starts: Times
    stops: Times

    def covered(self, tier: Tier) -> Runs:
        """Return the buckets of a tier that cover them."""
        starts = _floor(tier, self.starts)
        return Runs(starts, np.where(self.starts < self.stops, _ceil(tier, self.stops), starts))

    def spans(self, tier: Tier) -> list[Span]:
        """Return what to read of a tier to have all of them: spans that are far from each other."""
        held = self.starts < self.stops
        pairs = np.unique(np.stack((self.starts[held], self.stops[held]), axis=1), axis=0).tolist()
        return joined_spans((tier.cover(Span(*pair)) for pair in pairs), tier.step * CHUNK_BUCKETS)


@dataclass(frozen=True, eq=False, slots=True)
class Pieces:
    """Intervals that follow each other, cut up; ``runs``: of each tier, twice; ``rests``: twice, too."""

    plan: PiecePlan
    intervals: Sequence[Span]
    runs: Mapping[Tier, tuple[Runs, Runs]]
    rests: tuple[Runs, Runs]

    @classmethod
    def of(cls, plan: PiecePlan, intervals: Sequence[Span]) -> Pieces:
        starts, stops = np.array([(each.start, each.stop) for each in intervals], np.int64).reshape(-1, 2).T
        left, right = stops, stops  # what is not in pieces yet: [starts, left) and [right, stops)
        is_cut = np.zeros(len(intervals), dtype=np.bool_)
        runs: dict[Tier, tuple[Runs, Runs]] = {}
        for tier in plan.tiers:
            first, last = _ceil(tier, starts), _floor(tier, stops)
            is_new = ~is_cut & (first < last)
            inner = np.where(is_new, last, np.where(is_cut, left, first))
            outer = np.where(is_cut, np.maximum(last, right), right)
            runs[tier] = (Runs(first, inner), Runs(right, outer))
            is_cut |= is_new
            left, right = np.where(is_cut, first, left), np.where(is_new, last, outer)
        return cls(plan, intervals, runs, (Runs(starts, left), Runs(right, stops)))

    def reads(self) -> Iterator[tuple[Tier, Sequence[Span]]]:
        """Yield the spans in which revisions are read, the coarsest tier's first."""
        needed = {tier: list(runs) for tier, runs in self.runs.items()}
        needed.setdefault(self.plan.rest, []).extend(self.rests)
        for tier, runs in needed.items():
            spans = sorted((span for each in runs for span in each.spans(tier)), key=lambda span: span.start)
            yield tier, joined_spans(spans, tier.step * CHUNK_BUCKETS)

    def revisions(self, numbers: Numbers) -> list[int]:
        """Return one number for each interval, which changes with any of its revisions; 0 where it has none.

        Revisions are random, so sums of what they are mixed to are as good as the numbers themselves.
        """
        total = np.zeros(len(self.intervals), dtype=np.uint64)
        held = np.zeros(len(self.intervals), dtype=np.bool_)
        for tier, each in self.runs.items():
            _add(total, held, tier, numbers.get(tier, NO_REVISIONS), each)
        rest = self.plan.rest
        _add(total, held, rest, numbers.get(rest, NO_REVISIONS), self.covers())
        for bounds in ([each.start for each in self.intervals], [each.stop for each in self.intervals]):
            total = _mixed(total ^ np.array(bounds, dtype=np.int64).view(np.uint64))
        found = np.maximum((total >> np.uint64(1)).astype(np.int64), 1)
        revisions: list[int] = np.where(held, found, 0).tolist()
        return revisions

    def covers(self) -> tuple[Runs, Runs]:
        """Return the buckets of the plan's ``rest`` that cover the rests."""
        first, second = (runs.covered(self.plan.rest) for runs in self.rests)
        return first, second

    def rest_spans(self) -> list[Span]:
        """Return the rests, in order of time; none overlaps another."""
        pairs = {
            pair
            for runs in self.rests
            for pair in zip(runs.starts.tolist(), runs.stops.tolist(), strict=True)
        }
        return [Span(*pair) for pair in sorted(pairs) if pair[0] < pair[1]]


def chosen(numbers: BucketRevisions, runs: Sequence[Runs]) -> BucketRevisions:
    """Return the buckets that are in any of some runs."""
    buckets = numbers.buckets
    changes = np.zeros(len(buckets) + 1, dtype=np.int64)
    for each in runs:
        first = buckets.searchsorted(each.starts)
        np.add.at(changes, first, 1)
        np.subtract.at(changes, np.maximum(buckets.searchsorted(each.stops), first), 1)
    return numbers.where(np.cumsum(changes)[:-1] > 0)


def joined_spans(spans: Iterator[Span] | Sequence[Span], gap: int = 0) -> list[Span]:
    """Join spans, in order of their starts, that are no more than a gap apart."""
    found: list[Span] = []
    for span in spans:
        if found and span.start <= found[-1].stop + gap:
            found[-1] = Span(found[-1].start, max(found[-1].stop, span.stop))
        else:
            found.append(span)
    return found


def _add(
    total: npt.NDArray[np.uint64],
    held: npt.NDArray[np.bool_],
    tier: Tier,
    numbers: BucketRevisions,
    runs: Sequence[Runs],
) -> None:
    """Add what the revisions in each interval's runs are mixed to, as differences of running sums."""
    if not numbers:
        return
    buckets, found = numbers.buckets, numbers.revisions
    mixed = _mixed(_mixed((buckets + tier.step).view(np.uint64)) ^ found.view(np.uint64))
    sums = np.concatenate((np.zeros(1, dtype=np.uint64), np.cumsum(mixed)))
    for each in runs:
        first = buckets.searchsorted(each.starts)
        last = np.maximum(buckets.searchsorted(each.stops), first)
        total += sums[last] - sums[first]
        held |= last > first


def _mixed(numbers: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Mix bits: the output function of splitmix64 (Steele, Lea & Flood, OOPSLA 2014)."""
    numbers = numbers + np.uint64(0x9E3779B97F4A7C15)
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return numbers ^ (numbers >> np.uint64(31))


def _floor(tier: Tier, times: Times) -> Times:
    return times - (times - tier.origin) % tier.step


def _ceil(tier: Tier, times: Times) -> Times:
    return times + (tier.origin - times) % tier.step
