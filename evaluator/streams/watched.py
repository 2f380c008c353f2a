"""What a live metric looks at: the revisions of all intervals that its buckets are made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from cube.expression.grouping import compared, ranked, reductions_in
from cube.expression.nodes import MetricExpression, Reduction
from cube.model.grid import Grid
from cube.model.tier import Span
from cube.store.bucket_revisions import BucketRevisions
from cube.store.ports import Revisions
from evaluator.engine import windows
from evaluator.engine.frames import Frame
from evaluator.engine.pyramid import Pyramid
from evaluator.engine.time_functions import leaves, lowered

EXPIRED_MS = 60_000
"""How often expired buckets are looked at: no revision tells that a metric of theirs has been deleted."""


class Watch(NamedTuple):
    """Events of a type in what moves a frame's intervals; a bucket depends on ``before`` more before it."""

    type: str
    moves: tuple[tuple[str, int], ...]
    before: int


@dataclass(frozen=True, slots=True)
class Watched:
    """The revisions of a watch, by tier or other grid, as they were read for a frame."""

    frame: Frame
    before: int
    grids: Mapping[Grid, Revisions]

    def changed(self, old: Watched, *, is_due: bool) -> Iterator[tuple[int, int]]:
        """Yield, as ranges of places in the frame without ``before``, the buckets that may have changed.

        ``is_due``: whether those of which something has expired are to be looked at.
        """
        starts, stops = self.frame.intervals()
        if not len(starts):
            return
        for grid, revisions in self.grids.items():
            known = old.grids.get(grid, _NOTHING)
            if revisions.foreign or known.foreign:
                yield 0, len(starts)
                return
            fresh, numbers = revisions.numbers, known.numbers
            changed = [bucket for bucket, number in fresh.items() if numbers.get(bucket) != number]
            gone = [bucket for bucket in numbers.keys() - fresh.keys() if bucket < stops[-1]]
            changed += [bucket for bucket in gone if grid.after(bucket) > starts[0]]
            if changed:
                first = int(np.searchsorted(stops, min(changed), side="right"))
                yield first - self.before, int(np.searchsorted(starts, grid.after(max(changed))))
            expired = revisions.expired_before
            if expired is not None and (is_due or expired != known.expired_before):
                yield 0, int(np.searchsorted(starts, expired))


_NOTHING = Revisions()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that a live metric watches, at a moment; ``looked``: when its expired buckets were looked at.

    ``beyond``: what tells of its sequences, and of what its groups are ranked by: an event of one bucket, or
    of none, may change others.
    """

    span: Span
    watched: Mapping[Watch, Watched]
    looked: int
    beyond: Sequence[int | None] = ()

    def changed(self, before: Snapshot, grid: Grid) -> Span:
        """Return the span of the buckets that are new or may have changed; empty if there are none."""
        span, known = self.span, before.span
        if self.beyond != before.beyond or None in self.beyond:
            return span
        is_grown = any(move == "cumulative" for watch in self.watched for move, _ in watch.moves)
        if is_grown and known.start != span.start:
            return span
        ranges = [
            (place, place + 1) for place, bucket in enumerate(grid.buckets(span)) if bucket not in known
        ]
        for watch, watched in self.watched.items():
            ranges += watched.changed(before.watched[watch], is_due=self._is_due(before))
        edges = [*grid.buckets(span), span.stop]
        count = len(edges) - 1
        places = [(max(0, first), min(count, last)) for first, last in ranges]
        places = [(first, last) for first, last in places if first < last]
        if not places:
            return Span(span.stop, span.stop)
        first, last = min(each for each, _ in places), max(each for _, each in places)
        return Span(edges[first], edges[last])

    def after(self, before: Snapshot) -> Snapshot:
        """Return this as the snapshot that follows another."""
        return self if self._is_due(before) else replace(self, looked=before.looked)

    def _is_due(self, before: Snapshot) -> bool:
        return abs(self.looked - before.looked) >= EXPIRED_MS


async def read_snapshot(
    pyramid: Pyramid, expression: MetricExpression, grid: Grid, span: Span, now: int
) -> Snapshot:
    """Read the revisions of all that an expression's buckets are made of"""
    frame = Frame(grid, span, span.start)
    watched: dict[Watch, Watched] = {}
    beyond: list[int | None] = []
    for leaf, reduction in leaves(lowered(expression), frame):
        if not isinstance(reduction, Reduction):
            beyond.append(await pyramid.beyond(leaf, reduction))
            continue
        before = leaf.frame.count - frame.count
        watch = Watch(reduction.type, leaf.frame.moves, before)
        if watch not in watched:
            watched[watch] = await _read(pyramid, watch, leaf.frame)
    best = ranked(expression)
    for reduction in () if best is None else reductions_in(compared(best)):
        watch = Watch(reduction.type, (), 0)
        if watch not in watched:
            watched[watch] = await _read(pyramid, watch, frame)
    if best is not None and span:
        beyond.append(await pyramid.ranking_digest(expression, grid, span))
    return Snapshot(span, watched, now, beyond)


async def _read(pyramid: Pyramid, watch: Watch, frame: Frame) -> Watched:
    aligned = frame.aligned()
    if aligned is not None:
        revisions = await pyramid.revisions(watch.type, frame.grid, aligned)
        return Watched(frame, watch.before, {frame.grid: revisions})
    found: dict[Grid, Revisions] = {}
    for tier, buckets in windows.parts(frame, pyramid.context.limits.cells).items():
        wanted = set(buckets)
        read = [await pyramid.revisions(watch.type, tier, span) for span in windows.spans(buckets, tier)]
        numbers = {
            bucket: number for each in read for bucket, number in each.numbers.items() if bucket in wanted
        }
        found[tier] = replace(read[-1], numbers=BucketRevisions.of(numbers))
    return Watched(frame, watch.before, found)
