"""Events that wait on disk to be sent, in one SQLite file that several processes may share.

They are there until the collector has stored them, whatever becomes of the process or of the network. Of all
processes on one file one sends (it has a lock on a second file), and another when that one ends.
"""

from __future__ import annotations

import fcntl
import logging
import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from cube.client.waiting import Batching, TakenBatch
from cube.files import make_directory, make_file

PAGE_BYTES = 4_096
LOOK_SECONDS = 0.5
"""How often it is looked whether other processes have left something to send."""

_DAMAGES = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)
_TABLE = "create table if not exists waiting (number integer primary key autoincrement, event blob not null)"
_MARK = "select user_version from pragma_user_version"
"""A number that each file gets by chance."""

_FORGET = f"delete from waiting where number <= ? and ({_MARK}) = ?"  # noqa: S608 - our own text
_log = logging.getLogger(__name__)
T = TypeVar("T")


class BufferFull(Exception):
    """The file may grow no more, or the disk is full."""


class DiskBuffer:
    """Events in the file at ``path`` of about ``most_bytes`` at most; for the threads of one emitter.

    The commits are synchronous but for the last moment (WAL, ``synchronous=NORMAL``): a power cut may take
    that, the end of a process nothing. A file that is damaged is set aside, with a line in the log. Raises
    `OSError` or `sqlite3.Error` where there can be none.
    """

    def __init__(self, path: Path, most_bytes: int, limits: Batching) -> None:
        self.path = path
        self._most_pages = max(16, most_bytes // PAGE_BYTES)
        self._limits = limits
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._connection: sqlite3.Connection | None = None
        self._node: int | None = None  # of the file that it is on
        self._sending: int | None = None  # the file whose lock says who sends
        self._stopped = False
        make_directory(path.parent)
        make_file(path)
        self._done(lambda _: None)

    def __len__(self) -> int:
        return self._done(lambda file: int(file.execute("select count(*) from waiting").fetchone()[0]))

    def append(self, texts: Sequence[bytes]) -> None:
        """Keep events; raises `BufferFull` and then keeps none of them."""

        def insert(file: sqlite3.Connection) -> None:
            file.execute("begin immediate")
            try:
                file.executemany("insert into waiting (event) values (?)", ((text,) for text in texts))
                file.execute("commit")
            except BaseException:
                file.execute("rollback") if file.in_transaction else None
                raise

        self._done(insert)
        with self._changed:
            self._changed.notify_all()

    def take(self) -> TakenBatch | None:
        """Wait for the oldest events, and return them; None when nothing is given any more."""
        with self._changed:
            while not self._stopped:
                batch = self._oldest() if self._may_send() else None
                if batch is not None:
                    return batch
                self._changed.wait(LOOK_SECONDS)
        return None

    def settle(self, batch: TakenBatch) -> None:
        """Forget a batch that was taken; none where the file was replaced since, and has other numbers."""
        self._done(lambda file: file.execute(_FORGET, (batch.last, batch.file)))
        with self._changed:
            self._changed.notify_all()

    def flush(self, seconds: float | None) -> bool:
        """Wait until what is kept now is sent, by whichever process, at most so long; tell whether it is."""
        until = None if seconds is None else time.monotonic() + seconds
        last = self._done(lambda file: file.execute("select max(number) from waiting").fetchone()[0])
        with self._changed:
            while last is not None and self._first() <= last and not self._stopped:
                left = LOOK_SECONDS if until is None else min(LOOK_SECONDS, until - time.monotonic())
                if left <= 0:
                    return False
                self._changed.wait(left)
            return last is None or self._first() > last

    def stop(self) -> None:
        """Give nothing more; what is kept stays for the next one on this file."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def close(self) -> None:
        """Close the files; the next use opens them again."""
        with self._lock:
            self._disconnect()
            if self._sending is not None:
                os.close(self._sending)
                self._sending = None

    def before_fork(self) -> None:
        """SQLite's connections may not be open when a process forks: wait for its turn, and close it."""
        self._lock.acquire()
        self._disconnect()

    def after_fork(self) -> None:
        """Go on, in the process that forked."""
        self._lock.release()

    def forget(self) -> None:
        """Give back, in a new process, what it has of the old one's: there the lock stays as it is."""
        if self._sending is not None:
            os.close(self._sending)

    def _done(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with self._lock:
            try:
                return work(self._opened())
            except sqlite3.DatabaseError as error:
                if error.sqlite_errorcode == sqlite3.SQLITE_FULL:
                    raise BufferFull(f"the buffer {self.path} is full") from None
                if error.sqlite_errorcode & 0xFF not in _DAMAGES:  # without what an extended code adds
                    raise
                self._set_aside(error)
                return work(self._opened())

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = self._connect()
        return self._connection

    def _set_aside(self, error: sqlite3.DatabaseError) -> None:
        """Begin a new file, unless another process has: of a damaged one only some pages may be wrong."""
        opened, self._node = self._node, None
        self._disconnect()
        if opened is not None and opened != self.path.stat().st_ino:
            return
        aside = self.path.with_name(f"{self.path.name}.damaged-{time.time_ns()}")
        self.path.rename(aside)
        _log.error("the buffer %s is damaged (%s); it is now %s", self.path, error, aside)
        make_file(self.path)

    def _connect(self) -> sqlite3.Connection:
        self._node = self.path.stat().st_ino
        file = sqlite3.connect(self.path, timeout=30, isolation_level=None, check_same_thread=False)
        try:
            file.execute("pragma journal_mode = wal")
            file.execute("pragma synchronous = normal")
            file.execute(f"pragma max_page_count = {self._most_pages}")
            file.execute(_TABLE)
            if not _mark_of(file):
                _give_mark(file)
        except BaseException:
            file.close()
            raise
        return file

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _may_send(self) -> bool:
        if self._sending is None:
            lock = os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
                return False
            self._sending = lock
        return True

    def _oldest(self) -> TakenBatch | None:
        def read(file: sqlite3.Connection) -> TakenBatch | None:
            texts: list[bytes] = []
            last = size = 0
            rows = file.execute(
                "select number, event from waiting order by number limit ?", (self._limits.events,)
            )
            for number, text in rows:
                if texts and size + len(text) > self._limits.bytes:
                    break
                texts.append(text)
                last, size = number, size + len(text)
            rows.close()
            return TakenBatch(texts, last, _mark_of(file)) if texts else None

        return self._done(read)

    def _first(self) -> int:
        first = self._done(lambda file: file.execute("select min(number) from waiting").fetchone()[0])
        return 2**63 if first is None else int(first)


def _mark_of(file: sqlite3.Connection) -> int:
    mark: int = file.execute(_MARK).fetchone()[0]
    return mark


def _give_mark(file: sqlite3.Connection) -> None:
    """Mark a file, unless another process just has."""
    file.execute("begin immediate")
    try:
        if not _mark_of(file):
            file.execute(f"pragma user_version = {1 + secrets.randbelow(2**31 - 1)}")
        file.execute("commit")
    except BaseException:
        file.execute("rollback") if file.in_transaction else None
        raise
