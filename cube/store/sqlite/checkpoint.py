"""Keeping the write-ahead log short."""

from __future__ import annotations

import logging
import math
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from cube.store.sqlite.database import BUSY_TIMEOUT_SECONDS

CHECKPOINT_PAGES = 4_000  # 32 MiB: fewer checkpoints write each hot page less often

_PATIENCE_SECONDS = 1.0  # beyond the bound, where no snapshot of ours lasts for long
_STEPS = 16
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LogBounds:
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

    def lasting(self, length: int) -> float:
        """Return for how many seconds a snapshot may last while the log has a length."""
        if length <= self.begin:
            return math.inf
        if length <= (self.begin + self.bytes) // 2:
            return self.seconds
        return self.seconds / 4 if length <= self.bytes else self.seconds / 16


USUAL = LogBounds()


class Checkpoint:
    """Forces the log back to its start where readers keep it from that.

    SQLite copies the log into the database every `CHECKPOINT_PAGES`, but restarts the log only
    at a moment when no reader uses it; under overlapping queries that may never come. So beyond a part
    of the bound the writer waits for those that read already, and for those that begin before all is copied;
    later ones need the log no more. Ours end in time (see `snapshots`). Where another program holds
    on, such as one that makes a backup, the log has to grow: then the writer tries again each time that the
    log has grown by a part of its bound, and beyond that it waits for a second at most.
    """

    def __init__(self, path: Path, bounds: LogBounds = USUAL) -> None:
        self._file = Path(f"{path}-wal")
        self._bounds = bounds
        self._next = bounds.begin

    def prepare(self, connection: sqlite3.Connection) -> None:
        """Set up the connection that writes."""
        connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        connection.execute(f"PRAGMA journal_size_limit = {self._bounds.bytes // 4}")

    def after_commit(self, connection: sqlite3.Connection) -> None:
        """Look at the log's length; what fails here is logged, and tried again."""
        try:
            length = self._file.stat().st_size
            if length > self._next:
                self._restart(connection, length)
        except FileNotFoundError:
            return  # `cube.store.sqlite.presence` tells of it
        except (OSError, sqlite3.Error) as error:
            _log.warning("The log %s could not be cut: %s", self._file, error)

    def _restart(self, connection: sqlite3.Connection, length: int) -> None:
        patience = self._patience(length)
        connection.execute(f"PRAGMA busy_timeout = {int(patience * 1000)}")
        try:
            (busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            connection.execute(f"PRAGMA busy_timeout = {int(BUSY_TIMEOUT_SECONDS * 1000)}")
        if not busy:
            self._next = self._bounds.begin
            return
        if length > self._bounds.bytes:
            _log.warning("the log %s has %d bytes: another program reads the database for long",
                         self._file, length)  # fmt: skip
        self._next = length + self._bounds.bytes // _STEPS

    def _patience(self, length: int) -> float:
        """Return how long to wait: for those who read, and for those who begin until all is copied."""
        if length > self._bounds.bytes:
            return _PATIENCE_SECONDS
        return 2 * self._bounds.lasting(length) + _PATIENCE_SECONDS
