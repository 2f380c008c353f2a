"""The events and their revisions, in ``<database>.events.db``."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeVar

from cube.model import instant
from cube.model.event import Event
from cube.model.tier import CACHED_TIERS
from cube.store.ports import UNBOUNDED, ReadOptions
from cube.store.sqlite import catalog, expiry, saving
from cube.store.sqlite.readers import Readers
from cube.store.sqlite.session import SqliteSession
from cube.store.sqlite.writer import Writer

T = TypeVar("T")

_RAISED_TOGETHER = 5_000  # buckets raised in one transaction by `build`, between which savers get their turn


class SqliteEvents:
    """An `EventStore` on one file that several processes share."""

    def __init__(self, writer: Writer, readers: Readers) -> None:
        self._writer = writer
        self._readers = readers

    async def save(self, type: str, events: Sequence[Event]) -> None:
        """Store events of one type and raise their buckets, in one transaction."""
        if events:
            await self._writer.write(lambda: saving.Batch.of(type, events).write, len(events))

    @asynccontextmanager
    async def read(self, options: ReadOptions = UNBOUNDED) -> AsyncIterator[SqliteSession]:
        """Begin a query: a read transaction of its own. No server works for longer than its caller waits."""
        lease = self._readers.lend()
        try:
            yield SqliteSession(lease, options.time_slice)
        finally:
            lease.end()

    async def build(self, type: str) -> None:
        """Raise every bucket of a type that another tool filled, then mark it complete.

        Events saved meanwhile raise their buckets themselves.
        """
        entry = await self._entry(type)
        if entry is None or entry.complete:
            return
        await self._raise_all(type)
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

    async def _raise_all(self, type: str) -> None:
        entry = await self._entry(type)
        if entry is None or not entry.known:
            return
        starts = await self._run(lambda connection: _finest_buckets(connection, entry))
        raised = saving.buckets(starts)
        for position in range(0, len(raised), _RAISED_TOGETHER):
            await self._raise(entry, raised[position : position + _RAISED_TOGETHER])

    async def _raise(self, entry: catalog.Entry, raised: Iterable[tuple[int, int]]) -> None:
        await self._write(lambda connection: saving.raise_buckets(connection, entry, raised))

    async def _entry(self, type: str) -> catalog.Entry | None:
        return await self._run(lambda connection: catalog.find(connection, type))

    async def _run(self, read: Callable[[sqlite3.Connection], T]) -> T:
        lease = self._readers.lend()
        try:
            return await lease.run(read)
        finally:
            lease.end()

    async def _write(self, write: Callable[[sqlite3.Connection], None]) -> None:
        await self._writer.write(lambda: write)

    async def _delete(self, delete: Callable[[sqlite3.Connection], int]) -> int:
        deleted = [0]

        def write(connection: sqlite3.Connection) -> None:
            deleted[0] = delete(connection)

        async def delete_some() -> int:
            await self._writer.write(lambda: write, expiry.SLICE_ROWS)
            return deleted[0]

        return await expiry.in_slices(delete_some, expiry.SLICE_ROWS)


def _finest_buckets(connection: sqlite3.Connection, entry: catalog.Entry) -> list[int]:
    step, origin = CACHED_TIERS[0].step, CACHED_TIERS[0].origin
    floor = f"time - ((time - {origin}) % {step} + {step}) % {step}"  # % has the sign of the left side
    query = (
        f"SELECT {floor} FROM {entry.events} WHERE time >= :live"  # noqa: S608 - our names
        f" UNION SELECT bucket FROM {entry.revisions} WHERE step = {step} AND bucket > :live - {step}"
    )
    live = instant.EARLIEST if entry.expired_before is None else entry.expired_before
    return [start for (start,) in connection.execute(query, {"live": live})]
