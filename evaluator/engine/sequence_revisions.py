"""What a sequence's buckets depend on: the revisions of all buckets around them, as one number for each.

A funnel's bucket depends on events after it, a session's also on those before it, a retention's on all that
came before. So what is cached of such a bucket counts where *all* these are as they were: its revision is a
digest of theirs. They are revisions of one tier (`vouching_tier`), read before any event is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, assert_never

import numpy as np
import numpy.typing as npt

from cube.columns.key_events import Codes
from cube.columns.sessions import followed, needs_ends
from cube.expression.nodes import Cohorts, EventExpression, Funnel, SequenceExpression, SessionReduction
from cube.model.grid import Grid
from cube.model.tier import HOUR, MINUTE, Span, Tier
from cube.store.bucket_revisions import NO_REVISIONS, BucketRevisions
from cube.store.ports import Revisions

Digests = npt.NDArray[np.uint64]

_SPREAD: Final = np.uint64(0x9E3779B97F4A7C15)
_STEPS: Final = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))
_LAST: Final = np.uint64(31)
_EARLIEST: Final = -(2**63)


@dataclass(frozen=True, slots=True)
class Reach:
    """Of which events of a type a bucket's value depends: those from ``before`` it to ``after`` it.

    Both are milliseconds; ``before`` None: all there are. ``selections``: which of the type's events count.
    """

    type: str
    before: int | None
    after: int
    selections: tuple[EventExpression, ...]

    def span(self, bucket: Span) -> Span | None:
        """Return where the events lie of which some buckets depend; None: from the first one on."""
        return None if self.before is None else Span(bucket.start - self.before, bucket.stop + self.after)


def reaches(node: SequenceExpression) -> list[Reach]:
    """Return what a sequence depends on: one for each type, that of a bucket's own events first."""
    match node:
        case Funnel(_, window, steps):
            # An event counts that is exactly the window after the first one.
            return _by_type([Reach(step.type, 0, window + 1, (step,)) for step in steps])
        case Cohorts(_, period, periods, first, returning):
            back = first if returning is None else returning
            return [
                Reach(first.type, None, 0, (first,)),
                Reach(back.type, 0, (periods + 1) * period, (back,)),
            ]
        case SessionReduction(_, gap, events, reduction):
            after = followed(gap) + 1 if needs_ends(reduction) else 0
            return [Reach(events.type, gap, after, (events,))]
        case _:
            assert_never(node)


def _by_type(parts: Sequence[Reach]) -> list[Reach]:
    found: dict[str, list[Reach]] = {}
    for part in parts:
        found.setdefault(part.type, []).append(part)
    return [
        Reach(type, some[0].before, some[0].after, tuple(each for part in some for each in part.selections))
        for type, some in found.items()
    ]


def vouching_tier(node: SequenceExpression, grid: Grid) -> Tier:
    """Return the tier whose revisions are looked at: the same in every question over a grid."""
    return HOUR if grid.shortest >= HOUR.step or isinstance(node, Cohorts) else MINUTE


class ReachRevisions:
    """The revisions that a reach found, in order of time; ``first``: where they begin."""

    def __init__(self, reach: Reach, tier: Tier, revisions: Revisions) -> None:
        self.reach = reach
        self.revisions = revisions
        self._tier = tier
        self._starts, numbers = revisions.numbers.buckets, revisions.numbers.revisions
        mixed = _mixed(self._starts.astype(np.uint64) * _SPREAD ^ numbers.astype(np.uint64))
        self._sums = np.concatenate((np.zeros(1, np.uint64), np.cumsum(mixed, dtype=np.uint64)))

    def gaps(self, bucket: Span) -> BucketRevisions:
        """Return the revisions of what has events to be read for some buckets, and has not expired."""
        span, expired = self.reach.span(bucket), self.revisions.expired_before
        starts = [
            each
            for each in (None if span is None else self._tier.floor(span.start), expired)
            if each is not None
        ]
        stop = bucket.stop + self.reach.after
        return self.revisions.numbers.part(Span(max(starts, default=_EARLIEST), stop))

    def digests(self, edges: Codes) -> Digests:
        """Return the digest of all that each bucket between edges depends on."""
        first, last = self._places(edges[:-1], edges[1:] + self.reach.after)
        if self.reach.before is None:
            first = np.zeros_like(last)
        else:
            first, _ = self._places(edges[:-1] - self.reach.before, edges[1:])
        return self._sums[last] - self._sums[first]

    def eventful(self, edges: Codes) -> npt.NDArray[np.bool_]:
        """Tell which buckets between edges may have events of their own."""
        first, last = self._places(edges[:-1], edges[1:])
        found: npt.NDArray[np.bool_] = last > first
        return found

    def _places(self, starts: Codes, stops: Codes) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        floors = starts - (starts - self._tier.origin) % self._tier.step
        return np.searchsorted(self._starts, floors), np.searchsorted(self._starts, stops)


def bucket_revisions(known: Sequence[ReachRevisions], edges: Codes) -> BucketRevisions:
    """Return a revision for each bucket between edges that may have events; of one that has none, nothing."""
    if not len(edges):
        return NO_REVISIONS
    total = np.zeros(len(edges) - 1, dtype=np.uint64)
    for each in known:
        total = _mixed(total * _SPREAD + each.digests(edges))
    numbers = (total >> np.uint64(2)).astype(np.int64) + 1  # a revision is positive
    some = np.flatnonzero(known[0].eventful(edges))
    return BucketRevisions(edges[some], numbers[some])


def _mixed(numbers: Digests) -> Digests:
    """Spread numbers over 64 bits (the finalizer of SplitMix64), so that sums of them tell sets apart."""
    for shift, factor in _STEPS:
        numbers = (numbers ^ (numbers >> np.uint64(shift))) * np.uint64(factor)
    return numbers ^ (numbers >> _LAST)
