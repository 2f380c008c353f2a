"""Buckets with their revisions, cut into hours, joined into spans, told in buckets of 10 seconds."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterator, Mapping

from cube.model.tier import HOUR, TEN_SECONDS, Span, Tier
from evaluator.engine.reading import Numbers


def hours(gaps: Mapping[int, int]) -> Iterator[Mapping[int, int]]:
    """Cut gaps into those of each hour, ordered by time."""
    buckets = sorted(gaps)
    first = 0
    while first < len(buckets):
        stop = bisect_left(buckets, HOUR.after(buckets[first]), first)
        some = buckets[first:stop]
        yield dict(zip(some, map(gaps.__getitem__, some), strict=True))
        first = stop


def of_ten_seconds(tier: Tier, piece: Mapping[int, int]) -> Numbers:
    """Return the revisions of 10 seconds as those of 1 second, or of 10, tell them."""
    if tier is TEN_SECONDS:
        return piece
    return {TEN_SECONDS.floor(bucket): number for bucket, number in piece.items()}


def joined_buckets(tier: Tier, piece: Collection[int]) -> Iterator[Span]:
    """Join ascending buckets that follow each other, as spans of whole 10 seconds."""
    step = TEN_SECONDS.step
    if piece and len(piece) > 1:
        first, last = min(piece), max(piece)
        if last - first == (len(piece) - 1) * tier.step:
            yield TEN_SECONDS.cover(Span(first, last + tier.step))
            return
    start = stop = None
    for bucket in piece:
        first, last = bucket - bucket % step, -(-(bucket + tier.step) // step) * step
        if start is None or stop is None:
            start = first
        elif first > stop:
            yield Span(start, stop)
            start = first
        stop = last
    if start is not None and stop is not None:
        yield Span(start, stop)
