"""SQLite files: connections to them, the limits of their logs, and what their errors mean to a caller."""

from __future__ import annotations

import logging
import math
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cube import files
from cube.errors import Unavailable
from cube.files import FileWatch

BUSY_TIMEOUT_SECONDS = 10.0
PAGE_BYTES = 8192  # measured: 4096 inserts 20 % fewer events/s; larger rows also stay on their page
OLDEST_SQLITE = (3, 35)  # ON CONFLICT without a target

_log = logging.getLogger(__name__)

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


@dataclass(frozen=True, slots=True)
class LogLimits:
    """How long the log of a database may get: at most ``bytes``.

    At three eighths of it the writer waits until the log can restart, and every process gives up those of
    its snapshots that are older than ``seconds``, and later ones where it grows all the same; the rest has
    room for the largest commit, of which each event changes a page of its own (docs/decisions/0018-log.md).
    """

    bytes: int = 256 * 2**20
    seconds: float = 3.0

    @property
    def begin(self) -> int:
        """The length from which on something is done about it."""
        return self.bytes * 3 // 8

    def snapshot_seconds(self, length: int) -> float:
        """Return for how many seconds a snapshot may last while the log has a length."""
        if length <= self.begin:
            return math.inf
        if length <= (self.begin + self.bytes) // 2:
            return self.seconds
        return self.seconds / 4 if length <= self.bytes else self.seconds / 16


DEFAULT_LOG_LIMITS = LogLimits()


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


def watch_of(path: Path) -> FileWatch:
    """Watch an events file, which is open, and its log.

    Deleted or replaced, they would be written and read on without a failure. They are never opened again:
    another file at the path may be a bare mount point's, or half of a backup that is just put in place.
    """

    def changed(is_back: bool) -> None:
        if is_back:
            _log.info("the database %s is back in its place", path)
        else:
            _log.error("the database %s was deleted or replaced while it is open", path)

    def gone() -> Unavailable:
        return Unavailable(
            "The database's files were deleted or replaced while the daemon runs: put them back, or restart"
            " all daemons of the store."
        )

    return FileWatch(path, Path(f"{path}-wal"), changed=changed, refusal=gone)
