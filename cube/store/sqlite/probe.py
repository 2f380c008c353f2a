"""Whether an events file can be read, and written: a look at the one, and a row of a table for the other."""

from __future__ import annotations

import sqlite3
import time
from typing import Final

from cube.store.sqlite import catalog

WRITTEN_BYTES: Final = 64 * 1024
"""About what a commit of an event or two writes: a disk with room for less is as good as full."""

TYPES: Final = 50
"""Of so many types the latest event is read."""

_TABLE = "CREATE TABLE IF NOT EXISTS probe (name TEXT PRIMARY KEY, at INTEGER NOT NULL, room BLOB NOT NULL)"


def read(connection: sqlite3.Connection) -> None:
    """Read the header, the catalog and the newest page of some types."""
    for type in catalog.names(connection)[:TYPES]:
        entry = catalog.find(connection, type)
        if entry is not None:
            connection.execute(f"SELECT * FROM {entry.events} ORDER BY time DESC, id DESC LIMIT 1").fetchall()  # noqa: S608 - our table


def write(connection: sqlite3.Connection) -> None:
    """Rewrite the one row of the table ``probe``; call it in a write transaction."""
    connection.execute(_TABLE)
    connection.execute(
        "INSERT OR REPLACE INTO probe VALUES ('writer', ?, zeroblob(?))",
        (time.time_ns() // 10**6, WRITTEN_BYTES),
    )
