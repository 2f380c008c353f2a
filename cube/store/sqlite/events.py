"""The events and their revisions, in ``<database>.events.db``, and the sessions that read them."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from cube.columns import PackedBlock
from cube.columns.block import Block
from cube.columns.values import Path
from cube.expression.nodes import EventExpression
from cube.model.event import Event, EventId
from cube.model.place import EventPlace
from cube.model.tier import CACHED_TIERS, EVER, Span, Tier
from cube.store.bucket_revisions import NO_REVISIONS
from cube.store.equality import NOTHING_WANTED, Wanted
from cube.store.ports import DeletedSlice, Revisions
from cube.store.read_options import UNBOUNDED, ReadOptions, TimeSlice
from cube.store.selected_places import SLICE_EVENTS, find_places, live_span
from cube.store.slices import PIECE_SECONDS
from cube.store.sqlite import catalog, field_index, packs, parts, saving
from cube.store.sqlite.field_index import Lookup
from cube.store.sqlite.merging import MergedQuery
from cube.store.sqlite.readers import CommitWatch, Lease, ReaderPool
from cube.store.sqlite.removal import RowRemoval, known_buckets
from cube.store.sqlite.scanning import BlockQuery, as_stored, read_revisions
from cube.store.sqlite.short_saves import MOST_EVENTS, ShortSave, ShortSaves
from cube.store.sqlite.short_transactions import in_slices, pause_after
from cube.store.sqlite.writer import Writer

SLICE_ROWS = 2_000  # what is deleted in one transaction
SLICE_PACKS = 50
PIECE_ROWS = 8_192  # packed at once: whoever reads whole buckets reads so many in vain, at most
_RAISED_TOGETHER = 5_000  # buckets raised in one transaction by `build`, between which savers get their turn


class SqliteEvents:
    """An `EventStore` on one file that several processes share."""

    takes_runs: Final = True
    joins: Final = MOST_EVENTS

    def __init__(self, writer: Writer, readers: ReaderPool, commits: CommitWatch) -> None:
        self._writer = writer
        self._readers = readers
        self._commits = commits
        self._short_saves = ShortSaves()

    def version(self) -> int | None:
        return self._commits.version()

    async def save(self, type: str, events: Sequence[Event], *, more: bool = False) -> None:
        """Store events of one type and raise their buckets, in one transaction."""
        if not events:
            return
        if len(events) <= MOST_EVENTS:
            await self._writer.write_short(
                ShortSave(self._short_saves, type, events), len(events), awaits=more
            )
        else:
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
            await self._raise(entry, EVER)
        await self._write(lambda connection: catalog.complete(connection, type))

    async def expire(self, type: str, before: int) -> None:
        await self._write(lambda connection: catalog.expire(connection, type, before))

    async def delete_events(self, type: str, before: int) -> int:
        """Delete a type's expired events older than `before`, in transactions of `SLICE_ROWS`."""
        entry = await self._entry(type)
        if entry is None or not entry.known or entry.expired_before is None:
            return 0
        end = min(before, entry.expired_before)
        await self._write(lambda connection: saving.unpack_before(connection, entry, end))
        packed = await self._delete_packs(entry, end)
        return packed + await self._delete(entry.events, "time, id", "time < ?", end)

    async def delete(
        self, expression: EventExpression, span: Span, only: Collection[EventId] | None = None
    ) -> DeletedSlice:
        """Delete in transactions of `SLICE_EVENTS`, and of fewer where they are spread over many packs."""
        entry = await self._entry(expression.type)
        if entry is None or not entry.known:
            return DeletedSlice(0, None)
        span = live_span(span, entry.expired_before)
        async with self.read() as session:
            found = await find_places(session, expression, span, most=SLICE_EVENTS)
        deleted, left = 0, [place for place in found.places if only is None or place[1] in only]
        while left:
            began, some = time.monotonic(), RowRemoval(expression, left[:SLICE_EVENTS])
            done = await self._writer.write(lambda some=some: some.write, SLICE_ROWS)  # type: ignore[misc]  # mypy sees no default
            deleted, left = deleted + done.deleted, left[done.looked_at :]
            await pause_after(began)
        return DeletedSlice(deleted, found.following)

    async def revise(self, type: str, span: Span) -> None:
        entry = await self._entry(type)
        if entry is not None and entry.known:
            await self._raise(entry, span)

    async def forget(self, type: str, before: int) -> None:
        await self._write(lambda connection: catalog.forget(connection, type, before))

    async def delete_revisions(self, type: str, before: int) -> None:
        entry = await self._entry(type)
        if entry is None or not entry.known or entry.forgotten_before is None:
            return
        end = min(before, entry.forgotten_before)
        for tier in CACHED_TIERS:
            which = "step = ? AND bucket <= ?"
            await self._delete(entry.revisions, "step, bucket", which, tier.step, end - tier.step)

    async def sweep(self) -> int:
        """Return 0: a save is one transaction, so the dead leave nothing to settle."""
        return 0

    async def _entry(self, type: str) -> catalog.TypeEntry | None:
        return await self._readers.read(lambda connection: catalog.find(connection, type))

    async def _raise(self, entry: catalog.TypeEntry, span: Span) -> None:
        """Raise all buckets of a span at all tiers."""
        starts = await self._readers.read(lambda connection: known_buckets(connection, entry, span))
        raised = saving.buckets(starts)
        for position in range(0, len(raised), _RAISED_TOGETHER):
            some = raised[position : position + _RAISED_TOGETHER]
            await self._write(partial(saving.raise_buckets, entry=entry, raised=some))

    async def _write(self, write: Callable[[sqlite3.Connection], None]) -> None:
        await self._writer.write(lambda: write)

    async def _delete_packs(self, entry: catalog.TypeEntry, end: int) -> int:
        """Delete the packs that end before a time; return how many events they had."""
        events = 0

        def delete(connection: sqlite3.Connection) -> int:
            nonlocal events
            deleted, count = packs.delete_some(connection, entry.packs, end, SLICE_PACKS)
            events += count
            return deleted

        await in_slices(lambda: self._writer.write(lambda: delete, SLICE_ROWS), SLICE_PACKS)
        return events

    async def _delete(self, table: str, key: str, which: str, *parameters: int) -> int:
        """Delete rows by their key, the first ones first; what they free the file uses again."""
        some = f"SELECT {key} FROM {table} WHERE {which} ORDER BY {key} LIMIT {SLICE_ROWS}"  # noqa: S608 - our names
        query = f"DELETE FROM {table} WHERE ({key}) IN ({some})"  # noqa: S608 - our names

        def delete(connection: sqlite3.Connection) -> int:
            return connection.execute(query, parameters).rowcount

        return await in_slices(lambda: self._writer.write(lambda: delete, SLICE_ROWS), SLICE_ROWS)


class SqliteSession:
    """A `ReadSession`; its snapshot is taken by its first read, and released when the lease ends."""

    orders_ids: Final = True

    def __init__(self, lease: Lease, time_slice: TimeSlice) -> None:
        self._lease = lease
        self._time_slice = time_slice

    async def types(self) -> list[str]:
        return await self._lease.run(catalog.names)

    async def revisions(self, type: str, tier: Tier, span: Span) -> Revisions:
        return await self._lease.run(lambda connection: _revisions(connection, type, tier, span))

    async def scan(
        self,
        type: str,
        span: Span,
        fields: Sequence[str] | None,
        *,
        ids: bool = False,
        newest_first: bool = False,
        wanted: Wanted = NOTHING_WANTED,
        after: EventPlace | None = None,
    ) -> AsyncGenerator[Block, None]:
        """Read the events of a span in blocks of at most `BLOCK_ROWS` rows and about `BLOCK_BYTES`.

        Each block is a statement of its own, which begins after the last row of the one before: an
        abandoned iterator holds nothing.
        """
        entry, lookup = await self._lease.run(partial(_found, type, wanted))
        if entry is None:
            return
        rows = BlockQuery(
            entry.events,
            span,
            fields,
            ids,
            newest_first,
            as_stored(wanted),
            lookup,
            after=None if after is None or after.id is None else (after.time, after.id),
        )
        query: MergedQuery | None = MergedQuery.of(rows, entry.packs)
        while query is not None:
            async with self._time_slice():
                block, query = await self._lease.run(query.read)
            if len(block):
                yield block

    async def packed(
        self, type: str, span: Span, paths: Collection[Path]
    ) -> AsyncGenerator[Sequence[PackedBlock], None]:
        entry = await self._lease.run(lambda connection: catalog.find(connection, type))
        if entry is None or not entry.known:
            return
        fields = sorted({str(path[0]) for path in paths})
        rows = BlockQuery(entry.events, span, fields, ids=False, newest_first=False)
        query: MergedQuery | None = MergedQuery.of(rows, entry.packs)
        while query is not None:
            async with self._time_slice():
                blocks, query = await self._lease.run(partial(_packed, query, paths))
            if blocks:
                yield blocks

    async def stored_parts(self, type: str, span: Span) -> parts.SqliteParts | None:
        run = self._lease.run
        return await run(lambda connection: parts.find(connection, type, span, run))

    async def indexed(self, type: str, span: Span, wanted: Wanted, most: int) -> int | None:
        def count(connection: sqlite3.Connection) -> int | None:
            entry, lookup = _found(type, wanted, connection)
            if entry is None or lookup is None:
                return None
            return field_index.count(connection, entry, lookup, span, most)

        return await self._lease.run(count)


def _found(
    type: str, wanted: Wanted, connection: sqlite3.Connection
) -> tuple[catalog.TypeEntry | None, Lookup | None]:
    """Return a type's entry, where it has events, and how an index finds the wanted ones, if one does."""
    entry = catalog.find(connection, type)
    if entry is None or not entry.known:
        return None, None
    return entry, field_index.find(connection, entry, wanted) if wanted else None


def _packed(
    query: MergedQuery, paths: Collection[Path], connection: sqlite3.Connection
) -> tuple[list[PackedBlock], MergedQuery | None]:
    """Read and pack blocks until a piece is as long as it should be; with them the query for the next."""
    blocks: list[PackedBlock] = []
    left: MergedQuery | None = query
    began, rows = time.perf_counter(), 0
    while left is not None and rows < PIECE_ROWS and time.perf_counter() < began + PIECE_SECONDS:
        block, left = left.read(connection)
        rows += len(block)
        if len(block):
            blocks.append(PackedBlock.of(block, paths))
    return blocks, left


def _revisions(connection: sqlite3.Connection, type: str, tier: Tier, span: Span) -> Revisions:
    entry = catalog.find(connection, type)
    if entry is None:
        return Revisions()
    numbers = NO_REVISIONS
    if entry.known:
        query = f"SELECT bucket, number FROM {entry.revisions} WHERE step = ? AND bucket >= ? AND bucket < ?"  # noqa: S608 - our table
        numbers = read_revisions(connection, query, (tier.step, span.start, span.stop))
    return Revisions(
        numbers,
        entry.complete,
        entry.expired_before,
        entry.known,
        forgotten_before=entry.forgotten_before,
    )
