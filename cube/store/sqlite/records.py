"""The small records that a store has beside its events: groups of names, boards and API keys.

Names and boards are tables of the events file, made on first use; keys have a file of their own,
``<database>.keys.db``.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from cube import files
from cube.errors import InvalidRequest, Unavailable
from cube.model.environment import Key, Scope
from cube.store.ports import ANY_REVISION, NO_REVISION, StoredBoard, board_conflict
from cube.store.sqlite.catalog import has_table
from cube.store.sqlite.database import answering, connect, immediate
from cube.store.sqlite.readers import ReaderPool
from cube.store.sqlite.writer import Writer

T = TypeVar("T")

_NAMES = (
    'CREATE TABLE IF NOT EXISTS names ("group" TEXT NOT NULL, name TEXT NOT NULL,'
    ' PRIMARY KEY ("group", name)) WITHOUT ROWID'
)
_BOARDS = (
    "CREATE TABLE IF NOT EXISTS boards (name TEXT PRIMARY KEY, revision INTEGER NOT NULL,"
    " saved INTEGER NOT NULL, content TEXT NOT NULL, saved_by TEXT NOT NULL, opened INTEGER NOT NULL)"
    " WITHOUT ROWID"
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


class SqliteBoards:
    """A `BoardStore` on one file that several processes share."""

    def __init__(self, writer: Writer, readers: ReaderPool) -> None:
        self._writer = writer
        self._readers = readers

    async def all(self) -> list[StoredBoard]:
        return await self._readers.read(lambda connection: _read_boards(connection, "ORDER BY name"))

    async def find(self, name: str) -> StoredBoard | None:
        found = await self._readers.read(lambda connection: _read_boards(connection, "WHERE name = ?", name))
        return found[0] if found else None

    async def save(self, board: StoredBoard, expected: int, most: int) -> None:
        """Store a board in the transaction that looks at its revision."""
        await self._writer.write(lambda: lambda connection: _save_board(connection, board, expected, most))

    async def delete(self, name: str, expected: int) -> None:
        await self._writer.write(lambda: lambda connection: _delete_board(connection, name, expected))

    async def note_opened(self, name: str, time: int) -> None:
        if await self.find(name) is not None:
            await self._writer.write(lambda: lambda connection: _note_opened(connection, name, time))


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


def _read_boards(connection: sqlite3.Connection, which: str, *arguments: str) -> list[StoredBoard]:
    """Return the boards that the rest of a query asks for."""
    if not has_table(connection, "boards"):
        return []
    query = f"SELECT name, revision, saved, content, saved_by, opened FROM boards {which}"  # noqa: S608 - ours
    return [StoredBoard(*row) for row in connection.execute(query, arguments)]


def _save_board(connection: sqlite3.Connection, board: StoredBoard, expected: int, most: int) -> None:
    _check_revision(connection, board.name, expected)
    connection.execute(_BOARDS)
    if expected == NO_REVISION:
        (count,) = connection.execute("SELECT count(*) FROM boards").fetchone()
        if count >= most:
            raise InvalidRequest(f"There are {count} boards already; accepted are {most}: delete one first.")
    connection.execute("INSERT OR REPLACE INTO boards VALUES (?, ?, ?, ?, ?, ?)", dataclasses.astuple(board))


def _delete_board(connection: sqlite3.Connection, name: str, expected: int) -> None:
    _check_revision(connection, name, expected)
    connection.execute("DELETE FROM boards WHERE name = ?", (name,))


def _note_opened(connection: sqlite3.Connection, name: str, time: int) -> None:
    connection.execute("UPDATE boards SET opened = max(opened, ?) WHERE name = ?", (time, name))


def _check_revision(connection: sqlite3.Connection, name: str, expected: int) -> None:
    found = _read_boards(connection, "WHERE name = ?", name)
    revision = found[0].revision if found else NO_REVISION
    if revision != expected and not (expected == ANY_REVISION and found):
        raise board_conflict(name, found[0] if found else None)


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
