"""The tables of the events file, and the catalog of types in it.

=======================  ===================================================================
table                    rows
=======================  ===================================================================
``facts``                name, value: ``cache`` is the id that the metrics file must carry
``types``                number, name (exact case), known, complete, expired_before, forgotten_before,
                         tiers: the steps that ``complete`` is about, see `cube.model.tier`
``events_<number>``      time, id, data: JSON text; NULL is an event without data
``packs_<number>``       many events of one second in a row, see `cube.store.sqlite.packs`
``all_events_<number>``  a view of both: time, data
``revisions_<number>``   step, bucket (its start), number
``names``                group, name: made on first use, see `cube.store.sqlite.store`
``boards``               name, revision, saved, content, saved_by, opened: see `cube.store.sqlite.records`
``definitions``          the same, of expressions that have names
``deletions``            type, expression, start, stop, at, deleted_by, events: see `cube.model.deletion`
``deletion_stamps``      type, stamp: see `cube.store.deletion`
``probe``                name, at, room: made on first use, see `cube.store.sqlite.store`
=======================  ===================================================================

SQLite's own kinds keep ids apart as `cube.model.event.id_key` does, and order them so: numbers by value,
then text by code point, then blobs. So the key (time, id) is the order of a scan.
"""

from __future__ import annotations

import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cube.errors import Unavailable
from cube.model.tier import are_cached_steps, cached_steps
from cube.store.sqlite import packs
from cube.store.sqlite.database import immediate

VERSION: Final = 4
"""Kept in ``user_version``; a file of a later one is refused."""

CACHE_ID_BYTES = 16

_SCHEMA = (
    "CREATE TABLE facts (name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID",
    """CREATE TABLE types (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,
    known INTEGER NOT NULL DEFAULT 0, complete INTEGER NOT NULL DEFAULT 0, expired_before INTEGER,
    forgotten_before INTEGER, tiers TEXT)""",
    f"PRAGMA user_version = {VERSION}",
)
_UPGRADES = (
    "",
    "ALTER TABLE types ADD COLUMN forgotten_before INTEGER",
    "ALTER TABLE types ADD COLUMN tiers TEXT",
)
"""What makes of each version the next one, by its number; the first is made by `_SCHEMA`."""

_FIRST_WITH_PACKS: Final = 4  # what earlier ones stored stays as it is


@dataclass(frozen=True, slots=True)
class TypeEntry:
    """A type's row in the catalog; ``known``: whether its tables exist; ``complete``: for today's tiers."""

    number: int
    known: bool
    complete: bool
    expired_before: int | None
    forgotten_before: int | None

    @property
    def events(self) -> str:
        return f"events_{self.number}"

    @property
    def packs(self) -> str:
        return f"packs_{self.number}"

    @property
    def revisions(self) -> str:
        return f"revisions_{self.number}"


def prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Make the tables where they are missing; safe while other processes do the same."""
    if _version(connection) == 0:
        with immediate(connection):
            if _version(connection) == 0:
                for statement in _SCHEMA:
                    connection.execute(statement)
                connection.execute("INSERT INTO facts VALUES ('cache', ?)", (os.urandom(CACHE_ID_BYTES),))
    if _version(connection) < VERSION:
        with immediate(connection):
            _upgrade(connection, _version(connection))
    if (version := _version(connection)) > VERSION:
        raise Unavailable(
            f"The database {path.name} was made by a later Cube (its version is {version}, this one reads up"
            f" to {VERSION}): install that one, or choose another directory."
        )


def _upgrade(connection: sqlite3.Connection, version: int) -> None:
    for statement in _UPGRADES[version:]:
        connection.execute(statement)
    if version < _FIRST_WITH_PACKS:
        for (number,) in connection.execute("SELECT number FROM types WHERE known").fetchall():
            _make_packs(connection, TypeEntry(number, True, False, None, None))
    connection.execute(f"PRAGMA user_version = {max(version, VERSION)}")


def cache_id(connection: sqlite3.Connection) -> bytes:
    """Return the random id that ties the metrics file to this one."""
    (value,) = connection.execute("SELECT value FROM facts WHERE name = 'cache'").fetchone()
    return bytes(value)


def find(connection: sqlite3.Connection, type: str) -> TypeEntry | None:
    """Read a type's entry."""
    row = connection.execute(
        "SELECT number, known, complete, tiers, expired_before, forgotten_before FROM types WHERE name = ?",
        (type,),
    ).fetchone()
    if row is None:
        return None
    number, known, complete, tiers, *times = row
    vouched = complete and are_cached_steps(None if tiers is None else [int(step) for step in tiers.split()])
    return TypeEntry(number, bool(known), bool(vouched), *times)


def names(connection: sqlite3.Connection) -> list[str]:
    """Return the names of all types that have tables, sorted."""
    return sorted(name for (name,) in connection.execute("SELECT name FROM types WHERE known"))


def register(connection: sqlite3.Connection, type: str, entry: TypeEntry | None) -> TypeEntry:
    """Make the tables of a type where `entry`, as `find` gave it, shows none; call it in a write transaction.

    A type without events is marked complete: it was found empty before its first save.
    """
    if entry is not None and entry.known and entry.complete:
        return entry
    if entry is None or not entry.known:
        entry = _make_tables(connection, type)
    some = f"SELECT 1 FROM {entry.events} UNION ALL SELECT 1 FROM {entry.packs} LIMIT 1"  # noqa: S608 - our number
    if connection.execute(some).fetchone() is None:
        complete(connection, type)
    return entry


def complete(connection: sqlite3.Connection, type: str) -> None:
    """Set the marker: every bucket with events has a revision; what has expired before may have none."""
    later = _later("expired_before")
    connection.execute(
        f"UPDATE types SET complete = 1, tiers = ?, forgotten_before = {later} WHERE name = ?",  # noqa: S608 - our names
        (" ".join(map(str, cached_steps())), type),
    )


def expire(connection: sqlite3.Connection, type: str, before: int) -> None:
    """Advance a type's ``expired_before``; a type without events gets an entry, not tables."""
    connection.execute(
        "INSERT INTO types (name, expired_before) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET"
        " expired_before = max(coalesce(expired_before, excluded.expired_before), excluded.expired_before)",
        (type, before),
    )


def forget(connection: sqlite3.Connection, type: str, before: int) -> None:
    """Advance a type's ``forgotten_before``, up to its ``expired_before``; without that, not at all."""
    connection.execute(
        f"UPDATE types SET forgotten_before = {_later('min(?, expired_before)')} WHERE name = ?",  # noqa: S608 - our names
        (before, before, type),
    )


def _later(term: str) -> str:
    """Return the SQL of the later one of a term and ``forgotten_before``, either of which may be NULL."""
    return f"max(coalesce(forgotten_before, {term}), coalesce({term}, forgotten_before))"


def has_table(connection: sqlite3.Connection, name: str) -> bool:
    """Tell whether a table is there that is made on first use."""
    found = connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (name,))
    return found.fetchone() is not None


def _make_tables(connection: sqlite3.Connection, type: str) -> TypeEntry:
    connection.execute(
        "INSERT INTO types (name, known) VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET known = 1", (type,)
    )
    entry = find(connection, type)
    assert entry is not None, f"{type} was registered in this transaction"  # noqa: S101 - for the type checker
    connection.execute(
        f"CREATE TABLE {entry.events} (time INTEGER NOT NULL, id NOT NULL UNIQUE, data TEXT,"
        " PRIMARY KEY (time, id)) WITHOUT ROWID"
    )
    _make_packs(connection, entry)
    connection.execute(
        f"CREATE TABLE {entry.revisions} (step INTEGER NOT NULL, bucket INTEGER NOT NULL,"
        " number INTEGER NOT NULL, PRIMARY KEY (step, bucket)) WITHOUT ROWID"
    )
    return entry


def _make_packs(connection: sqlite3.Connection, entry: TypeEntry) -> None:
    for statement in (*packs.SCHEMA, packs.VIEW):
        connection.execute(statement.format(packs=entry.packs, events=entry.events))


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)
