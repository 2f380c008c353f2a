"""Keeping the write-ahead log of the events file short, whoever reads meanwhile."""

from __future__ import annotations

import logging
import sqlite3
import time
from pathlib import Path

from cube.store.sqlite.database import BUSY_TIMEOUT_SECONDS, LogLimits

CHECKPOINT_PAGES = 4_000  # 32 MiB: fewer checkpoints write each hot page less often

_WAIT_SECONDS = 1.0  # beyond the limit, where no snapshot of ours lasts for long
_STEPS = 16
_TRY_SECONDS = 0.2  # SQLite waits for a reader's place, which later readers take over: so it has to look anew
_log = logging.getLogger(__name__)


class Checkpoint:
    """Forces the log back to its start where readers keep it from that.

    SQLite copies the log into the database every `CHECKPOINT_PAGES`, but restarts the log only
    at a moment when no reader uses it; under overlapping queries that may never come. So beyond a part
    of the limit the writer waits for those that read already, and for those that begin before all is copied;
    later ones need the log no more. Ours end in time (`SnapshotReaper`). Where another program holds
    on, such as one that makes a backup, the log has to grow: then the writer tries again each time that the
    log has grown by a part of its limit, and beyond that it waits for a second at most.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path, limits: LogLimits) -> None:
        self._connection = connection
        self._file = Path(f"{path}-wal")
        self._limits = limits
        self._next = limits.begin
        connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        connection.execute(f"PRAGMA journal_size_limit = {limits.bytes // 4}")

    def after_commit(self) -> None:
        """Look at the log's length; what fails here is logged, and tried again."""
        try:
            length = self._file.stat().st_size
            if length > self._next:
                self._restart(length)
        except FileNotFoundError:
            return  # the file watch reports it
        except (OSError, sqlite3.Error) as error:
            _log.warning("The log %s could not be cut: %s", self._file, error)

    def _restart(self, length: int) -> None:
        """Wait for those who read, and for those who begin until all is copied; then begin the log anew."""
        seconds = _WAIT_SECONDS
        if length <= self._limits.bytes:
            seconds += 2 * self._limits.snapshot_seconds(length)
        deadline = time.monotonic() + seconds
        self._connection.execute(f"PRAGMA busy_timeout = {int(_TRY_SECONDS * 1000)}")
        try:
            busy = True
            while busy and time.monotonic() < deadline:
                (busy, _, _) = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            self._connection.execute(f"PRAGMA busy_timeout = {int(BUSY_TIMEOUT_SECONDS * 1000)}")
        if not busy:
            self._next = self._limits.begin
            return
        if length > self._limits.bytes:
            _log.warning("the log %s has %d bytes: another program reads the database for long",
                         self._file, length)  # fmt: skip
        self._next = length + self._limits.bytes // _STEPS
