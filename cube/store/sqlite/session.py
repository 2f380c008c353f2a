"""One query's view of the events file: a read transaction of its own."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec

from cube.columns.block import Block
from cube.model.event import EventId
from cube.model.span import Span
from cube.model.tier import Tier
from cube.store.ports import NO_TEXTS, Revisions, TimeSlice
from cube.store.sqlite import catalog
from cube.store.sqlite.readers import Lease

FIRST_BLOCK_ROWS = 1_024  # a query for the latest few events reads few
BLOCK_ROWS = 4_096  # a block is read and decoded in one turn: some 10 ms
BLOCK_BYTES = 2 * 1024 * 1024

_GROWTH = 4
_STEP_ROWS = 16  # how many rows are read between two looks at the block's bytes


class SqliteSession:
    """A `ReadSession`; its snapshot is taken by its first read, and released when the lease ends."""

    def __init__(self, lease: Lease, time_slice: TimeSlice) -> None:
        self._lease = lease
        self._time_slice = time_slice

    async def types(self) -> list[str]:
        """Return the names of all types that have events."""
        return await self._lease.run(catalog.names)

    async def revisions(self, type: str, tier: Tier, span: Span) -> Revisions:
        """Read the revisions of a cached tier's buckets in `span`."""
        return await self._lease.run(lambda connection: _revisions(connection, type, tier, span))

    async def scan(
        self,
        type: str,
        span: Span,
        fields: Sequence[str] | None,
        *,
        ids: bool = False,
        newest_first: bool = False,
        texts: Mapping[str, str] = NO_TEXTS,
    ) -> AsyncIterator[Block]:
        """Read the events of a span in blocks of at most `BLOCK_ROWS` rows and about `BLOCK_BYTES`.

        Each block is a statement of its own, which begins after the last row of the one before: an
        abandoned iterator holds nothing.
        """
        entry = await self._lease.run(lambda connection: catalog.find(connection, type))
        if entry is None or not entry.known:
            return
        page: Page | None = Page(entry.events, span, fields, ids, newest_first, _as_stored(texts.values()))
        while page is not None:
            async with self._time_slice():
                block, page = await self._lease.run(page.read)
            if len(block):
                yield block


@dataclass(frozen=True, slots=True)
class Page:
    """Where the next block of a scan begins: after the event (time, id), or at the span's edge.

    ``holding``: what the JSON of the data must hold.
    """

    table: str
    span: Span
    fields: Sequence[str] | None
    ids: bool
    newest_first: bool
    holding: tuple[str, ...] = ()
    rows: int = FIRST_BLOCK_ROWS
    after: tuple[int, EventId] | None = None

    def read(self, connection: sqlite3.Connection) -> tuple[Block, Page | None]:
        """Read one block; with it the page after it, None if there is none."""
        cursor = connection.execute(self._query(), self._parameters())
        try:
            found = _bounded(cursor)
        finally:
            cursor.close()
        times = [row[0] for row in found]
        ids = [row[1] for row in found] if self.ids else None
        block = Block.from_json(times, [row[2] for row in found], ids, fields=self.fields)
        if not found:
            return block, None
        rows = min(self.rows * _GROWTH, BLOCK_ROWS)
        return block, replace(self, rows=rows, after=(found[-1][0], found[-1][1]))

    def _query(self) -> str:
        order = "DESC" if self.newest_first else "ASC"
        data = "data" if self.fields is None or self.fields else "NULL"
        after = f"AND (time, id) {'<' if self.newest_first else '>'} (?, ?)" if self.after else ""
        holding = "AND instr(data, ?) " * len(self.holding)
        return (
            f"SELECT time, id, {data} FROM {self.table} WHERE time >= ? AND time < ? {holding}{after}"  # noqa: S608 - our names
            f" ORDER BY time {order}, id {order} LIMIT {self.rows}"
        )

    def _parameters(self) -> tuple[int | EventId, ...]:
        return (*self._edges(), *self.holding, *(self.after or ()))

    def _edges(self) -> tuple[int, int]:
        """Return the span of what is left: SQLite does not see that ``after`` bounds the time as well."""
        start, stop = self.span.start, self.span.stop
        if self.after is None:
            return start, stop
        time = self.after[0]
        return (start, min(stop, time + 1)) if self.newest_first else (max(start, time), stop)


def _as_stored(texts: Iterable[str]) -> tuple[str, ...]:
    """Return texts as they stand in stored data, which is JSON of one encoder."""
    return tuple(msgspec.json.encode(text).decode() for text in texts)


def _bounded(cursor: sqlite3.Cursor) -> list[tuple[int, EventId, str | None]]:
    found: list[tuple[int, EventId, str | None]] = []
    length = 0
    while length < BLOCK_BYTES and (some := cursor.fetchmany(_STEP_ROWS)):
        found += some
        length += sum(len(row[2]) for row in some if row[2] is not None)
    return found


def _revisions(connection: sqlite3.Connection, type: str, tier: Tier, span: Span) -> Revisions:
    entry = catalog.find(connection, type)
    if entry is None:
        return Revisions()
    numbers: dict[int, int] = {}
    if entry.known:
        query = f"SELECT bucket, number FROM {entry.revisions} WHERE step = ? AND bucket >= ? AND bucket < ?"  # noqa: S608 - our table
        numbers = dict(connection.execute(query, (tier.step, span.start, span.stop)).fetchall())
    return Revisions(
        numbers,
        entry.complete,
        entry.expired_before,
        entry.known,
        forgotten_before=entry.forgotten_before,
    )
