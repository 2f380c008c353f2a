"""Connections that read, the threads that they read in, and the snapshots that they hold."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from cube.errors import Unavailable
from cube.files import FileWatch
from cube.store.sqlite.database import LogLimits, answering

T = TypeVar("T")

THREADS = 4
KEPT = 16
"""As many as an evaluator's questions look up revisions at once: to open one takes milliseconds."""
WARM = 2  # of the idle ones keep the pages that they have read: megabytes each, which nobody counts
REAP_SECONDS = 0.1
"""How often the ages of snapshots are looked at, while there are any."""


class ReaderPool:
    """Leases connections to one file, and runs what they read in `THREADS` threads.

    At most `KEPT` idle connections stay open. How many are leased is not bounded here: a query that
    holds one and waits for another could wait forever.
    """

    def __init__(
        self, path: Path, connect: Callable[[], sqlite3.Connection], watch: FileWatch, log: LogLimits
    ) -> None:
        self.reaper = SnapshotReaper(path, log)
        self._path = path
        self._connect = connect
        self._watch = watch
        self._warm: deque[sqlite3.Connection] = deque()
        self._idle: deque[sqlite3.Connection] = deque()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="cube-reader")
        self._closed = False

    @contextmanager
    def lease(self) -> Iterator[Lease]:
        """Lease a connection for a block; where none is idle, the first read opens one."""
        lease = Lease(self)
        try:
            yield lease
        finally:
            lease.end()

    async def read(self, read: Callable[[sqlite3.Connection], T]) -> T:
        """Run one read, on a lease of its own."""
        with self.lease() as lease:
            return await lease.run(read)

    def close(self) -> None:
        """Wait for the reads that run, and close all connections; blocks."""
        self._closed = True
        self._threads.shutdown(cancel_futures=True)
        self.reaper.close()
        self._close_idle(kept=0)

    def submit(self, read: Callable[[], T]) -> Future[T]:
        """Run a read in a thread, its errors translated."""
        if self._closed:
            raise Unavailable(f"The database {self._path.name} is closed; open the store again.")

        def answer() -> T:
            with answering(self._path):
                return read()

        return self._threads.submit(answer)

    def take(self) -> sqlite3.Connection:
        """Return a connection to the file at the path; in the thread that reads."""
        self._watch.check()
        for idle in (self._warm, self._idle):
            with suppress(IndexError):
                return idle.pop()
        return self._connected()

    def give_back(self, connection: sqlite3.Connection) -> None:
        """End a connection's transaction, and keep it or close it; from any thread."""
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            is_warm = len(self._warm) < WARM  # or one more, where threads meet
            if not is_warm:
                connection.execute("PRAGMA shrink_memory")
        except sqlite3.Error:
            connection.close()  # it cannot be trusted to have released its snapshot
            return
        (self._warm if is_warm else self._idle).append(connection)
        self._close_idle(kept=0 if self._closed else KEPT)

    def read_anew(self, read: Callable[[sqlite3.Connection], None]) -> Future[None]:
        """Run a read on a connection of its own, which remembers no page of the file."""

        def run() -> None:
            self._watch.check()
            connection = self._connected()
            try:
                read(connection)
            finally:
                connection.close()

        return self.submit(run)

    def _connected(self) -> sqlite3.Connection:
        connection = self._connect()
        try:
            self._watch.check()  # or it is a connection to another file
        except Unavailable:
            connection.close()
            raise
        return connection

    def _close_idle(self, kept: int) -> None:
        while len(self._warm) + len(self._idle) > kept:
            try:
                connection = (self._idle or self._warm).popleft()
            except IndexError:  # another thread was faster
                return
            connection.close()


class Lease:
    """A connection leased to one user, who makes one call at a time.

    All its reads are of one snapshot, taken by the first of them. One that was revoked, because the log
    could not restart for it, is read no more: every further call raises `Unavailable`.
    """

    def __init__(self, readers: ReaderPool) -> None:
        self.since = 0.0
        self._readers = readers
        self._connection: sqlite3.Connection | None = None
        self._running: Future[None] | None = None
        self._ended = False
        self._revoked = False
        self._reading = threading.Lock()
        self._releasing = threading.Lock()

    async def run(self, read: Callable[[sqlite3.Connection], T]) -> T:
        """Run a read in a thread; where its caller goes away, it stops when the lease ends."""
        if self._ended:
            raise RuntimeError("a read session was used after its end")
        outcome: list[T] = []
        self._running = self._readers.submit(lambda: outcome.append(self._read(read)))
        await asyncio.wrap_future(self._running)
        return outcome[0]

    def end(self) -> None:
        """Release the snapshot: at once, or as soon as the interrupted read has stopped."""
        self._ended = True
        if self._running is None:
            return
        if self._running.running():
            self._interrupt()
        self._running.add_done_callback(self._release)

    def revoke(self) -> None:
        """Release the snapshot though its user has not ended; from any thread, and as often as one likes."""
        self._revoked = True
        if self._reading.acquire(blocking=False):
            try:
                self._release()
            finally:
                self._reading.release()
        else:
            self._interrupt()

    def _read(self, read: Callable[[sqlite3.Connection], T]) -> T:
        with self._reading:
            self._refuse_revoked()
            try:
                return read(self._begun())
            except sqlite3.OperationalError:
                self._refuse_revoked()
                raise
            finally:
                if self._revoked:
                    self._release()

    def _refuse_revoked(self) -> None:
        if self._revoked:
            raise Unavailable(
                "So much was written while the query read that its view of the database had to be given up:"
                " ask again, or for a shorter span of time."
            )

    def _begun(self) -> sqlite3.Connection:
        if self._connection is None:
            connection = self._readers.take()
            self._connection = connection
            self.since = time.monotonic()
            self._readers.reaper.add(self)
            connection.execute("BEGIN")
        return self._connection

    def _interrupt(self) -> None:
        with self._releasing:  # or it might be another's by now
            if self._connection is not None:
                self._connection.interrupt()

    def _release(self, _: object = None) -> None:
        with self._releasing:
            connection, self._connection = self._connection, None
        if connection is not None:
            self._readers.reaper.remove(self)
            self._readers.give_back(connection)


class CommitWatch:
    """Tells whether anybody has committed to a file: on a connection that is used for nothing else.

    The number of ``PRAGMA data_version`` differs from an earlier one of the same connection wherever another
    connection, of any process, has committed in between (https://www.sqlite.org/pragma.html#pragma_data_version).
    It is read from memory that the processes share, and waits for nobody. For one thread at a time.
    """

    def __init__(self, connection: sqlite3.Connection, watch: FileWatch) -> None:
        self._connection: sqlite3.Connection | None = connection
        self._watch = watch

    def version(self) -> int | None:
        """Return the version of the file at the path; None where it can not be told at once."""
        if self._connection is None or not self._watch.holds():
            return None
        with suppress(sqlite3.Error):  # whoever reads the file meets the same, and says so
            ((version,),) = self._connection.execute("PRAGMA data_version").fetchall()
            return int(version)
        return None

    def close(self) -> None:
        """Close the connection; from then on no version is told."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


class SnapshotReaper:
    """Revokes the snapshots for which the log cannot restart; its thread runs once there is one.

    Where the log is long, those older than the limits allow are revoked: each keeps all that was written
    since it was taken in the log.
    """

    def __init__(self, path: Path, limits: LogLimits) -> None:
        self._file = Path(f"{path}-wal")
        self._limits = limits
        self._held: set[Lease] = set()
        self._changed = threading.Condition()
        self._closed = False
        self._thread: threading.Thread | None = None

    def add(self, lease: Lease) -> None:
        with self._changed:
            self._held.add(lease)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="cube-snapshots", daemon=True)
                self._thread.start()
            elif len(self._held) == 1:
                self._changed.notify()

    def remove(self, lease: Lease) -> None:
        with self._changed:
            self._held.discard(lease)

    def close(self) -> None:
        """End the thread; blocks."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._held)
                if self._closed:
                    return
                self._changed.wait(REAP_SECONDS)
                held = list(self._held)
            try:
                length = self._file.stat().st_size
            except OSError:
                continue
            begun = time.monotonic() - self._limits.snapshot_seconds(length)
            for lease in held:
                if lease.since < begun:
                    lease.revoke()
