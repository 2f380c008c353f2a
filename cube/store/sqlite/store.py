"""One environment's database in a directory: the embedded store."""

from __future__ import annotations

import asyncio
import sqlite3
from functools import partial
from pathlib import Path

from cube import files
from cube.errors import Unavailable
from cube.store.sqlite import catalog, probe
from cube.store.sqlite.checkpoint import USUAL, Checkpoint, LogBounds
from cube.store.sqlite.database import OLDEST_SQLITE, answering, connect
from cube.store.sqlite.events import SqliteEvents
from cube.store.sqlite.metrics import SqliteMetrics
from cube.store.sqlite.names import SqliteNames
from cube.store.sqlite.presence import presence_of
from cube.store.sqlite.readers import Readers
from cube.store.sqlite.snapshots import Snapshots
from cube.store.sqlite.writer import Writer

_WRITER_CACHE_BYTES = 16 * 1024 * 1024  # measured: 64 MiB is not faster; ids and times come nearly in order
_READER_CACHE_BYTES = 8 * 1024 * 1024


async def open_store(directory: Path | str, database: str, *, log: LogBounds = USUAL) -> SqliteStore:
    """Open ``<directory>/<database>.events.db`` and its metrics cache, making what is missing.

    ``log``: how long the write-ahead log of the events may get. Any number of processes may have the same
    files open. Raises `Unavailable`, with what to do, where the directory cannot be made, or a file is not a
    database or made by a later Cube.
    """
    return await asyncio.to_thread(_open, directory, database, log)


class SqliteStore:
    """A `Store` on two SQLite files of one machine; made by `open_store`."""

    events: SqliteEvents
    metrics: SqliteMetrics
    names: SqliteNames

    def __init__(self, writer: Writer, readers: Readers, metrics: SqliteMetrics) -> None:
        self.events = SqliteEvents(writer, readers)
        self.metrics = metrics
        self.names = SqliteNames(writer, readers)
        self._writer = writer
        self._readers = readers

    async def ping(self) -> None:
        """Read the file again, past all that is kept in memory; raise `Unavailable` where that fails."""
        await asyncio.wrap_future(self._readers.read_anew(probe.read))

    async def probe(self) -> None:
        """Write to a table of its own, durably; raise `Unavailable` where that fails."""
        await self._writer.write(lambda: probe.write)

    async def close(self) -> None:
        """Commit what was begun, and close all files."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._readers.close()
        self._writer.close()
        self.metrics.close()


def _open(directory: Path | str, database: str, log: LogBounds) -> SqliteStore:
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
    checkpoint = Checkpoint(path, log)
    with answering(path):
        connection = connect(path, synchronous="FULL", cache_bytes=_WRITER_CACHE_BYTES)
        try:
            catalog.prepare(connection, path)
            checkpoint.prepare(connection)
            identity = catalog.cache_id(connection)
            presence = presence_of(path)
        except BaseException:
            connection.close()
            raise
    opening = partial(connect, path, synchronous="FULL", cache_bytes=_READER_CACHE_BYTES)
    readers = Readers(path, opening, presence, Snapshots(path, log))
    writer = Writer(connection, path, presence, checkpoint.after_commit)
    metrics = SqliteMetrics(directory / f"{database}.metrics.db", identity, presence)
    return SqliteStore(writer, readers, metrics)
