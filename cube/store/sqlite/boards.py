"""The boards: one table of the events file, made when the first one is saved."""

from __future__ import annotations

import dataclasses
import sqlite3

from cube.errors import InvalidRequest
from cube.store.ports import ANY_REVISION, NO_REVISION, StoredBoard, board_conflict
from cube.store.sqlite.catalog import has_table
from cube.store.sqlite.readers import ReaderPool
from cube.store.sqlite.writer import Writer

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS boards (name TEXT PRIMARY KEY, revision INTEGER NOT NULL,"
    " saved INTEGER NOT NULL, content TEXT NOT NULL, saved_by TEXT NOT NULL, opened INTEGER NOT NULL)"
    " WITHOUT ROWID"
)
_ALL = "SELECT name, revision, saved, content, saved_by, opened FROM boards"


class SqliteBoards:
    """A `BoardStore` on one file that several processes share."""

    def __init__(self, writer: Writer, readers: ReaderPool) -> None:
        self._writer = writer
        self._readers = readers

    async def all(self) -> list[StoredBoard]:
        """Return all boards, by name."""
        return await self._readers.read(lambda connection: _read(connection, f"{_ALL} ORDER BY name"))

    async def find(self, name: str) -> StoredBoard | None:
        """Return one board."""
        found = await self._readers.read(lambda connection: _read(connection, f"{_ALL} WHERE name = ?", name))
        return found[0] if found else None

    async def save(self, board: StoredBoard, expected: int, most: int) -> None:
        """Store a board in the transaction that looks at its revision."""
        await self._writer.write(lambda: lambda connection: _save(connection, board, expected, most))

    async def delete(self, name: str, expected: int) -> None:
        """Remove a board, likewise."""
        await self._writer.write(lambda: lambda connection: _delete(connection, name, expected))

    async def note_opened(self, name: str, time: int) -> None:
        """Note when a board was looked at."""
        if await self.find(name) is not None:
            await self._writer.write(lambda: lambda connection: _note_opened(connection, name, time))


def _read(connection: sqlite3.Connection, query: str, *arguments: str) -> list[StoredBoard]:
    if not has_table(connection, "boards"):
        return []
    return [StoredBoard(*row) for row in connection.execute(query, arguments)]


def _save(connection: sqlite3.Connection, board: StoredBoard, expected: int, most: int) -> None:
    _check(connection, board.name, expected)
    connection.execute(_SCHEMA)
    if expected == NO_REVISION:
        (count,) = connection.execute("SELECT count(*) FROM boards").fetchone()
        if count >= most:
            raise InvalidRequest(f"There are {count} boards already; accepted are {most}: delete one first.")
    connection.execute("INSERT OR REPLACE INTO boards VALUES (?, ?, ?, ?, ?, ?)", dataclasses.astuple(board))


def _delete(connection: sqlite3.Connection, name: str, expected: int) -> None:
    _check(connection, name, expected)
    connection.execute("DELETE FROM boards WHERE name = ?", (name,))


def _note_opened(connection: sqlite3.Connection, name: str, time: int) -> None:
    connection.execute("UPDATE boards SET opened = max(opened, ?) WHERE name = ?", (time, name))


def _check(connection: sqlite3.Connection, name: str, expected: int) -> None:
    found = _read(connection, f"{_ALL} WHERE name = ?", name)
    present = found[0] if found else None
    revision = NO_REVISION if present is None else present.revision
    if revision != expected and not (expected == ANY_REVISION and found):
        raise board_conflict(name, present)
