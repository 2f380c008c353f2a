"""The events and their revisions, in ``<database>.events.db``, and the sessions that read them."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import msgspec

from cube.columns.block import Block
from cube.model import instant
from cube.model.event import Event, EventId
from cube.model.tier import CACHED_TIERS, Span, Tier
from cube.store.ports import NO_TEXTS, UNBOUNDED, ReadOptions, Revisions, TimeSlice
from cube.store.sqlite import catalog, expiry, saving
from cube.store.sqlite.readers import Lease, ReaderPool
from cube.store.sqlite.writer import Writer

T = TypeVar("T")

FIRST_BLOCK_ROWS = 1_024  # a query for the latest few events reads few
BLOCK_ROWS = 4_096  # a block is read and decoded in one time slice: some 10 ms
BLOCK_BYTES = 2 * 1024 * 1024

_GROWTH = 4
_STEP_ROWS = 16  # how many rows are read between two looks at the block's bytes
_RAISED_TOGETHER = 5_000  # buckets raised in one transaction by `build`, between which savers get their turn


class SqliteEvents:
    """An `EventStore` on one file that several processes share."""

    def __init__(self, writer: Writer, readers: ReaderPool) -> None:
        self._writer = writer
        self._readers = readers

    async def save(self, type: str, events: Sequence[Event]) -> None:
        """Store events of one type and raise their buckets, in one transaction."""
        if events:
            await self._writer.write(lambda: saving.SaveBatch.of(type, events).write, len(events))

    @asynccontextmanager
    async def read(self, options: ReadOptions = UNBOUNDED) -> AsyncIterator[SqliteSession]:
        """Begin a query: a read transaction of its own. No server works for longer than its caller waits."""
        with self._readers.lease() as lease:
            yield SqliteSession(lease, options.time_slice)

    async def build(self, type: str) -> None:
        """Raise every bucket of a type that another tool filled, then mark it complete.

        Events saved meanwhile raise their buckets themselves.
        """
        entry = await self._entry(type)
        if entry is None or entry.complete:
            return
        if entry.known:
            starts = await self._readers.read(lambda connection: _finest_buckets(connection, entry))
            raised = saving.buckets(starts)
            for position in range(0, len(raised), _RAISED_TOGETHER):
                some = raised[position : position + _RAISED_TOGETHER]
                await self._write(partial(saving.raise_buckets, entry=entry, raised=some))
        await self._write(lambda connection: catalog.complete(connection, type))

    async def expire(self, type: str, before: int) -> None:
        """Advance the type's ``expired_before``; it never goes back."""
        await self._write(lambda connection: catalog.expire(connection, type, before))

    async def delete_events(self, type: str, before: int) -> int:
        """Delete a type's expired events older than `before`, in transactions of `expiry.SLICE_ROWS`."""
        entry = await self._entry(type)
        if entry is None or not entry.known or entry.expired_before is None:
            return 0
        end = min(before, entry.expired_before)
        return await self._delete(lambda connection: expiry.delete_events(connection, entry, end))

    async def forget(self, type: str, before: int) -> None:
        """Advance the type's ``forgotten_before``, up to its ``expired_before``."""
        await self._write(lambda connection: catalog.forget(connection, type, before))

    async def delete_revisions(self, type: str, before: int) -> None:
        """Delete a type's forgotten revisions of buckets that end before `before`."""
        entry = await self._entry(type)
        if entry is None or not entry.known or entry.forgotten_before is None:
            return
        end = min(before, entry.forgotten_before)
        for tier in CACHED_TIERS:
            await self._delete(partial(expiry.delete_revisions, entry=entry, tier=tier, before=end))

    async def sweep(self) -> int:
        """Return 0: a save is one transaction, so the dead leave nothing to settle."""
        return 0

    async def _entry(self, type: str) -> catalog.TypeEntry | None:
        return await self._readers.read(lambda connection: catalog.find(connection, type))

    async def _write(self, write: Callable[[sqlite3.Connection], None]) -> None:
        await self._writer.write(lambda: write)

    async def _delete(self, delete: Callable[[sqlite3.Connection], int]) -> int:
        deleted = 0

        def write(connection: sqlite3.Connection) -> None:
            nonlocal deleted
            deleted = delete(connection)

        async def delete_some() -> int:
            await self._writer.write(lambda: write, expiry.SLICE_ROWS)
            return deleted

        return await expiry.in_slices(delete_some, expiry.SLICE_ROWS)


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
        query: BlockQuery | None = BlockQuery(
            entry.events, span, fields, ids, newest_first, _as_stored(texts.values())
        )
        while query is not None:
            async with self._time_slice():
                block, query = await self._lease.run(query.read)
            if len(block):
                yield block


@dataclass(frozen=True, slots=True)
class BlockQuery:
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

    def read(self, connection: sqlite3.Connection) -> tuple[Block, BlockQuery | None]:
        """Read one block; with it the query for the one after it, None if there is none."""
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


def _finest_buckets(connection: sqlite3.Connection, entry: catalog.TypeEntry) -> list[int]:
    step, origin = CACHED_TIERS[0].step, CACHED_TIERS[0].origin
    floor = f"time - ((time - {origin}) % {step} + {step}) % {step}"  # % has the sign of the left side
    query = (
        f"SELECT {floor} FROM {entry.events} WHERE time >= :live"  # noqa: S608 - our names
        f" UNION SELECT bucket FROM {entry.revisions} WHERE step = {step} AND bucket > :live - {step}"
    )
    live = instant.EARLIEST if entry.expired_before is None else entry.expired_before
    return [start for (start,) in connection.execute(query, {"live": live})]
