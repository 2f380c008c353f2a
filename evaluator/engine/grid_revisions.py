"""The revisions of the buckets of a grid that is not a tier, made of those of stored tiers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from cube.model.grid import Grid
from cube.model.tier import CACHED_TIERS, TEN_SECONDS, Span, Tier
from cube.store.bucket_revisions import NO_REVISIONS, BucketRevisions
from cube.store.ports import Revisions
from evaluator.engine.pieces import Numbers, PiecePlan, Pieces

_NO_PLAN = PiecePlan((), TEN_SECONDS)


@dataclass(frozen=True, slots=True)
class GridRevisions:
    """``revisions``: of the grid's buckets. What follows is not of tiers.

    ``numbers``: those that they were made of. ``intervals``: each bucket with a revision.
    """

    revisions: Revisions
    plan: PiecePlan = _NO_PLAN
    numbers: Numbers = field(default_factory=dict)
    intervals: Mapping[int, Span] = field(default_factory=dict)


ReadRevisions: TypeAlias = Callable[[Tier, Span], Awaitable[Revisions]]
"""Reads the revisions of a type, of a tier over an aligned span."""


async def read_grid_revisions(read: ReadRevisions, grid: Grid, span: Span) -> GridRevisions:
    """Read the revisions of an aligned span: a coarse tier's before a finer one's."""
    pieces = Pieces.of(PiecePlan.of(grid), grid.intervals(span))
    found, numbers = await read_pieces(read, pieces)
    by_bucket = zip(grid.buckets(span), pieces.intervals, pieces.revisions(numbers), strict=True)
    eventful = [(bucket, interval, revision) for bucket, interval, revision in by_bucket if revision]
    by_bucket_start = {bucket: revision for bucket, _, revision in eventful}
    revisions = replace(found, numbers=BucketRevisions.of(by_bucket_start))
    intervals = {bucket: interval for bucket, interval, _ in eventful}
    return GridRevisions(revisions, pieces.plan, numbers, intervals)


async def read_pieces(read: ReadRevisions, pieces: Pieces) -> tuple[Revisions, Numbers]:
    """Read the revisions of pieces and of what covers rests; return what was read last, and all numbers.

    Of what has expired, or is forgotten, the latest counts.
    """
    last = Revisions()
    numbers: dict[Tier, BucketRevisions] = {}
    for tier, spans in pieces.reads():
        for span in spans:
            last = await read(tier, span)
            numbers[tier] = numbers.get(tier, NO_REVISIONS).joined(last.numbers)
    return last, numbers


def keeper(grid: Grid) -> Tier:
    """Return the tier among whose metrics those over a grid are kept: none of its buckets holds two starts.

    Unless clocks are set: then the one of the two that is kept later counts.
    """
    if isinstance(grid, Tier):
        return grid
    fits = [tier for tier in CACHED_TIERS if 2 * tier.step <= grid.shortest]
    return fits[-1] if fits else CACHED_TIERS[0]
