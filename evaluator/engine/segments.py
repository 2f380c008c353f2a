"""Segments: events that were read once, as packed columns, with the revisions that vouch for them.

`SegmentMap` has those of one type, which never overlap; a `BlockCache` bounds those of all. Everything here
runs on one event loop and awaits nothing: each change is one step for whoever looks on. Buckets are looked up
in pieces of an hour, as spans of whole 10 seconds.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from cube.columns import PackedBlock, joined
from cube.columns.values import Path
from cube.model.tier import HOUR, SECOND, TEN_SECONDS, Span, Tier
from cube.store.bucket_revisions import NO_REVISIONS, BucketRevisions
from evaluator.engine.block_cache import BlockCache
from evaluator.engine.reading import SEGMENT_ROWS, Numbers

KEPT_GAPS = 2_500
"""The pieces of so many buckets are kept, each a dict once it has been looked at: some 400 kB."""

_GROWTH = 4  # neighbours are joined once they are within this factor: each row is copied a few times at most


@dataclass(frozen=True, eq=False, slots=True)
class Segment:
    """The events of whole 10-second buckets; ``numbers``: the revisions that were read before them.

    ``block`` has all events of ``span``, and knows it.
    """

    span: Span
    numbers: Numbers
    block: PackedBlock
    bytes: int

    @classmethod
    def of(cls, span: Span, numbers: Numbers, block: PackedBlock) -> Segment:
        return cls(span, numbers, block.over(span), block.bytes)

    def part(self, span: Span) -> Segment:
        """Return the part of it that lies in an aligned span."""
        span = self.span.intersect(span)
        if span == self.span:
            return self
        first, last = self.block.times.searchsorted((span.start, span.stop)).tolist()
        return Segment.of(span, self.numbers.part(span), self.block.rows(first, last))

    def agrees(self, span: Span, numbers: Numbers) -> int:
        """Return up to where, from the span's start on, its buckets are at these revisions."""
        span = self.span.intersect(span)
        differing = self.numbers.part(span).differing(numbers.part(span))
        return int(differing[0]) if len(differing) else span.stop

    def agreeing(self, span: Span, numbers: Numbers) -> list[Span]:
        """Return the runs of its buckets in a span that are at these revisions."""
        span = self.span.intersect(span)
        differing = self.numbers.part(span).differing(numbers.part(span))
        edges = [span.start - TEN_SECONDS.step, *differing.tolist(), span.stop]
        runs = (Span(before + TEN_SECONDS.step, after) for before, after in pairwise(edges))
        return [run for run in runs if run]


class SegmentMap:
    """The segments of one type, ordered by time, and what buckets of coarser tiers they are known to hold."""

    def __init__(self, cache: BlockCache) -> None:
        self._cache = cache
        self._segments: list[Segment] = []
        self._vouched: dict[int, dict[int, int]] = {}

    def overlapping(self, span: Span) -> Sequence[Segment]:
        """Return the segments that have a part in a span."""
        first = last = self._place(span.start)
        while last < len(self._segments) and self._segments[last].span.start < span.stop:
            last += 1
        return self._segments[first:last]

    def covering(self, span: Span) -> Sequence[Segment]:
        """Return the segments that hold all of a span; none where some of it is missing."""
        found, position = self.overlapping(span), span.start
        for segment in found:
            if segment.span.start > position:
                return ()
            position = segment.span.stop
        return found if position >= span.stop else ()

    def agree(self, span: Span, numbers: Numbers, paths: frozenset[Path]) -> bool:
        """Tell whether all of a span is in memory at these revisions."""
        reached = span.start
        for segment in self.overlapping(span):
            if segment.span.start > reached or not paths <= segment.block.paths:
                return False
            reached = segment.agrees(span, numbers)
            if reached < min(segment.span.stop, span.stop):
                return False
        return reached >= span.stop

    def with_older_columns(self, span: Span, numbers: Numbers, block: PackedBlock) -> PackedBlock:
        """Return a block with the columns, too, that are there of the same events."""
        older = self.covering(span)
        if len(older) != 1:
            return block
        part = older[0].part(span)
        if part.numbers != numbers or not np.array_equal(part.block.times, block.times):
            return block
        return part.block.beside(block)

    def use(self, segment: Segment) -> None:
        self._cache.use(segment)

    def put(self, segment: Segment) -> None:
        """Put a segment in the place of what is there, and join it to its neighbours."""
        replaced = self.overlapping(segment.span)
        for older in replaced:
            self._take_out(older)
        self._doubt(segment.span)
        for older in replaced:
            for span in (
                Span(older.span.start, segment.span.start),
                Span(segment.span.stop, older.span.stop),
            ):
                if span:
                    self._insert(older.part(span))
        self._insert(segment)
        self._join(segment.span.start)

    def trim(self, before: int) -> None:
        """Let go of the segments that begin before a time: what has expired is never read again."""
        for segment in [each for each in self._segments if each.span.start < before]:
            self._evict(segment)

    def blocks(self, spans: Iterable[Span]) -> list[PackedBlock]:
        """Return what some spans, all of which are in memory, hold; each block tells how far it reaches."""
        held: list[PackedBlock] = []
        for span in spans:
            segments = self.overlapping(span)
            stops = [*(segment.span.start for segment in segments[1:]), span.stop]
            start = span.start
            for segment, stop in zip(segments, stops, strict=True):
                self.use(segment)
                held.append(segment.part(span).block.over(Span(start, stop)))
                start = stop
        return held

    def is_vouched(
        self, tier: Tier, piece: BucketRevisions, spans: Iterable[Span], paths: frozenset[Path]
    ) -> bool:
        """Tell whether all of a piece, which spans hold, is in memory as it was at the revisions read."""
        vouched = self._vouched.get(tier.step)
        if not vouched or not vouched.items() >= piece.items():
            return False
        segments = [segment for span in spans for segment in self.overlapping(span)]
        return all(paths <= segment.block.paths for segment in segments)

    def vouch(self, tier: Tier, piece: BucketRevisions, numbers: Numbers) -> None:
        """Remember the revisions of a piece, until a part of it changes, where it is still held as read.

        ``numbers``: the revisions of 10 seconds at which it was read; where these tell the piece's own, there
        is nothing to remember.
        """
        if tier in (SECOND, TEN_SECONDS):
            return
        for span in joined_buckets(tier, piece):
            held = NO_REVISIONS
            for segment in self.overlapping(span):
                held = held.joined(segment.numbers.part(span))
            if held == numbers.part(span):
                self._vouched.setdefault(tier.step, {}).update(piece.part(span).items())

    def _place(self, time: int) -> int:
        """Return the place of the first segment that ends after a time."""
        return bisect_right(self._segments, time, key=lambda segment: segment.span.stop)

    def _insert(self, segment: Segment) -> None:
        self._segments.insert(self._place(segment.span.start), segment)
        self._cache.add(segment, self._evict)

    def _take_out(self, segment: Segment) -> None:
        self._segments.remove(segment)
        self._cache.drop(segment)

    def _evict(self, segment: Segment) -> None:
        self._take_out(segment)
        self._doubt(segment.span)

    def _doubt(self, span: Span) -> None:
        """Forget what was vouched for in a span."""
        for step, vouched in self._vouched.items():
            first = span.start - span.start % step  # weeks are not kept: every other tier begins at 0
            for bucket in range(first, span.stop, step):
                vouched.pop(bucket, None)

    def _join(self, start: int) -> None:
        """Join the segment at a time to the one before it, and that to the one before, while that pays."""
        place = self._place(start)
        while 0 < place < len(self._segments):
            earlier, later = self._segments[place - 1], self._segments[place]
            if not _are_joinable(earlier, later):
                return
            self._take_out(earlier)
            self._take_out(later)
            span = Span(earlier.span.start, later.span.stop)
            self._insert(
                Segment.of(span, earlier.numbers.joined(later.numbers), joined([earlier.block, later.block]))
            )
            place = self._place(span.start)


def _are_joinable(earlier: Segment, later: Segment) -> bool:
    sizes = sorted((len(earlier.block) + 1, len(later.block) + 1))
    return (
        earlier.span.stop == later.span.start
        and HOUR.floor(earlier.span.start) == HOUR.floor(later.span.start)
        and sum(sizes) <= SEGMENT_ROWS
        and sizes[1] <= _GROWTH * sizes[0]
        and earlier.block.paths == later.block.paths
    )


class Piece(NamedTuple):
    """Buckets of one hour, and the spans of whole 10 seconds that hold them."""

    numbers: BucketRevisions
    spans: tuple[Span, ...]


def pieces(tier: Tier, gaps: BucketRevisions) -> Sequence[Piece]:
    """Cut gaps of a tier into pieces, ordered by time; a few answers are kept, of which many ask again."""
    return (_pieces if len(gaps) <= KEPT_GAPS else _pieces.__wrapped__)(tier, gaps)


@lru_cache(maxsize=8)
def _pieces(tier: Tier, gaps: BucketRevisions) -> Sequence[Piece]:
    return [Piece(piece, tuple(joined_buckets(tier, piece))) for piece in hours(gaps)]


def hours(gaps: BucketRevisions) -> Iterator[BucketRevisions]:
    """Cut gaps into those of each hour, ordered by time."""
    edges = np.flatnonzero(np.diff(gaps.buckets // HOUR.step)) + 1  # hours begin at 0
    for start, stop in pairwise((0, *edges.tolist(), len(gaps))):
        if start < stop:
            yield gaps.rows(start, stop)


def of_ten_seconds(tier: Tier, piece: BucketRevisions) -> Numbers:
    """Return the revisions of 10 seconds as those of 1 second, or of 10, tell them."""
    if tier is TEN_SECONDS:
        return piece
    buckets, first = np.unique(piece.buckets // TEN_SECONDS.step, return_index=True)
    return BucketRevisions(buckets * TEN_SECONDS.step, piece.revisions[first])


def joined_buckets(tier: Tier, piece: BucketRevisions) -> Iterator[Span]:
    """Join buckets that follow each other, as spans of whole 10 seconds."""
    starts, stops = piece.buckets, piece.buckets + tier.step
    starts, stops = starts - starts % TEN_SECONDS.step, stops + -stops % TEN_SECONDS.step
    edges = np.flatnonzero(starts[1:] > stops[:-1]) + 1
    for start, stop in pairwise((0, *edges.tolist(), len(piece))):
        if start < stop:
            yield Span(int(starts[start]), int(stops[stop - 1]))
