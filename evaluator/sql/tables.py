"""The tables of one statement, in one environment: what columns they have, and their rows, as Arrow batches.

One session reads all of it, so the statement sees one state of the store (on MongoDB: nothing older than when
it began). Revisions of days are read before anything else, those of hours when a scan comes to them, and
blocks are believed as every question believes them: see `evaluator.engine.blocks`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any, Final

import numpy as np

from cube.columns import PackedBlock
from cube.model import instant
from cube.model.event import EventId
from cube.model.tier import DAY, HOUR, Span
from cube.process.threads import run_in_thread
from cube.store.bucket_revisions import BucketRevisions
from cube.store.ports import ReadSession, Revisions, TimeSlice
from evaluator.engine.reading import Reading
from evaluator.engine.store_blocks import StoreBlocks
from evaluator.sql import arrow_columns
from evaluator.sql.column_types import JSON, NOTHING, ColumnType, merged
from evaluator.sql.fields import ID, MILLISECONDS, OWN, TIME, KnownFields, sample, unique
from evaluator.sql.messages import Table

BATCH_ROWS: Final = 16_384
"""A batch has no more rows."""

MOST_PATHS: Final = 24
"""More columns than these are read from the store: they would drive others' out of the memory."""

EVERYTHING: Final = DAY.cover(Span(instant.EARLIEST, instant.LATEST + 1))


class Widened(Exception):
    """A field has values that its column cannot hold; the table knows of them now."""


@dataclass(frozen=True, slots=True)
class Reader:
    """What reads an environment's events: one session, and what is kept of them."""

    session: ReadSession
    time_slice: TimeSlice
    blocks: StoreBlocks | None


class TypeTable:
    """One type's events as a table; ``schema``: its name in SQL, as ``name`` is."""

    def __init__(self, reader: Reader, schema: str, name: str, type: str, known: KnownFields) -> None:
        self.schema = schema
        self.name = name
        self.type = type
        self.fields: dict[str, str] = {}
        self._reader = reader
        self._known = known
        self._revisions = Revisions()
        self._types: dict[str, ColumnType] = {}

    async def open(self, sampled: int) -> None:
        """Read what days there are, and what fields; ``sampled``: of so many of the newest events."""
        session, known = self._reader.session, self._known
        self._revisions = await session.revisions(self.type, DAY, EVERYTHING)
        state = hash(
            (tuple(sorted(self._revisions.numbers.items())), self._revisions.expired_before, sampled)
        )
        if known.state != state or self._is_untold:
            known.sampled = await sample(
                session, self._reader.time_slice, self.type, self._unexpired(EVERYTHING), sampled
            )
            known.state = state
        self._name_columns()

    def described(self) -> Table:
        """Return what the process that runs the statement is told."""
        import pyarrow as pa

        fields = [(TIME, pa.timestamp("us", "UTC")), (MILLISECONDS, pa.int64()), (ID, pa.string())]
        fields += [(name, arrow_columns.arrow_type(self._types[each])) for name, each in self.fields.items()]
        return Table(self.schema, self.name, pa.schema(fields).serialize().to_pybytes(), self._edges())

    def knows(self, name: str) -> bool:
        """Tell whether there is a column of a name."""
        return name.casefold() in {each.casefold() for each in (*OWN, *self.fields)}

    async def find(self, name: str) -> bool:
        """Look through all events for a field that the newest have not; tell whether one has it."""
        scan = self.scan((), self._edges())
        scan.paths = [name]
        async for block, _, span in scan.blocks():
            async with self._reader.time_slice():
                type = await run_in_thread(arrow_columns.observed, block.packed["stored", (name,)])
            if type != NOTHING:
                self.meet(name, type, span)
                return True
        return False

    async def find_members(self) -> bool:
        """Look through all events for what columns of objects cannot hold yet; tell whether there is any."""
        scan = self.scan((), self._edges())
        scan.paths = [path for path in self.fields.values() if self._types[path].has_objects]
        try:
            await scan.check()
        except Widened:
            return True
        return False

    def meet(self, name: str, type: ColumnType, span: Span) -> None:
        """Note that a field has values of a type in a span of a day."""
        day = DAY.floor(span.start)
        self._known.meet(name, type, day, self._revisions.numbers.get(day, 0))

    def unproven(self, paths: Sequence[str], span: Span) -> tuple[str, ...]:
        """Return the fields whose columns are not known to hold all of the day of a span."""
        day = DAY.floor(span.start)
        number = self._revisions.numbers.get(day)
        if number is None or self._is_untold or span.stop > day + DAY.step:
            return tuple(paths)
        return tuple(path for path in paths if not self._known.fits(path, self.type_of(path), day, number))

    def prove(self, paths: Sequence[str], spans: Sequence[Span]) -> None:
        """Note that the columns of fields hold all values in some spans, as far as these are whole days."""
        whole = [] if self._is_untold else list(_joined(spans))
        for day, number in self._revisions.numbers.items():
            covered = self._unexpired(Span(day, day + DAY.step))
            if any(span.start <= covered.start and covered.stop <= span.stop for span in whole):
                for path in paths:
                    self._known.fit(path, self.type_of(path), day, number)

    def refresh(self) -> None:
        """Take up what was met."""
        self._name_columns()

    def type_of(self, name: str) -> ColumnType:
        return self._types.get(name, NOTHING)

    def scan(self, columns: Sequence[str], spans: Iterable[tuple[int, int]]) -> TypeScan:
        return TypeScan(self, columns, [Span(*span) for span in spans])

    @property
    def reader(self) -> Reader:
        return self._reader

    @property
    def is_kept(self) -> bool:
        """Whether blocks are kept of it."""
        return self._reader.blocks is not None and not self._is_untold

    async def eventful_hours(self, span: Span) -> BucketRevisions:
        """Return the hours of a span that have events which have not expired, with their revisions."""
        found = await self._reader.session.revisions(self.type, HOUR, HOUR.cover(span))
        first = max(span.start, self._revisions.expired_before or span.start)
        return found.numbers.part(Span(first, span.stop))

    def _unexpired(self, span: Span) -> Span:
        return Span(max(span.start, self._revisions.expired_before or span.start), span.stop)

    @property
    def _is_untold(self) -> bool:
        """Whether revisions do not tell where events are: another tool writes them."""
        return self._revisions.foreign or not self._revisions.complete

    def _edges(self) -> list[tuple[int, int]]:
        """Return where the spans begin and end that may have events: days, or all there is."""
        days = (Span(day, day + DAY.step) for day in sorted(self._revisions.numbers))
        spans = map(self._unexpired, [EVERYTHING] if self._is_untold else days)
        return [(span.start, span.stop) for span in spans if span]

    def _name_columns(self) -> None:
        types = self._known.types(None if self._is_untold else self._revisions.numbers)
        # Few capitals first, so that "status" has its name beside "Status".
        ordered = sorted(types, key=lambda name: (name.casefold(), sum(map(str.isupper, name)), name))
        names = unique(each for each in ordered if "\0" not in each)
        self.fields = {own: each for each, own in names.items()}
        self._types = types


class TypeScan:
    """The rows of some columns and spans of a table; ``done`` is up to where they were given."""

    def __init__(self, table: TypeTable, columns: Sequence[str], spans: Sequence[Span]) -> None:
        self.paths = [table.fields[name] for name in columns if name not in OWN]
        self._table = table
        self._columns = columns
        self._spans = spans
        self._needs_ids = ID in columns
        self._reached = EVERYTHING.start

    async def batches(self) -> AsyncGenerator[bytes, None]:
        """Yield the rows in order of time; raises `Widened` before any that its columns cannot hold."""
        async with aclosing(self.blocks()) as blocks:
            async for block, ids, span in blocks:
                for first in range(0, len(block), BATCH_ROWS):
                    last = min(first + BATCH_ROWS, len(block))
                    some = None if ids is None else ids[first:last]
                    async with self._table.reader.time_slice():
                        content = await run_in_thread(self._batch, block.rows(first, last), some, span)
                    yield content
                self._reached = span.stop

    async def check(self) -> None:
        """Look at all that has not been given yet; raises `Widened` where a column cannot hold some of it.

        Days are passed over that were looked at before, and are at that revision still.
        """
        paths = [path for path in self.paths if self._table.type_of(path) != JSON]
        rest = [Span(max(each.start, self._reached), each.stop) for each in self._spans]
        is_wider = False
        for unproven, spans in groupby(rest, lambda span: self._table.unproven(paths, span)):
            scan = TypeScan(self._table, (), list(spans))
            scan.paths = list(unproven)
            if unproven:
                is_wider |= await scan.has_wider()
        if is_wider:
            raise Widened
        self._table.prove(paths, self._spans)

    async def has_wider(self) -> bool:
        """Look whether there are values that a column cannot hold, and note them all."""
        is_wider = False
        async with aclosing(self.blocks()) as blocks:
            async for block, _, span in blocks:
                async with self._table.reader.time_slice():
                    is_wider |= await run_in_thread(self._is_wider, block, self.paths, span)
        return is_wider

    async def blocks(self) -> AsyncGenerator[tuple[PackedBlock, Sequence[EventId] | None, Span], None]:
        """Yield blocks with the columns that are needed, their ids where they are, and where they lie."""
        table, paths = self._table, frozenset((path,) for path in self.paths)
        for span in _joined(self._spans):
            if self._needs_ids or not table.is_kept or len(paths) > MOST_PATHS:
                async for found in self._scanned(span, paths):
                    yield found
                continue
            store = table.reader.blocks
            assert store is not None  # noqa: S101 - `is_kept` says so
            reading = Reading(table.reader.session, paths, table.reader.time_slice)
            hours = await table.eventful_hours(span)
            for place, hour in enumerate(hours):
                kept = store.of(table.type).blocks(reading, HOUR, hours.rows(place, place + 1))
                async with aclosing(kept) as blocks:
                    async for block in blocks:
                        yield block, None, Span(hour, hour + HOUR.step)

    async def _scanned(
        self, span: Span, paths: frozenset[tuple[str]]
    ) -> AsyncGenerator[tuple[PackedBlock, Sequence[EventId] | None, Span], None]:
        """Read from the store, of whole days or hours."""
        table, session = self._table, self._table.reader.session
        fields = sorted(path[0] for path in paths)
        scan = session.scan(table.type, span, fields, ids=self._needs_ids)
        async with aclosing(scan) as blocks:
            async for block in blocks:
                async with table.reader.time_slice():
                    packed = await run_in_thread(PackedBlock.of, block, paths)
                for part, first, last in _by_day(packed):
                    yield part, None if block.ids is None else block.ids[first:last], _span(part)

    def _batch(self, block: PackedBlock, ids: Sequence[EventId] | None, span: Span) -> bytes:
        import pyarrow as pa

        if self._is_wider(block, self.paths, span):
            raise Widened
        arrays: list[Any] = []
        for name in self._columns:
            if name == TIME:
                arrays.append(arrow_columns.times_of(block.times))
            elif name == MILLISECONDS:
                arrays.append(pa.array(block.times))
            elif name == ID:
                arrays.append(arrow_columns.ids_of(ids or ()))
            else:
                path = self._table.fields[name]
                column = block.packed["stored", (path,)]
                arrays.append(arrow_columns.array_of(column, self._table.type_of(path)))
        batch = pa.record_batch(arrays, names=list(self._columns))
        content: bytes = batch.serialize().to_pybytes()
        return content

    def _is_wider(self, block: PackedBlock, paths: Iterable[str], span: Span) -> bool:
        """Tell whether there are values that a column cannot hold, and note them."""
        is_wider = False
        for path in paths:
            declared = self._table.type_of(path)
            if declared == JSON:
                continue
            found = arrow_columns.observed(block.packed["stored", (path,)])
            if merged(declared, found) != declared:
                self._table.meet(path, found, span)
                is_wider = True
        return is_wider


def _by_day(block: PackedBlock) -> Iterator[tuple[PackedBlock, int, int]]:
    """Yield the part of a block in each day, and which rows it is."""
    days = np.flatnonzero(np.diff(block.times // DAY.step)) + 1
    for first, last in pairwise([0, *days.tolist(), len(block)]):
        yield block.rows(first, last), first, last


def _span(block: PackedBlock) -> Span:
    return Span(int(block.times[0]), int(block.times[-1]) + 1)


def _joined(spans: Iterable[Span]) -> Iterator[Span]:
    """Join spans that follow each other; empty ones are left out."""
    open_span: Span | None = None
    for span in spans:
        if not span:
            continue
        if open_span is not None and open_span.stop == span.start:
            open_span = Span(open_span.start, span.stop)
            continue
        if open_span is not None:
            yield open_span
        open_span = span
    if open_span is not None:
        yield open_span
