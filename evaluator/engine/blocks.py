"""Column blocks: the events of some buckets, from memory where they are as they were, else read again.

The order carries the promise, as everywhere (docs/decisions/0001-revisions.md): a question has read the
revisions of its own tier; here those of 10 seconds are read after them, and events after those. A bucket is
taken from memory where its revisions of 10 seconds are the present ones, or where the bucket of the
question's tier was found so before, at the very revision that the question has read. What differs is read
again and put as a whole immutable segment: whoever has the older one goes on with it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from weakref import WeakValueDictionary

from cube.columns import PackedBlock
from cube.columns.values import Path
from cube.model.tier import HOUR, SECOND, TEN_SECONDS, Span, Tier
from cube.process.threads import run_in_thread
from cube.store.bucket_revisions import NO_REVISIONS, BucketRevisions
from cube.store.ports import ReadSession
from evaluator.engine.ahead import AheadBuckets
from evaluator.engine.column_files import ColumnFiles
from evaluator.engine.reading import Numbers, Reading, eventful, read_events
from evaluator.engine.segments import Segment, SegmentMap, of_ten_seconds, pieces

READINGS = 32
"""So many columns of a type, those asked for last, are made of all events that are read."""

AHEAD = 24
"""The revisions of 10 seconds are read of so many hours at once, at most, where these follow each other."""

WORTH = 0.5
"""Who waits for another's read needs at least this share of it."""


class TypeBlocks:
    """The blocks of one type; ``ahead``: what was read ahead."""

    def __init__(
        self,
        type: str,
        segments: SegmentMap,
        ahead: AheadBuckets,
        read: Callable[[int], None],
        files: ColumnFiles | None = None,
    ) -> None:
        self.type = type
        self.ahead = ahead
        self._files = files
        self._segments = segments
        self._read = read
        self._wanted: OrderedDict[Path, None] = OrderedDict()
        self._reads: WeakValueDictionary[int, _Read] = WeakValueDictionary()

    async def blocks(
        self, reading: Reading, tier: Tier, gaps: BucketRevisions
    ) -> AsyncGenerator[PackedBlock, None]:
        """Yield blocks that hold the events of some buckets, each event once, ordered by time.

        Each tells of which span it has all events; between those of buckets that follow each other is none.
        ``tier``: of an hour at most. ``gaps``: their revisions, which were read before the session's first
        read. There may be events of other buckets in the same 10 seconds.
        """
        self._register(reading.paths)
        parts = pieces(tier, gaps)
        if reading.follows and parts:
            self.ahead.follow([int(piece.buckets[-1]) + tier.step for piece, _ in parts])
        known: dict[int, Numbers] = {}
        for place, (piece, spans) in enumerate(parts):
            if self._segments.is_vouched(tier, piece, spans, reading.paths):
                for block in self._segments.blocks(spans):
                    yield block
                continue
            hour = HOUR.floor(spans[0].start)
            if hour not in known:
                ahead = [part.numbers for part in parts[place : place + AHEAD]]
                known = await self._numbers(reading.session, tier, ahead)
            numbers = known[hour]
            for span in spans:
                start, rest = span.start, eventful(span, numbers)
                while rest:
                    part = await self._next(reading, rest, numbers)
                    rest = eventful(Span(part.span.stop, span.stop), numbers)
                    yield part.block.over(Span(start, rest.start))
                    start = rest.start
            self._segments.vouch(tier, piece, numbers)

    def holds(self, tier: Tier, gaps: BucketRevisions, paths: frozenset[Path]) -> int | None:
        """Return how many rows hold all of some buckets at their revisions; None where that is not known.

        What was read ahead counts as if nothing had come since. ``tier``: of an hour at most.
        """
        rows = 0
        for piece, spans in pieces(tier, gaps):
            is_told = tier in (SECOND, TEN_SECONDS)
            numbers = of_ten_seconds(tier, piece) if is_told else NO_REVISIONS
            if not is_told and not self._segments.is_vouched(tier, piece, spans, paths):
                return None
            for span in spans:
                if is_told and not self._segments.agree(span, numbers, paths):
                    ahead = self._read_ahead(span, numbers, paths)
                    if ahead is None:
                        return None
                    rows += ahead
                rows += sum(len(each.block) for each in self._segments.overlapping(span))
        return rows

    def _read_ahead(self, span: Span, numbers: Numbers, paths: frozenset[Path]) -> int | None:
        """Return how many rows were read ahead of what of a span is not held; None where some was not."""
        rows = 0
        for bucket in TEN_SECONDS.buckets(span):
            if bucket in numbers and not self._segments.agree(
                Span(bucket, bucket + TEN_SECONDS.step), numbers, paths
            ):
                ahead = self.ahead.rows(bucket, paths)
                if ahead is None:
                    return None
                rows += ahead
        return rows

    def reaches_over(self, span: Span, paths: frozenset[Path]) -> bool:
        """Tell whether some events of each hour of a span are in memory, with the columns at some paths."""
        return self.rows_near(HOUR.buckets(HOUR.cover(span)), paths) is not None

    def rows_near(self, times: Iterable[int], paths: frozenset[Path]) -> int | None:
        """Return how many rows are in memory around the hours of some times; None where one has none."""
        wanted = set(map(HOUR.floor, times))
        around = Span(min(wanted), max(wanted) + HOUR.step)
        held = [each for each in self._segments.overlapping(around) if paths <= each.block.paths]
        known = {hour for each in held for hour in HOUR.buckets(HOUR.cover(each.span))}
        return sum(len(each.block) for each in held) if known >= wanted else None

    @property
    def wanted(self) -> frozenset[Path]:
        """The columns that were asked for last."""
        return frozenset(self._wanted)

    def take_in(self, segment: Segment) -> bool:
        """Put a segment, unless something of its span is in memory; tell whether it was put."""
        if self._segments.overlapping(segment.span):
            return False
        self._segments.put(segment)
        return True

    def trim(self, before: int) -> None:
        """Let go of what has expired."""
        self._segments.trim(before)

    def _register(self, paths: Iterable[Path]) -> None:
        for path in paths:
            self._wanted[path] = None
            self._wanted.move_to_end(path)
        while len(self._wanted) > READINGS:
            self._wanted.popitem(last=False)

    async def _numbers(
        self, session: ReadSession, tier: Tier, pieces: Sequence[BucketRevisions]
    ) -> dict[int, Numbers]:
        """Return the revisions of 10 seconds of the first piece's hour, and of those that follow it, by hour.

        A question at that tier, or below, has read them.
        """
        starts = [HOUR.floor(int(piece.buckets[0])) for piece in pieces]
        if tier in (SECOND, TEN_SECONDS):
            return {starts[0]: of_ten_seconds(tier, pieces[0])}
        many = next(
            (place for place, start in enumerate(starts) if start > starts[0] + place * HOUR.step), None
        )
        pieces, starts = pieces[:many], starts[:many]
        span = Span(int(pieces[0].buckets[0]), pieces[-1].span(tier.step).stop)
        found = (await session.revisions(self.type, TEN_SECONDS, span)).numbers
        return {start: found.part(Span(start, start + HOUR.step)) for start in starts}

    async def _next(self, reading: Reading, span: Span, numbers: Numbers) -> Segment:
        """Return what begins a span, at these revisions: from memory, or read and put there.

        One reads in an hour at a time, a segment at most, and others wait for that; who needs much less than
        is being read does not.
        """
        part = self._present(reading, span, numbers)
        if part is not None:
            return part
        read = self._reads.setdefault(HOUR.floor(span.start), _Read())
        if read.lock.locked() and span.length < WORTH * read.span.length:
            return await self._refreshed(reading, span, numbers)
        await self.until_free(read.lock)
        try:
            read.span = span
            part = self._present(reading, span, numbers)
            if part is None and self._files is not None:
                part = await self._filed(self._files, reading, span, numbers)
            return part or await self._refreshed(reading, span, numbers)
        finally:
            read.lock.release()

    async def until_free(self, lock: asyncio.Lock) -> None:
        """Wait for another's read, and take its place."""
        await lock.acquire()

    def _present(self, reading: Reading, span: Span, numbers: Numbers) -> Segment | None:
        found = self._segments.overlapping(Span(span.start, span.start + 1))
        if not found or not reading.paths <= found[0].block.paths:
            return None
        reached = found[0].agrees(span, numbers)
        if reached == span.start:
            return None
        self._segments.use(found[0])
        return found[0].part(Span(span.start, reached))

    async def _filed(
        self, files: ColumnFiles, reading: Reading, span: Span, numbers: Numbers
    ) -> Segment | None:
        """Take what begins a span from a file, where that is at these revisions; put it, and return it.

        What comes later in the file is put, too, so that only what differs is read.
        """
        async with reading.time_slice():
            segments = await run_in_thread(
                files.holding, self.type, span.start, reading.paths, reading.opened
            )
        found = None
        for segment in segments:
            for run in segment.agreeing(span, numbers):
                part = segment.part(run)
                part = Segment.of(
                    run, part.numbers, self._segments.with_older_columns(run, part.numbers, part.block)
                )
                self._segments.put(part)
                if run.start == span.start:
                    found = part
        return found

    async def _refreshed(self, reading: Reading, span: Span, numbers: Numbers) -> Segment:
        """Read what is not present from the span's start on, and put it; return that."""
        paths = reading.paths | self._wanted.keys()
        absent = self._absent(reading, span, numbers)
        first, block = self.ahead.first(absent), None
        if first == absent.start:
            span = Span(first, first + TEN_SECONDS.step)
            block = await self.ahead.read(reading, first, paths)
        elif first is not None:
            absent = Span(absent.start, first)
        if block is None:
            span, block = await read_events(reading, self.type, absent, paths, self._read)
        some = numbers.part(span)
        segment = Segment.of(span, some, self._segments.with_older_columns(span, some, block))
        self._segments.put(segment)
        return segment

    def _absent(self, reading: Reading, span: Span, numbers: Numbers) -> Span:
        """Return a span up to the first bucket with events that is present."""
        for segment in self._segments.overlapping(span):
            if not reading.paths <= segment.block.paths:
                continue
            later = Span(span.start + 1, span.stop).intersect(segment.span)
            present = numbers.part(later).agreeing(segment.numbers)
            if present:
                return Span(span.start, int(present.buckets[0]))
        return span


class _Read:
    """What is being read in an hour, while the lock is held."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.span = Span(0, 0)
