"""The file of cached metrics: opened, checked, thrown away and recreated."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from cube.store.sqlite.database import connect, immediate, primary_code

T = TypeVar("T")

_log = logging.getLogger(__name__)

_CACHE_BYTES = 8 * 1024 * 1024
_BUSY_SECONDS = 1.0  # a value that is not kept costs less than a query that waits longer
_BROKEN = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID",
    """CREATE TABLE IF NOT EXISTS chunks (key BLOB NOT NULL, step INTEGER NOT NULL, chunk INTEGER NOT NULL,
    cells BLOB NOT NULL, PRIMARY KEY (key, step, chunk))""",
    "CREATE INDEX IF NOT EXISTS chunks_by_age ON chunks (step, chunk, key)",
)


class CacheFile:
    """One thread's connection to the metrics file.

    The file may be deleted at any time, by anybody; then it is recreated. So it is where it is
    damaged, or belongs to other events (`identity` is not the id kept in it). ``synchronous`` is
    OFF: a power cut may damage it, and costs only time.
    """

    def __init__(self, path: Path, identity: bytes, lock: threading.Lock) -> None:
        self._path = path
        self._identity = identity
        self._lock = lock
        self._connection: sqlite3.Connection | None = None
        self._inode = 0

    def run(self, work: Callable[[sqlite3.Connection], T]) -> T | None:
        """Run some work on the file; None, with a log line, where the file fails."""
        try:
            return work(self._open())
        except sqlite3.DatabaseError as error:
            _log.warning("The metrics cache %s failed: %s", self._path, error)
            if primary_code(error) in _BROKEN:
                self._discard("it is damaged")
            self.close()
            return None

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None and _inode(self._path) != self._inode:
            self.close()
        if self._connection is None:
            self._inode = 0
            self._connection = self._connect()
            if not self._is_ours(self._connection):
                self._discard("it belongs to other events")
                self._connection = self._connect()
        return self._connection

    def _connect(self) -> sqlite3.Connection:
        connection = connect(
            self._path, synchronous="OFF", cache_bytes=_CACHE_BYTES, busy_seconds=_BUSY_SECONDS
        )
        try:
            with immediate(connection):
                for statement in _SCHEMA:
                    connection.execute(statement)
                connection.execute("INSERT OR IGNORE INTO facts VALUES ('events', ?)", (self._identity,))
        except BaseException:
            connection.close()
            raise
        self._inode = _inode(self._path)
        return connection

    def _is_ours(self, connection: sqlite3.Connection) -> bool:
        row = connection.execute("SELECT value FROM facts WHERE name = 'events'").fetchone()
        return row is not None and bytes(row[0]) == self._identity

    def _discard(self, reason: str) -> None:
        """Delete the file, unless another thread or process has put a new one there."""
        with self._lock:
            if self._inode in (0, _inode(self._path)):
                _log.warning("The metrics cache %s is recreated: %s.", self._path, reason)
                for suffix in ("", "-wal", "-shm"):
                    Path(f"{self._path}{suffix}").unlink(missing_ok=True)
        self.close()


def _inode(path: Path) -> int:
    try:
        return os.stat(path).st_ino  # noqa: PTH116 - on the path of every warm query
    except FileNotFoundError:
        return 0
