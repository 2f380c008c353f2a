"""Connections that read, and the threads that they read in."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from cube.errors import Unavailable
from cube.sqlite.database import answering

T = TypeVar("T")

THREADS = 4
KEPT = 8


class Readers:
    """Lends connections to one file, and runs what they read in `THREADS` threads.

    At most `KEPT` idle connections stay open. How many are lent is not bounded here: a query that
    holds one and waits for another could wait for ever.
    """

    def __init__(self, path: Path, connect: Callable[[], sqlite3.Connection]) -> None:
        self._path = path
        self._connect = connect
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
        self._close_idle(kept=0)

    def submit(self, read: Callable[[], T]) -> Future[T]:
        """Run a read in a thread, its errors translated."""
        if self._closed:
            raise Unavailable(f"The database {self._path.name} is closed; open the store again.")
        return self._threads.submit(self._answer, read)

    def take(self) -> sqlite3.Connection:
        """Return a connection; in the thread that reads."""
        try:
            return self._idle.pop()
        except IndexError:
            return self._connect()

    def give_back(self, connection: sqlite3.Connection) -> None:
        """End a connection's transaction, and keep it or close it; from any thread."""
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        except sqlite3.Error:
            connection.close()  # it cannot be trusted to have let go of its snapshot
            return
        self._idle.append(connection)
        self._close_idle(kept=0 if self._closed else KEPT)

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

    All its reads are of one snapshot, taken by the first of them.
    """

    def __init__(self, readers: Readers) -> None:
        self._readers = readers
        self._connection: sqlite3.Connection | None = None
        self._running: Future[None] | None = None
        self._ended = False

    async def run(self, read: Callable[[sqlite3.Connection], T]) -> T:
        """Run a read in a thread; where its caller goes away, it stops when the lease ends."""
        if self._ended:
            raise RuntimeError("a read session was used after its end")
        outcome: list[T] = []
        self._running = self._readers.submit(lambda: outcome.append(read(self._begun())))
        await asyncio.wrap_future(self._running)
        return outcome[0]

    def end(self) -> None:
        """Let go of the snapshot: at once, or as soon as the interrupted read has stopped."""
        self._ended = True
        if self._running is None:
            return
        if self._connection is not None and self._running.running():
            self._connection.interrupt()
        self._running.add_done_callback(self._release)

    def _begun(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = self._readers.take()
            self._connection.execute("BEGIN")
        return self._connection

    def _release(self, _: object) -> None:
        if self._connection is not None:
            self._readers.give_back(self._connection)
            self._connection = None
