"""The rows of a statement's tables, as Arrow batches, and what their columns cannot hold.

Blocks are believed as every question believes them: see `evaluator.engine.blocks`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from contextlib import aclosing
from itertools import groupby, pairwise
from typing import Any, Final

import numpy as np

from cube.columns import PackedBlock
from cube.model.event import EventId
from cube.model.tier import DAY, HOUR, Span
from cube.process.threads import run_in_thread
from evaluator.engine.reading import Reading
from evaluator.sql import arrow_columns
from evaluator.sql.column_types import JSON, NOTHING, merged
from evaluator.sql.fields import ID, MILLISECONDS, OWN, TIME
from evaluator.sql.tables import EVERYTHING, TypeTable, joined

BATCH_ROWS: Final = 16_384
"""A batch has no more rows."""

MOST_PATHS: Final = 24
"""More columns than these are read from the store: they would drive others' out of the memory."""


class Widened(Exception):
    """A field has values that its column cannot hold; the table knows of them now."""


class TypeScan:
    """The rows of some columns of a table in some spans, which ascend."""

    def __init__(self, table: TypeTable, columns: Sequence[str], spans: Sequence[Span]) -> None:
        self.paths = [table.fields[name] for name in columns if name not in OWN]
        self._table = table
        self._columns = columns
        self._spans = spans
        self._needs_ids = ID in columns
        self._reached = EVERYTHING.start

    @classmethod
    def of_paths(cls, table: TypeTable, paths: Iterable[str], spans: Sequence[Span]) -> TypeScan:
        """Return a scan that only looks at some fields."""
        scan = cls(table, (), spans)
        scan.paths = list(paths)
        return scan

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
            if unproven:
                is_wider |= await TypeScan.of_paths(self._table, unproven, list(spans)).has_wider()
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
        for span in joined(self._spans):
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


async def find_field(table: TypeTable, name: str) -> bool:
    """Look through all events for a field that the newest have not; tell whether one has it."""
    scan = TypeScan.of_paths(table, [name], table.spans())
    async for block, _, span in scan.blocks():
        async with table.reader.time_slice():
            type = await run_in_thread(arrow_columns.observed, block.packed["stored", (name,)])
        if type != NOTHING:
            table.meet(name, type, span)
            return True
    return False


async def find_members(table: TypeTable) -> bool:
    """Look through all events for what columns of objects cannot hold yet; tell whether there is any."""
    paths = [path for path in table.fields.values() if table.type_of(path).has_objects]
    try:
        await TypeScan.of_paths(table, paths, table.spans()).check()
    except Widened:
        return True
    return False


def _by_day(block: PackedBlock) -> Iterator[tuple[PackedBlock, int, int]]:
    """Yield the part of a block in each day, and which rows it is."""
    days = np.flatnonzero(np.diff(block.times // DAY.step)) + 1
    for first, last in pairwise([0, *days.tolist(), len(block)]):
        yield block.rows(first, last), first, last


def _span(block: PackedBlock) -> Span:
    return Span(int(block.times[0]), int(block.times[-1]) + 1)
