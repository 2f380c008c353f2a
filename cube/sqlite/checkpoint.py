"""Keeping the write-ahead log short."""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path

from cube.sqlite.database import BUSY_TIMEOUT_SECONDS

CHECKPOINT_PAGES = 4_000  # 32 MiB: fewer checkpoints write each hot page less often

_PATIENCE_SECONDS = 0.1
_LONGEST_PATIENCE_SECONDS = 3.2
_log = logging.getLogger(__name__)


class Checkpoint:
    """Forces the log back to its start where readers keep it from that.

    SQLite copies the log into the database every `CHECKPOINT_PAGES`, but begins the log anew only
    at a moment when no reader uses it; under overlapping queries that may never come. Beyond
    ``limit_bytes`` the writer waits for those that read already (later ones need the log no more): a
    tenth of a second, and twice as long each time that it failed, ``commits`` later.
    """

    def __init__(self, path: Path, *, limit_bytes: int = 256 * 1024 * 1024, commits: int = 100) -> None:
        self._file = Path(f"{path}-wal")
        self._limit_bytes = limit_bytes
        self._commits = commits
        self._count = 0
        self._patience_seconds = _PATIENCE_SECONDS

    def prepare(self, connection: sqlite3.Connection) -> None:
        """Set up the connection that writes."""
        connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        connection.execute(f"PRAGMA journal_size_limit = {self._limit_bytes // 4}")

    def after_commit(self, connection: sqlite3.Connection) -> None:
        """Look at the log's length every so many commits; what fails here is logged, and tried again."""
        self._count += 1
        if self._count % self._commits == 0:
            try:
                if self._file.stat().st_size > self._limit_bytes:
                    self._restart(connection)
            except (OSError, sqlite3.Error) as error:
                _log.warning("The log %s could not be cut: %s", self._file, error)

    def _restart(self, connection: sqlite3.Connection) -> None:
        connection.execute(f"PRAGMA busy_timeout = {int(self._patience_seconds * 1000)}")
        try:
            (busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            connection.execute(f"PRAGMA busy_timeout = {int(BUSY_TIMEOUT_SECONDS * 1000)}")
        longer = min(2 * self._patience_seconds, _LONGEST_PATIENCE_SECONDS)
        self._patience_seconds = longer if busy else _PATIENCE_SECONDS
