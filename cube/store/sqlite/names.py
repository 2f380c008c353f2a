"""Groups of names: a table of the events file, made on first use."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from cube.store.sqlite.readers import Readers
from cube.store.sqlite.writer import Writer

_TABLE = (
    'CREATE TABLE IF NOT EXISTS names ("group" TEXT NOT NULL, name TEXT NOT NULL,'
    ' PRIMARY KEY ("group", name)) WITHOUT ROWID'
)


class SqliteNames:
    """A `Names` on one file that several processes share."""

    def __init__(self, writer: Writer, readers: Readers) -> None:
        self._writer = writer
        self._readers = readers

    async def claim(self, group: str, names: Sequence[str], limit: int) -> frozenset[str]:
        """Add names to a group as far as its limit; return all that it has."""
        there = await self._read(group)
        if there.issuperset(names) or len(there) >= limit:
            return there
        await self._writer.write(lambda: lambda connection: _add(connection, group, names, limit))
        return await self._read(group)

    async def _read(self, group: str) -> frozenset[str]:
        lease = self._readers.lend()
        try:
            return await lease.run(lambda connection: _names(connection, group))
        finally:
            lease.end()


def _add(connection: sqlite3.Connection, group: str, names: Sequence[str], limit: int) -> None:
    connection.execute(_TABLE)
    there = _names(connection, group)
    new = [name for name in dict.fromkeys(names) if name not in there][: max(0, limit - len(there))]
    connection.executemany("INSERT INTO names VALUES (?, ?)", [(group, name) for name in new])


def _names(connection: sqlite3.Connection, group: str) -> frozenset[str]:
    made = connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'names'")
    if made.fetchone() is None:
        return frozenset()
    found = connection.execute('SELECT name FROM names WHERE "group" = ?', (group,))
    return frozenset(name for (name,) in found)
