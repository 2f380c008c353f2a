"""The small records that a store has beside its events: groups of names, boards, definitions and API keys.

Names, boards and definitions are tables of the events file, made on first use; keys have a file of their own,
``<database>.keys.db``.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import secrets
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from cube import files
from cube.errors import InvalidRequest, Unavailable
from cube.model.deletion import KEPT_MS, Deletion
from cube.model.environment import Key, Scope
from cube.store.record_ports import ANY_REVISION, NO_REVISION, StoredText, text_conflict
from cube.store.sqlite.catalog import has_table
from cube.store.sqlite.database import answering, connect, immediate
from cube.store.sqlite.readers import ReaderPool
from cube.store.sqlite.writer import Writer

T = TypeVar("T")

_NAMES = (
    'CREATE TABLE IF NOT EXISTS names ("group" TEXT NOT NULL, name TEXT NOT NULL,'
    ' PRIMARY KEY ("group", name)) WITHOUT ROWID'
)
_TEXTS = (
    "CREATE TABLE IF NOT EXISTS {} (name TEXT PRIMARY KEY, revision INTEGER NOT NULL,"
    " saved INTEGER NOT NULL, content TEXT NOT NULL, saved_by TEXT NOT NULL, opened INTEGER NOT NULL)"
    " WITHOUT ROWID"
)
_DELETIONS = (
    "CREATE TABLE IF NOT EXISTS deletions (type TEXT NOT NULL, expression TEXT NOT NULL,"
    " start INTEGER NOT NULL, stop INTEGER NOT NULL, at INTEGER NOT NULL, deleted_by TEXT NOT NULL,"
    " events INTEGER NOT NULL, PRIMARY KEY (expression, stop)) WITHOUT ROWID"
)
_STAMPS = (
    "CREATE TABLE IF NOT EXISTS deletion_stamps (type TEXT PRIMARY KEY, stamp INTEGER NOT NULL) WITHOUT ROWID"
)
_NOTE_DELETION = (
    "INSERT INTO deletions VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
    " start = min(start, excluded.start), at = max(at, excluded.at), deleted_by = excluded.deleted_by,"
    " events = events + excluded.events"
)
_KEYS_CACHE_BYTES = 256 * 1024
_KEYS = """CREATE TABLE IF NOT EXISTS keys (environment TEXT NOT NULL, id TEXT NOT NULL,
    digest BLOB NOT NULL, scopes TEXT NOT NULL, types TEXT NOT NULL, filter TEXT NOT NULL,
    PRIMARY KEY (environment, id)) WITHOUT ROWID"""


class SqliteNames:
    """A `Names` on one file that several processes share."""

    def __init__(self, writer: Writer, readers: ReaderPool) -> None:
        self._writer = writer
        self._readers = readers

    async def claim(self, group: str, names: Sequence[str], limit: int) -> frozenset[str]:
        there = await self._readers.read(lambda connection: _names(connection, group))
        if there.issuperset(names) or len(there) >= limit:
            return there
        return await self._writer.write(
            lambda: lambda connection: _add_names(connection, group, names, limit)
        )


class SqliteTexts:
    """A `TextStore` on one file that several processes share; ``what``: "board" or "definition"."""

    def __init__(self, writer: Writer, readers: ReaderPool, what: str) -> None:
        self._writer = writer
        self._readers = readers
        self._table = _TextTable(what)

    async def all(self) -> list[StoredText]:
        return await self._readers.read(lambda connection: self._table.read(connection, "ORDER BY name"))

    async def find(self, name: str) -> StoredText | None:
        return await self._readers.read(lambda connection: self._table.find(connection, name))

    async def save(self, text: StoredText, expected: int, most: int) -> None:
        """Store a text in the transaction that looks at its revision."""
        await self._writer.write(
            lambda: lambda connection: self._table.save(connection, text, expected, most)
        )

    async def delete(self, name: str, expected: int) -> None:
        await self._writer.write(lambda: lambda connection: self._table.delete(connection, name, expected))

    async def note_opened(self, name: str, time: int) -> None:
        if await self.find(name) is not None:
            await self._writer.write(
                lambda: lambda connection: self._table.note_opened(connection, name, time)
            )


class SqliteDeletions:
    """A `DeletionStore` on one file that several processes share."""

    def __init__(self, writer: Writer, readers: ReaderPool) -> None:
        self._writer = writer
        self._readers = readers

    async def note(self, deletion: Deletion) -> None:
        await self._writer.write(lambda: lambda connection: _note_deletion(connection, deletion))

    async def all(self) -> list[Deletion]:
        return await self._readers.read(_deletions)

    async def stamp(self, type: str) -> int:
        return await self._readers.read(lambda connection: _deletion_stamp(connection, type))


class SqliteKeys:
    """A `KeyStore` on one file, made when the first key is added; several processes may share it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._seen = False

    async def all(self) -> list[Key]:
        """Return all keys, ordered by environment and id.

        Raises `Unavailable` where the file was there and is not any more: nobody revokes keys so.
        """
        return await asyncio.to_thread(self._all)

    async def were_added(self) -> bool:
        """Tell whether the file is there, even an empty one."""
        return await asyncio.to_thread(self._path.exists)

    async def add(self, key: Key) -> None:
        """Store a key durably, in a directory that is made if it is missing."""
        await asyncio.to_thread(files.make_directory, self._path.parent)
        await asyncio.to_thread(self._run, lambda connection: _add_key(connection, key))

    async def revoke(self, environment: str, id: str) -> bool:
        query = "DELETE FROM keys WHERE environment = ? AND id = ?"

        def delete(connection: sqlite3.Connection) -> bool:
            return connection.execute(query, (environment, id)).rowcount == 1

        return self._path.exists() and await asyncio.to_thread(self._run, delete)

    def _all(self) -> list[Key]:
        if not self._path.exists():
            if self._seen:
                raise Unavailable("The file of keys was deleted while the daemon runs: put it back.")
            return []
        self._seen = True
        query = "SELECT * FROM keys ORDER BY environment, id"
        return self._run(lambda connection: [_key(*row) for row in connection.execute(query)])

    def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with (
            self._lock,
            answering(self._path),
            closing(connect(self._path, synchronous="FULL", cache_bytes=_KEYS_CACHE_BYTES)) as connection,
        ):
            connection.execute(_KEYS)
            with immediate(connection):
                return work(connection)


def _note_deletion(connection: sqlite3.Connection, deletion: Deletion) -> None:
    connection.execute(_DELETIONS)
    connection.execute("DELETE FROM deletions WHERE at < ?", (deletion.at - KEPT_MS,))
    connection.execute(_NOTE_DELETION, dataclasses.astuple(deletion))
    connection.execute(_STAMPS)
    connection.execute(
        "INSERT OR REPLACE INTO deletion_stamps VALUES (?, ?)", (deletion.type, 1 + secrets.randbits(62))
    )


def _deletions(connection: sqlite3.Connection) -> list[Deletion]:
    if not has_table(connection, "deletions"):
        return []
    return [Deletion(*row) for row in connection.execute("SELECT * FROM deletions ORDER BY at")]


def _deletion_stamp(connection: sqlite3.Connection, type: str) -> int:
    if not has_table(connection, "deletion_stamps"):
        return 0
    found = connection.execute("SELECT stamp FROM deletion_stamps WHERE type = ?", (type,)).fetchone()
    return 0 if found is None else int(found[0])


def _add_names(
    connection: sqlite3.Connection, group: str, names: Sequence[str], limit: int
) -> frozenset[str]:
    """Add names, and return all that the group has then."""
    connection.execute(_NAMES)
    there = _names(connection, group)
    new = [name for name in dict.fromkeys(names) if name not in there][: max(0, limit - len(there))]
    connection.executemany("INSERT INTO names VALUES (?, ?)", [(group, name) for name in new])
    return there.union(new)


def _names(connection: sqlite3.Connection, group: str) -> frozenset[str]:
    if not has_table(connection, "names"):
        return frozenset()
    found = connection.execute('SELECT name FROM names WHERE "group" = ?', (group,))
    return frozenset(name for (name,) in found)


class _TextTable:
    """The table of the texts of one kind, in a connection; made when the first of them is saved."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._name = f"{what}s"  # ours, so the queries below are as well

    def read(self, connection: sqlite3.Connection, which: str, *arguments: str) -> list[StoredText]:
        """Return the texts that the rest of a query asks for."""
        if not has_table(connection, self._name):
            return []
        columns = "name, revision, saved, content, saved_by, opened"
        query = f"SELECT {columns} FROM {self._name} {which}"  # noqa: S608 - ours
        return [StoredText(*row) for row in connection.execute(query, arguments)]

    def find(self, connection: sqlite3.Connection, name: str) -> StoredText | None:
        found = self.read(connection, "WHERE name = ?", name)
        return found[0] if found else None

    def save(self, connection: sqlite3.Connection, text: StoredText, expected: int, most: int) -> None:
        self._check_revision(connection, text.name, expected)
        connection.execute(_TEXTS.format(self._name))
        if expected == NO_REVISION:
            (count,) = connection.execute(f"SELECT count(*) FROM {self._name}").fetchone()  # noqa: S608 - ours
            if count >= most:
                raise InvalidRequest(
                    f"There are {count} {self._name} already; accepted are {most}: delete one first."
                )
        insert = f"INSERT OR REPLACE INTO {self._name} VALUES (?, ?, ?, ?, ?, ?)"  # noqa: S608 - ours
        connection.execute(insert, dataclasses.astuple(text))

    def delete(self, connection: sqlite3.Connection, name: str, expected: int) -> None:
        self._check_revision(connection, name, expected)
        connection.execute(f"DELETE FROM {self._name} WHERE name = ?", (name,))  # noqa: S608 - ours

    def note_opened(self, connection: sqlite3.Connection, name: str, time: int) -> None:
        update = f"UPDATE {self._name} SET opened = max(opened, ?) WHERE name = ?"  # noqa: S608 - ours
        connection.execute(update, (time, name))

    def _check_revision(self, connection: sqlite3.Connection, name: str, expected: int) -> None:
        found = self.find(connection, name)
        revision = NO_REVISION if found is None else found.revision
        if revision != expected and not (expected == ANY_REVISION and found is not None):
            raise text_conflict(self._what, name, found)


def _add_key(connection: sqlite3.Connection, key: Key) -> None:
    types = json.dumps(None if key.types is None else sorted(key.types))
    scopes = json.dumps(sorted(key.scopes))
    added = connection.execute(
        "INSERT OR IGNORE INTO keys VALUES (?, ?, ?, ?, ?, ?)",
        (key.environment, key.id, key.digest, scopes, types, key.filter),
    ).rowcount
    if not added:
        raise InvalidRequest(f"The environment {key.environment} has a key {key.id} already.")


def _key(environment: str, id: str, digest: bytes, scopes: str, types: str, filter: str) -> Key:
    named = json.loads(types)
    return Key(
        id,
        bytes(digest),
        environment,
        frozenset(map(Scope, json.loads(scopes))),
        None if named is None else frozenset(named),
        filter,
    )
