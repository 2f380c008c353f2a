"""One query's view of the events file: a read transaction of its own."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from cube.columns.block import Block
from cube.event import EventId
from cube.span import Span
from cube.sqlite import catalog
from cube.sqlite.readers import Lease
from cube.store.ports import Revisions
from cube.tier import Tier

BLOCK_ROWS = 16_384
BLOCK_BYTES = 8 * 1024 * 1024

_STEP_ROWS = 64  # how many rows are read between two looks at the block's bytes


class SqliteSession:
    """A `ReadSession`; its snapshot is taken by its first read, and let go when the lease ends."""

    def __init__(self, lease: Lease) -> None:
        self._lease = lease

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
    ) -> AsyncIterator[Block]:
        """Read the events of a span in blocks of at most `BLOCK_ROWS` rows and about `BLOCK_BYTES`.

        Each block is a statement of its own, which begins after the last row of the one before: an
        abandoned iterator holds nothing.
        """
        entry = await self._lease.run(lambda connection: catalog.find(connection, type))
        if entry is None or not entry.known:
            return
        page: Page | None = Page(entry.events, span, fields != (), ids, newest_first)
        while page is not None:
            block, page = await self._lease.run(page.read)
            if len(block):
                yield block


@dataclass(frozen=True, slots=True)
class Page:
    """Where the next block of a scan begins: after the event (time, id), or at the span's edge."""

    table: str
    span: Span
    data: bool
    ids: bool
    newest_first: bool
    after: tuple[int, EventId] | None = None

    def read(self, connection: sqlite3.Connection) -> tuple[Block, Page | None]:
        """Read one block; with it the page after it, None if there is none."""
        cursor = connection.execute(*self._query())
        try:
            found = _bounded(cursor)
        finally:
            cursor.close()
        times = [row[0] for row in found]
        ids = [row[1] for row in found]
        block = Block.from_json(times, [row[2] for row in found], ids if self.ids else None)
        more = (
            Page(self.table, self.span, self.data, self.ids, self.newest_first, (times[-1], ids[-1]))
            if found
            else None
        )
        return block, more

    def _query(self) -> tuple[str, tuple[int | EventId, ...]]:
        order = "DESC" if self.newest_first else "ASC"
        data = "data" if self.data else "NULL"
        after, values = "", ()
        if self.after is not None:
            after = f" AND (time, id) {'<' if self.newest_first else '>'} (?, ?)"
            values = self.after
        return (
            f"SELECT time, id, {data} FROM {self.table} WHERE time >= ? AND time < ?{after}"  # noqa: S608 - our names
            f" ORDER BY time {order}, id {order} LIMIT {BLOCK_ROWS}",
            (self.span.start, self.span.stop, *values),
        )


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
    return Revisions(numbers, entry.complete, entry.expired_before, entry.known)
