"""Connections to SQLite files, and what its errors mean to a caller."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cube import files
from cube.errors import Unavailable

BUSY_TIMEOUT_SECONDS = 10.0
PAGE_BYTES = 8192  # measured: 4096 inserts 20 % fewer events/s; larger rows also stay on their page
OLDEST_SQLITE = (3, 35)  # ON CONFLICT without a target

_CACHED_STATEMENTS = 512
_RETRY_SECONDS = 0.01

_ADVICE = {
    sqlite3.SQLITE_BUSY: "another process holds its lock; find what keeps a transaction open",
    sqlite3.SQLITE_CANTOPEN: "make its directory, and let this user write to it",
    sqlite3.SQLITE_CORRUPT: "the file is damaged; restore it from a backup",
    sqlite3.SQLITE_FULL: "the disk is full; make room on it",
    sqlite3.SQLITE_IOERR: "the disk fails; see the system's log",
    sqlite3.SQLITE_LOCKED: "another transaction holds its lock; try again",
    sqlite3.SQLITE_NOTADB: "the file is not an SQLite database; move it away or choose another directory",
    sqlite3.SQLITE_PERM: "let this user read and write it",
    sqlite3.SQLITE_PROTOCOL: "too many processes open it at once; try again",
    sqlite3.SQLITE_READONLY: "the file is read-only; let this user write to it",
}


def connect(
    path: Path, *, synchronous: str, cache_bytes: int, busy_seconds: float = BUSY_TIMEOUT_SECONDS
) -> sqlite3.Connection:
    """Open a database in WAL mode, with transactions begun by hand; usable from any one thread at a time.

    ``synchronous``: "FULL" or "OFF". ``busy_seconds``: how long it waits for another's lock.
    Created if it is not there, for its owner alone. Raises `sqlite3.Error`.
    """
    files.make_file(path)
    connection = sqlite3.connect(
        path,
        timeout=busy_seconds,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=_CACHED_STATEMENTS,
    )
    try:
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        _enter_wal(connection)
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection.execute(f"PRAGMA cache_size = {-cache_bytes // 1024}")
        connection.execute("PRAGMA temp_store = MEMORY")
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def immediate(connection: sqlite3.Connection) -> Iterator[None]:
    """Run a block in one write transaction, all or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


@contextmanager
def answering(path: Path) -> Iterator[None]:
    """Turn the errors of a store that does not answer into `Unavailable`; leave all others.

    Anybody may be told: the file is named, its directory is not.
    """
    try:
        yield
    except sqlite3.Error as error:
        advice = _ADVICE.get(primary_code(error))
        if advice is None:
            raise
        raise Unavailable(f"The database {path.name} does not answer ({error}): {advice}.") from error


def primary_code(error: sqlite3.Error) -> int:
    """Return SQLite's primary result code of an error; 0 where it has none."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _enter_wal(connection: sqlite3.Connection) -> None:
    """Switch to WAL, trying again: SQLite itself does not wait here while another opens a new file."""
    deadline = time.monotonic() + BUSY_TIMEOUT_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if primary_code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(_RETRY_SECONDS)
        else:
            return
