"""Connections that read, and the threads that they read in."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from cube.errors import Unavailable
from cube.files import Presence
from cube.store.sqlite.database import answering
from cube.store.sqlite.snapshots import Snapshots

T = TypeVar("T")

THREADS = 4
KEPT = 8


class Readers:
    """Lends connections to one file, and runs what they read in `THREADS` threads.

    At most `KEPT` idle connections stay open. How many are lent is not bounded here: a query that
    holds one and waits for another could wait forever.
    """

    def __init__(
        self,
        path: Path,
        connect: Callable[[], sqlite3.Connection],
        presence: Presence,
        snapshots: Snapshots,
    ) -> None:
        self.snapshots = snapshots
        self._path = path
        self._connect = connect
        self._presence = presence
        self._idle: deque[sqlite3.Connection] = deque()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="cube-reader")
        self._closed = False

    def lend(self) -> Lease:
        """Lend a connection; where none is idle, the first read opens one."""
        return Lease(self)

    def close(self) -> None:
        """Wait for the reads that run, and close all connections; blocks."""
        self._closed = True
        self._threads.shutdown(cancel_futures=True)
        self.snapshots.close()
        self._close_idle(kept=0)

    def submit(self, read: Callable[[], T]) -> Future[T]:
        """Run a read in a thread, its errors translated."""
        if self._closed:
            raise Unavailable(f"The database {self._path.name} is closed; open the store again.")
        return self._threads.submit(self._answer, read)

    def take(self) -> sqlite3.Connection:
        """Return a connection to the file at the path; in the thread that reads."""
        self._presence.check()
        try:
            return self._idle.pop()
        except IndexError:
            return self._connected()

    def give_back(self, connection: sqlite3.Connection) -> None:
        """End a connection's transaction, and keep it or close it; from any thread."""
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        except sqlite3.Error:
            connection.close()  # it cannot be trusted to have released its snapshot
            return
        self._idle.append(connection)
        self._close_idle(kept=0 if self._closed else KEPT)

    def read_anew(self, read: Callable[[sqlite3.Connection], None]) -> Future[None]:
        """Run a read on a connection of its own, which remembers no page of the file."""

        def run() -> None:
            self._presence.check()
            connection = self._connected()
            try:
                read(connection)
            finally:
                connection.close()

        return self.submit(run)

    def _connected(self) -> sqlite3.Connection:
        connection = self._connect()
        try:
            self._presence.check()  # or it is a connection to another file
        except Unavailable:
            connection.close()
            raise
        return connection

    def _answer(self, read: Callable[[], T]) -> T:
        with answering(self._path):
            return read()

    def _close_idle(self, kept: int) -> None:
        while len(self._idle) > kept:
            try:
                connection = self._idle.popleft()
            except IndexError:  # another thread was faster
                return
            connection.close()


class Lease:
    """A connection lent to one user, who makes one call at a time.

    All its reads are of one snapshot, taken by the first of them. One that was given up, because the log
    could not restart for it, is read no more: every further call raises `Unavailable`.
    """

    def __init__(self, readers: Readers) -> None:
        self.since = 0.0
        self._readers = readers
        self._connection: sqlite3.Connection | None = None
        self._running: Future[None] | None = None
        self._ended = False
        self._given_up = False
        self._reading = threading.Lock()
        self._letting_go = threading.Lock()

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

    def give_up(self) -> None:
        """Release the snapshot though its user has not ended; see `cube.store.sqlite.snapshots`."""
        self._given_up = True
        if self._reading.acquire(blocking=False):
            try:
                self._release()
            finally:
                self._reading.release()
        else:
            self._interrupt()

    def _read(self, read: Callable[[sqlite3.Connection], T]) -> T:
        with self._reading:
            self._refuse_given_up()
            try:
                return read(self._begun())
            except sqlite3.OperationalError:
                self._refuse_given_up()
                raise
            finally:
                if self._given_up:
                    self._release()

    def _refuse_given_up(self) -> None:
        if self._given_up:
            raise Unavailable(
                "So much was written while the query read that its view of the database had to be given up:"
                " ask again, or for a shorter span of time."
            )

    def _begun(self) -> sqlite3.Connection:
        if self._connection is None:
            connection = self._readers.take()
            self._connection = connection
            self.since = time.monotonic()
            self._readers.snapshots.add(self)
            connection.execute("BEGIN")
        return self._connection

    def _interrupt(self) -> None:
        with self._letting_go:  # or it might be another's by now
            if self._connection is not None:
                self._connection.interrupt()

    def _release(self, _: object = None) -> None:
        with self._letting_go:
            connection, self._connection = self._connection, None
        if connection is not None:
            self._readers.snapshots.remove(self)
            self._readers.give_back(connection)
