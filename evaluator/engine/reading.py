"""Reading events: as packed columns, from a span's start on, and those few that an index finds."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Final, TypeAlias

import numpy as np

from cube.columns import Block, PackedBlock, joined, needed
from cube.columns.values import Path
from cube.expression.nodes import Reduction
from cube.model.tier import HOUR, TEN_SECONDS, Span, Tier
from cube.process.threads import run_in_thread
from cube.store.bucket_revisions import BucketRevisions
from cube.store.equality import wanted_by
from cube.store.ports import ReadSession
from cube.store.read_options import TimeSlice

SEGMENT_ROWS = 65_536
"""A segment has no more rows, unless one bucket of 10 seconds has."""

MOST_ROWS: Final = 16_384
"""More events are read as blocks, which are kept: one by one they cost three times as much."""

Numbers: TypeAlias = BucketRevisions
"""The revisions of buckets of 10 seconds; one that is not there has no events."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How one question reads: its session, the columns that it needs, and what begins its turns.

    ``opened``: the column files that it has looked into: once is enough. ``follows``: whether somebody asks.
    """

    session: ReadSession
    paths: frozenset[Path]
    time_slice: TimeSlice
    opened: set[FilePath] = field(default_factory=set)
    follows: bool = True


def eventful(span: Span, numbers: Numbers) -> Span:
    """Return a span from its first bucket on that has events; empty where none has."""
    place = int(numbers.buckets.searchsorted(span.start))
    first = int(numbers.buckets[place]) if place < len(numbers) else span.stop
    return Span(min(first, span.stop), span.stop)


def runs(gaps: Iterable[int], eventful: Iterable[int], tier: Tier, bridge: int = 6) -> list[Span]:
    """Join gaps into spans to scan.

    ``eventful``: all buckets that may have events, the gaps included. Two gaps are joined where at
    most ``bridge`` other eventful buckets lie between them: to read those again is cheaper than to
    begin another scan. What lies between without events costs nothing.
    """
    wanted = set(gaps)
    spans: list[Span] = []
    between = 0
    for bucket in sorted(eventful):
        if bucket not in wanted:
            between += 1
            continue
        stop = bucket + tier.step
        if spans and between <= bridge:
            spans[-1] = Span(spans[-1].start, stop)
        else:
            spans.append(Span(bucket, stop))
        between = 0
    return spans


async def read_events(
    reading: Reading,
    type: str,
    span: Span,
    paths: Collection[Path],
    count: Callable[[int], None],
    rows: int = SEGMENT_ROWS,
) -> tuple[Span, PackedBlock]:
    """Read whole buckets of 10 s from a span's start on, about so many rows; return how far, and the events.

    ``count`` is told how many events each piece of the store has.
    """
    parts: list[PackedBlock] = []
    async with aclosing(reading.session.packed(type, span, paths)) as pieces:
        async for piece in pieces:
            count(sum(map(len, piece)))
            parts += piece
            last = TEN_SECONDS.floor(int(parts[-1].times[-1]))
            if last > span.start and _is_enough(parts, last, sum(map(len, piece)), rows):
                span = Span(span.start, last)
                break
    async with reading.time_slice():
        return span, await run_in_thread(_up_to, parts, span.stop, paths)


def _is_enough(parts: Sequence[PackedBlock], last: int, piece: int, rows: int) -> bool:
    """Tell whether another piece would make too many rows, or all of the bucket that was begun last.

    That counts as one as long as those before it: what is read of it in vain is read again.
    """
    whole = sum(int(part.times.searchsorted(last)) for part in parts)
    buckets = (last - TEN_SECONDS.floor(int(parts[0].times[0]))) // TEN_SECONDS.step
    return sum(map(len, parts)) > rows or whole + max(piece, whole // max(1, buckets)) > rows


def _up_to(parts: Sequence[PackedBlock], stop: int, paths: Iterable[Path]) -> PackedBlock:
    """Join what was read, up to a time."""
    if not parts:
        return PackedBlock.of(Block(np.zeros(0, dtype=np.int64), []), paths)
    whole = joined(parts)
    return whole.rows(0, int(whole.times.searchsorted(stop)))


async def is_narrow(session: ReadSession, reduction: Reduction, span: Span) -> bool:
    """Tell whether an index leaves few events of a span, an hour or longer, that filters may pass."""
    wanted = wanted_by(reduction.filters)
    if not wanted or span.length < HOUR.step:
        return False
    found = await session.indexed(reduction.type, span, wanted, MOST_ROWS + 1)
    return found is not None and found <= MOST_ROWS


async def narrowed(
    session: ReadSession, reduction: Reduction, span: Span, count: Callable[[int], None]
) -> AsyncGenerator[Block, None]:
    """Yield blocks with all events of a span that the filters pass, and maybe others, ordered by time.

    ``count`` is told how many events each has.
    """
    scan = session.scan(reduction.type, span, needed(reduction), wanted=wanted_by(reduction.filters))
    async with aclosing(scan) as blocks:
        async for block in blocks:
            count(len(block))
            yield block
