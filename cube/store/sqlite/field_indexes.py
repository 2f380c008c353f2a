"""Making and dropping indexes on fields, beside collectors that save.

An index holds rows. What is packed is made rows once it is there, some events at a time, and what is saved
from then on are rows; so for rows alone is a build one transaction, for which every save has to wait.
"""

from __future__ import annotations

import sqlite3
import time
from typing import Final

import msgspec

from cube.errors import InvalidRequest, NotFound, shown
from cube.store.equality import BuildProgress, FieldPath, text_of
from cube.store.sqlite import catalog
from cube.store.sqlite.catalog import TypeEntry
from cube.store.sqlite.database import BUSY_TIMEOUT_SECONDS
from cube.store.sqlite.field_index import fields, index_name, key
from cube.store.sqlite.readers import ReaderPool
from cube.store.sqlite.saving import unpack
from cube.store.sqlite.short_transactions import in_slices
from cube.store.sqlite.writer import Writer

SAMPLE_EVENTS: Final = 2_000
"""The keys of so many events are made to tell how long a build will take; sorting takes as long again."""

PATIENCE_SECONDS: Final = BUSY_TIMEOUT_SECONDS / 2
"""A build that takes longer would keep saves from the lock nearly as long as they wait for it."""

SLICE_EVENTS: Final = 2_000
"""Packed events that are made rows in one transaction, about."""


class SqliteFieldIndexes:
    """The `FieldIndexes` of a database."""

    def __init__(self, writer: Writer, readers: ReaderPool) -> None:
        self._writer = writer
        self._readers = readers

    async def all(self, type: str) -> list[FieldPath]:
        entry = await self._entry(type)
        return [] if entry is None else await self._readers.read(lambda reader: fields(reader, entry))

    async def make(
        self, type: str, path: FieldPath, progress: BuildProgress, *, anyway: bool = False
    ) -> bool:
        """Make an index; `PATIENCE_SECONDS` bounds how long saves wait for it, about.

        Where one was not finished, what is left is done.
        """
        _refuse_escaped(path)
        entry = await self._entry(type)
        if entry is None:
            raise NotFound(f"There are no events of the type {shown(type)}; `cube types` lists all.")
        is_there = path in await self.all(type)
        rows, packed = await self._readers.read(lambda reader: _sizes(reader, entry))
        if is_there and not packed:
            return False
        if not is_there:
            await self._refuse_long(entry, path, rows, anyway=anyway)
            progress(0, rows + packed)
            made = (
                f"CREATE INDEX IF NOT EXISTS {index_name(entry, path)} ON {entry.events} ({key(path)}, time)"
            )
            await self._writer.write(lambda: lambda writer: writer.execute(made))
        await self._unpack(entry, rows, rows + packed, progress)
        progress(rows + packed, rows + packed)
        return True

    async def _refuse_long(self, entry: TypeEntry, path: FieldPath, rows: int, *, anyway: bool) -> None:
        seconds = await self._readers.read(lambda reader: _seconds(reader, entry, path, rows))
        if seconds > PATIENCE_SECONDS and not anyway:
            raise InvalidRequest(
                f"The index on {text_of(path)} of {rows} events takes about {seconds:.0f} s, in which no"
                f" event can be saved, and collectors wait for {BUSY_TIMEOUT_SECONDS:.0f} s: use --anyway"
                " where they have a spool, or while they are stopped."
            )

    async def _unpack(self, entry: TypeEntry, done: int, events: int, progress: BuildProgress) -> None:
        """Make rows of all packs, which puts them into the index; others save between the slices."""

        def unpack_some(writer: sqlite3.Connection) -> int:
            nonlocal done
            numbers, count = _first_packs(writer, entry)
            done += count
            return unpack(writer, entry, numbers)

        async def next_slice() -> int:
            found = await self._writer.write(lambda: unpack_some, SLICE_EVENTS)
            if found:
                progress(min(done, events), events)
            return found

        await in_slices(next_slice, 1)

    async def drop(self, type: str, path: FieldPath) -> bool:
        entry = await self._entry(type)
        if entry is None or path not in await self.all(type):
            return False
        dropped = f"DROP INDEX IF EXISTS {index_name(entry, path)}"
        await self._writer.write(lambda: lambda writer: writer.execute(dropped))
        return True

    async def _entry(self, type: str) -> TypeEntry | None:
        entry = await self._readers.read(lambda reader: catalog.find(reader, type))
        return entry if entry is not None and entry.known else None


def _sizes(connection: sqlite3.Connection, entry: TypeEntry) -> tuple[int, int]:
    """Return how many events are rows, and how many are packed."""
    counts = f"SELECT (SELECT count(*) FROM {entry.events}), (SELECT sum(events) FROM {entry.packs})"  # noqa: S608 - our names
    rows, packed = connection.execute(counts).fetchone()
    return int(rows), int(packed or 0)


def _seconds(connection: sqlite3.Connection, entry: TypeEntry, path: FieldPath, rows: int) -> float:
    """Return about how long an index of so many rows takes to make."""
    some = f"SELECT {key(path)} AS key FROM {entry.events} LIMIT {SAMPLE_EVENTS}"  # noqa: S608 - our names
    began = time.perf_counter()
    connection.execute(f"SELECT count(key) FROM ({some})").fetchone()  # noqa: S608 - our names
    return 2 * (time.perf_counter() - began) * rows / max(1, min(rows, SAMPLE_EVENTS))


def _first_packs(connection: sqlite3.Connection, entry: TypeEntry) -> tuple[list[int], int]:
    """Return the first packs, up to `SLICE_EVENTS` or one, and how many events they have."""
    numbers: list[int] = []
    count = 0
    for number, events in connection.execute(f"SELECT number, events FROM {entry.packs} ORDER BY number"):  # noqa: S608 - our names
        if numbers and count + events > SLICE_EVENTS:
            break
        numbers.append(number)
        count += events
    return numbers, count


def _refuse_escaped(path: FieldPath) -> None:
    if any(_is_escaped(name) for name in path):
        raise InvalidRequest(
            f"Got the field {text_of(path)}; accepted on SQLite is one whose names have neither quotes,"
            " backslashes nor control characters, which its JSON writes in another way."
        )


def _is_escaped(name: str) -> bool:
    return msgspec.json.encode(name) != f'"{name}"'.encode()
