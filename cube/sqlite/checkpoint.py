"""Keeping the write-ahead log short."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from cube.sqlite.database import BUSY_TIMEOUT_SECONDS

CHECKPOINT_PAGES = 4_000  # 32 MiB: fewer checkpoints write each hot page less often
LIMIT_BYTES = 256 * 1024 * 1024

_PATIENCE_MILLISECONDS = 100
_COMMITS_BETWEEN = 100


class Checkpoint:
    """Ends each commit: forces the log back to its start where readers keep it from that.

    SQLite copies the log into the database every `CHECKPOINT_PAGES`, but begins the log anew only
    at a moment when no reader uses it; under overlapping queries that may never come. Beyond
    `LIMIT_BYTES` the writer waits for the readers, briefly, and tries again later.
    """

    def __init__(self, path: Path) -> None:
        self._log = Path(f"{path}-wal")
        self._commits = 0

    def after_commit(self, connection: sqlite3.Connection) -> None:
        """Look at the log's length every so many commits."""
        if self._commits == 0:
            connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
            connection.execute(f"PRAGMA journal_size_limit = {LIMIT_BYTES // 4}")
        self._commits += 1
        if self._commits % _COMMITS_BETWEEN == 0 and self._log.stat().st_size > LIMIT_BYTES:
            _restart(connection)


def _restart(connection: sqlite3.Connection) -> None:
    """Wait for readers and truncate the log; when they take too long, it is left for later."""
    connection.execute(f"PRAGMA busy_timeout = {_PATIENCE_MILLISECONDS}")
    try:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    finally:
        connection.execute(f"PRAGMA busy_timeout = {int(BUSY_TIMEOUT_SECONDS * 1000)}")
