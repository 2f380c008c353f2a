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
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from weakref import WeakValueDictionary

from cube.columns import PackedBlock, has_patterns, paths
from cube.columns.values import Path
from cube.model.reduce import REDUCES
from cube.model.tier import HOUR, SECOND, TEN_SECONDS, Span, Tier
from cube.process.threads import run_in_thread
from cube.store.ports import ReadSession
from evaluator.engine.ahead import AheadBuckets
from evaluator.engine.block_cache import BlockCache
from evaluator.engine.column_files import ColumnFiles
from evaluator.engine.reading import Numbers, Reading, eventful, read_events
from evaluator.engine.segments import Segment, SegmentMap, hours, joined_buckets, of_ten_seconds
from evaluator.engine.series import ReductionJob

READINGS = 32
"""So many columns of a type, those asked for last, are made of all events that are read."""

SPARED_ROWS, FEW_ROWS = 262_144, 65_536
"""Of so many rows in memory values are computed rather than looked up; of fewer where they may be dear."""

AHEAD = 24
"""The revisions of 10 seconds are read of so many hours at once, at most, where these follow each other."""

WORTH = 0.5
"""Who waits for another's read needs at least this share of it."""


class StoreBlocks:
    """The blocks of one store, by type; ``read`` is told of how many events each read was.

    ``files``: where those are that have left the memory, if anywhere.
    """

    def __init__(
        self,
        cache: BlockCache,
        read: Callable[[int], None],
        make: Callable[..., TypeBlocks] | None = None,
        files: ColumnFiles | None = None,
    ) -> None:
        self.files = files
        self._cache = cache
        self._make = TypeBlocks if make is None else make
        self._read = read
        self._types: dict[str, TypeBlocks] = {}

    def of(self, type: str) -> TypeBlocks:
        found = self._types.get(type)
        if found is None:
            ahead = AheadBuckets(type, self._cache, self._read)
            found = self._make(type, SegmentMap(self._cache), ahead, self._read, self.files)
            self._types[type] = found
        return found

    def followed(self, now: int) -> list[TypeBlocks]:
        """Return the blocks of the types of which somebody has lately asked for what was new then."""
        return [found for found in self._types.values() if found.ahead.is_followed(now)]

    def spare_lookup(self, job: ReductionJob, numbers: Mapping[int, int]) -> bool:
        """Tell whether values are computed as fast from what is in memory as they are looked up.

        So it is of few rows, where no pattern is searched for.
        """
        tier, reduction = job.grid, job.reduction
        if not isinstance(tier, Tier) or tier.step >= HOUR.step or job.expired_before is not None:
            return False
        reduce, found = REDUCES[reduction.reduce], self._types.get(reduction.type)
        if found is None or reduce.ordered or has_patterns(reduction):
            return False
        rows = found.holds(tier, numbers, paths(reduction))
        grows = reduce.grows or reduction.is_grouped
        return rows is not None and rows <= (FEW_ROWS if grows else SPARED_ROWS)


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
        self, reading: Reading, tier: Tier, gaps: Mapping[int, int]
    ) -> AsyncGenerator[PackedBlock, None]:
        """Yield blocks that hold the events of some buckets, each event once, ordered by time.

        Each tells of which span it has all events; between those of buckets that follow each other is none.
        ``tier``: of an hour at most. ``gaps``: bucket -> its revision, which was read before the session's
        first read. There may be events of other buckets in the same 10 seconds.
        """
        self._register(reading.paths)
        pieces = list(hours(gaps))
        if reading.follows and pieces:
            self.ahead.follow([next(reversed(piece)) + tier.step for piece in pieces])
        known: dict[int, Numbers] = {}
        for place, piece in enumerate(pieces):
            spans = list(joined_buckets(tier, piece))
            if self._is_vouched(tier, piece, spans, reading.paths):
                for block in self._held(spans):
                    yield block
                continue
            hour = HOUR.floor(spans[0].start)
            if hour not in known:
                known = await self._numbers(reading.session, tier, pieces[place : place + AHEAD])
            numbers = known[hour]
            for span in spans:
                start, rest = span.start, eventful(span, numbers)
                while rest:
                    part = await self._next(reading, rest, numbers)
                    rest = eventful(Span(part.span.stop, span.stop), numbers)
                    yield part.block.over(Span(start, rest.start))
                    start = rest.start
            self._vouch(tier, piece, numbers)

    def holds(self, tier: Tier, gaps: Mapping[int, int], paths: frozenset[Path]) -> int | None:
        """Return how many rows hold all of some buckets at their revisions; None where that is not known.

        What was read ahead counts as if nothing had come since. ``tier``: of less than an hour.
        """
        rows = 0
        for piece in hours(gaps):
            spans = list(joined_buckets(tier, piece))
            is_told = tier in (SECOND, TEN_SECONDS)
            numbers = of_ten_seconds(tier, piece) if is_told else {}
            if not is_told and not self._is_vouched(tier, piece, spans, paths):
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

    def trim(self, before: int) -> None:
        """Let go of what has expired."""
        self._segments.trim(before)

    def _register(self, paths: Iterable[Path]) -> None:
        for path in paths:
            self._wanted[path] = None
            self._wanted.move_to_end(path)
        while len(self._wanted) > READINGS:
            self._wanted.popitem(last=False)

    def _held(self, spans: Iterable[Span]) -> list[PackedBlock]:
        held: list[PackedBlock] = []
        for span in spans:
            segments = self._segments.overlapping(span)
            stops = [*(segment.span.start for segment in segments[1:]), span.stop]
            start = span.start
            for segment, stop in zip(segments, stops, strict=True):
                self._segments.use(segment)
                held.append(segment.part(span).block.over(Span(start, stop)))
                start = stop
        return held

    async def _numbers(
        self, session: ReadSession, tier: Tier, pieces: Sequence[Mapping[int, int]]
    ) -> dict[int, Numbers]:
        """Return the revisions of 10 seconds of the first piece's hour, and of those that follow it, by hour.

        A question at that tier, or below, has read them.
        """
        starts = [HOUR.floor(min(piece)) for piece in pieces]
        if tier in (SECOND, TEN_SECONDS):
            return {starts[0]: of_ten_seconds(tier, pieces[0])}
        many = next(
            (place for place, start in enumerate(starts) if start > starts[0] + place * HOUR.step), None
        )
        pieces, starts = pieces[:many], starts[:many]
        span = Span(min(pieces[0]), max(pieces[-1]) + tier.step)
        found = (await session.revisions(self.type, TEN_SECONDS, span)).numbers
        by_hour = {HOUR.floor(min(each)): each for each in hours(found)}
        return {start: by_hour.get(start, {}) for start in starts}

    async def _next(self, reading: Reading, span: Span, numbers: Numbers) -> Segment:
        """Return what begins a span, at these revisions: from memory, or read and put there.

        One reads in an hour at a time, a segment at most, and others wait for that; who needs much less than
        is being read does not.
        """
        part = self._present(reading, span, numbers)
        if part is not None:
            return part
        read = self._read_in(HOUR.floor(span.start))
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

    def _read_in(self, hour: int) -> _Read:
        read = self._reads.get(hour)
        if read is None:
            read = self._reads[hour] = _Read()
        return read

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
        some = {bucket: number for bucket, number in numbers.items() if bucket in span}
        segment = Segment.of(span, some, self._segments.with_older_columns(span, some, block))
        self._segments.put(segment)
        return segment

    def _absent(self, reading: Reading, span: Span, numbers: Numbers) -> Span:
        """Return a span up to the first bucket with events that is present."""
        for segment in self._segments.overlapping(span):
            if not reading.paths <= segment.block.paths:
                continue
            for bucket in TEN_SECONDS.buckets(segment.span.intersect(span)):
                number = numbers.get(bucket)
                if number and bucket > span.start and segment.numbers.get(bucket) == number:
                    return Span(span.start, bucket)
        return span

    def _is_vouched(
        self, tier: Tier, piece: Mapping[int, int], spans: Iterable[Span], paths: frozenset[Path]
    ) -> bool:
        """Tell whether all of a piece is held as it was at the revisions that were read."""
        if not self._segments.vouched(tier.step).items() >= piece.items():
            return False
        segments = [segment for span in spans for segment in self._segments.overlapping(span)]
        return all(paths <= segment.block.paths for segment in segments)

    def _vouch(self, tier: Tier, piece: Mapping[int, int], numbers: Numbers) -> None:
        """Remember the revisions of a piece where it is still held as it was read."""
        if tier in (SECOND, TEN_SECONDS):
            return
        for span in joined_buckets(tier, piece):
            parts = [segment.part(span).numbers for segment in self._segments.overlapping(span)]
            held = (
                parts[0] if len(parts) == 1 else {bucket: part[bucket] for part in parts for bucket in part}
            )
            if held == _inside(numbers, span):
                self._segments.vouch(tier.step, _inside(piece, span))


def _inside(numbers: Numbers, span: Span) -> Numbers:
    """Return the buckets that lie in a span: mostly all of them."""
    if not numbers or (min(numbers) >= span.start and max(numbers) < span.stop):
        return numbers
    return {bucket: number for bucket, number in numbers.items() if bucket in span}


class _Read:
    """What is being read in an hour, while the lock is held."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.span = Span(0, 0)
