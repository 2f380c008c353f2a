"""One environment's database in a directory: the embedded store."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from functools import partial
from pathlib import Path

from cube import files
from cube.errors import Unavailable
from cube.store.sqlite import catalog
from cube.store.sqlite.database import (
    DEFAULT_LOG_LIMITS,
    OLDEST_SQLITE,
    LogLimits,
    answering,
    connect,
    watch_of,
)
from cube.store.sqlite.events import SqliteEvents
from cube.store.sqlite.field_indexes import SqliteFieldIndexes
from cube.store.sqlite.metrics import SqliteMetrics
from cube.store.sqlite.readers import CommitWatch, ReaderPool
from cube.store.sqlite.records import SqliteDeletions, SqliteNames, SqliteTexts
from cube.store.sqlite.reports import SqliteReports
from cube.store.sqlite.turns import Turns
from cube.store.sqlite.writer import Writer

_WRITER_CACHE_BYTES = 16 * 1024 * 1024  # measured: 64 MiB is not faster; ids and times come nearly in order
_READER_CACHE_BYTES = 4 * 1024 * 1024
_WATCH_CACHE_BYTES = 64 * 1024

_PING_TYPES = 50
"""Of so many types a ping reads the latest event."""

_PROBE_BYTES = 64 * 1024
"""About what a commit of an event or two writes: a disk with room for less is as good as full."""

_PROBE = "CREATE TABLE IF NOT EXISTS probe (name TEXT PRIMARY KEY, at INTEGER NOT NULL, room BLOB NOT NULL)"


async def open_store(
    directory: Path | str, database: str, *, log: LogLimits = DEFAULT_LOG_LIMITS, turns: Path | None = None
) -> SqliteStore:
    """Open ``<directory>/<database>.events.db`` and its metrics cache, making what is missing.

    ``log``: how long the write-ahead log of the events may get. Any number of processes may have the same
    files open; those that write much do so in turns, by a pipe in the directory ``turns``. Raises
    `Unavailable`, with what to do, where the directory cannot be made, or a file is not a database or made
    by a later Cube.
    """
    return await asyncio.to_thread(_open, directory, database, log, turns)


class SqliteStore:
    """A `Store` on two SQLite files of one machine; made by `open_store`."""

    events: SqliteEvents
    metrics: SqliteMetrics
    names: SqliteNames
    boards: SqliteTexts
    definitions: SqliteTexts
    deletions: SqliteDeletions
    reports: SqliteReports
    field_indexes: SqliteFieldIndexes

    def __init__(
        self,
        writer: Writer,
        readers: ReaderPool,
        commits: CommitWatch,
        metrics: SqliteMetrics,
        reports: SqliteReports,
        identity: str,
    ) -> None:
        self.identity = identity
        self.events = SqliteEvents(writer, readers, commits)
        self.metrics = metrics
        self.names = SqliteNames(writer, readers)
        self.boards = SqliteTexts(writer, readers, "board")
        self.definitions = SqliteTexts(writer, readers, "definition")
        self.deletions = SqliteDeletions(writer, readers)
        self.reports = reports
        self.field_indexes = SqliteFieldIndexes(writer, readers)
        self._writer = writer
        self._readers = readers
        self._commits = commits

    async def ping(self) -> None:
        """Read the file again, past all that is kept in memory; raise `Unavailable` where that fails."""
        await asyncio.wrap_future(self._readers.read_anew(_read_latest))

    async def probe(self) -> None:
        await self._writer.write(lambda: _write_probe)

    async def close(self) -> None:
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._readers.close()
        self._commits.close()
        self._writer.close()
        self.metrics.close()


def _open(directory: Path | str, database: str, log: LogLimits, turns: Path | None) -> SqliteStore:
    directory = Path(directory).absolute()
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise Unavailable(
            f"This Python has SQLite {sqlite3.sqlite_version}; needed is"
            f" {'.'.join(map(str, OLDEST_SQLITE))} or later: use another Python, or a MongoDB."
        )
    try:
        files.make_directory(directory)
    except OSError as error:
        raise Unavailable(
            f"The directory {directory} cannot be made ({error.strerror}):"
            " choose another, or let this user write there."
        ) from error
    path = directory / f"{database}.events.db"
    with answering(path):
        connection = connect(path, synchronous="FULL", cache_bytes=_WRITER_CACHE_BYTES)
        try:
            catalog.prepare(connection, path)
            identity = catalog.cache_id(connection)
            watch = watch_of(path)
            in_turns = None if turns is None else Turns(turns / f"{database}.turns")
            writer = Writer(connection, path, watch, log, in_turns)
            watching = connect(path, synchronous="FULL", cache_bytes=_WATCH_CACHE_BYTES, busy_seconds=0)
        except BaseException:
            connection.close()
            raise
    opening = partial(connect, path, synchronous="FULL", cache_bytes=_READER_CACHE_BYTES)
    readers = ReaderPool(path, opening, watch, log)
    metrics = SqliteMetrics(directory / f"{database}.metrics.db", identity, watch)
    reports = SqliteReports(directory / f"{database}.daemons")
    commits = CommitWatch(watching, watch)
    return SqliteStore(writer, readers, commits, metrics, reports, identity.hex())


def _read_latest(connection: sqlite3.Connection) -> None:
    """Read the header, the catalog and the newest page of some types."""
    for type in catalog.names(connection)[:_PING_TYPES]:
        entry = catalog.find(connection, type)
        if entry is not None:
            connection.execute(f"SELECT * FROM {entry.events} ORDER BY time DESC, id DESC LIMIT 1").fetchall()  # noqa: S608 - our table
            connection.execute(f"SELECT * FROM {entry.packs} ORDER BY number DESC LIMIT 1").fetchall()  # noqa: S608 - our table


def _write_probe(connection: sqlite3.Connection) -> None:
    """Rewrite the one row of the table ``probe``, in a write transaction."""
    connection.execute(_PROBE)
    connection.execute(
        "INSERT OR REPLACE INTO probe VALUES ('writer', ?, zeroblob(?))",
        (time.time_ns() // 10**6, _PROBE_BYTES),
    )
