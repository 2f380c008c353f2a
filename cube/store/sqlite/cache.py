"""The file of cached metrics, which is thrown away and recreated at will, and the form of the chunks in it.

A chunk is one blob that proves itself. Little-endian: the number n of buckets (uint32), then their n
offsets in the chunk (uint32, in buckets), n revisions (int64), n lengths (uint32), the n contents, and last
a CRC-32 over the chunk's key and all that came before.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import zlib
from collections.abc import Callable, Mapping
from functools import partial
from itertools import accumulate, pairwise
from pathlib import Path
from typing import TypeVar

import numpy as np

from cube.store.metric_ports import CachedBucket
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


_CRC_BYTES = 4
_COUNT_BYTES = 4
_BUCKET_BYTES = 16
_OFFSET, _REVISION = np.dtype("<u4"), np.dtype("<i8")

_cached = partial(tuple.__new__, CachedBucket)  # what CachedBucket(...) does, without a Python frame each


class MetricsFile:
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
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None and _inode(self._path) != self._inode:
            self.close()
        if self._connection is None:
            self._inode = 0
            self._connection = self._connect()
            row = self._connection.execute("SELECT value FROM facts WHERE name = 'events'").fetchone()
            if row is None or bytes(row[0]) != self._identity:
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


def pack(key: bytes, buckets: Mapping[int, CachedBucket]) -> bytes:
    """Pack the cached buckets of a chunk, by their offset in it."""
    contents = [cached.content for cached in buckets.values()]
    parts = (
        len(buckets).to_bytes(_COUNT_BYTES, "little"),
        np.fromiter(buckets, _OFFSET, len(buckets)).tobytes(),
        np.fromiter((cached.revision for cached in buckets.values()), _REVISION, len(buckets)).tobytes(),
        np.fromiter(map(len, contents), _OFFSET, len(buckets)).tobytes(),
        *contents,
    )
    blob = b"".join(parts)
    return blob + _crc(key, blob)


def unpack(key: bytes, blob: bytes) -> dict[int, CachedBucket] | None:
    """Return the cached buckets by offset; None where the blob is not what `pack` made for this key."""
    body, crc = blob[:-_CRC_BYTES], blob[-_CRC_BYTES:]
    if len(body) < _COUNT_BYTES or crc != _crc(key, body):
        return None
    count = int.from_bytes(body[:_COUNT_BYTES], "little")
    offsets = np.frombuffer(body, _OFFSET, count, _COUNT_BYTES).tolist()
    revisions = np.frombuffer(body, _REVISION, count, _COUNT_BYTES + 4 * count).tolist()
    lengths = np.frombuffer(body, _OFFSET, count, _COUNT_BYTES + 12 * count).tolist()
    ends = list(accumulate(lengths, initial=_COUNT_BYTES + _BUCKET_BYTES * count))
    contents = [body[start:stop] for start, stop in pairwise(ends)]
    return dict(zip(offsets, map(_cached, zip(revisions, contents, strict=True)), strict=True))


def _crc(key: bytes, body: bytes) -> bytes:
    return zlib.crc32(body, zlib.crc32(key)).to_bytes(_CRC_BYTES, "little")
