"""The one thread of a process that writes to the events file."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeAlias

from cube.errors import CubeError, Unavailable
from cube.files import Presence
from cube.store.sqlite.database import answering, immediate

GROUP_EVENTS = 10_000  # bounds how long a commit holds the lock that all processes share, and its log

Write: TypeAlias = Callable[[sqlite3.Connection], None]
"""Runs in a write transaction; raises a `CubeError` only before it has written anything."""


@dataclass(frozen=True, slots=True)
class Job:
    """One caller's write. ``prepare`` runs in the thread before the transaction begins."""

    prepare: Callable[[], Write]
    weight: int
    future: asyncio.Future[None]


class Writer:
    """Runs writes one after another; those that wait together share a transaction and its fsync.

    The failure of one does not fail the others, and a caller that goes away cancels nothing. The
    connection belongs to the writer from here on.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path,
        presence: Presence,
        after: Callable[[sqlite3.Connection], None],
    ) -> None:
        self._connection = connection
        self._path = path
        self._presence = presence
        self._after = after
        self._waiting: SimpleQueue[Job | None] = SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="cube-writer", daemon=True)
        self._thread.start()

    async def write(self, prepare: Callable[[], Write], weight: int = 1) -> None:
        """Commit one write durably; ``weight`` is about how many rows it has."""
        if self._closed:
            raise Unavailable(f"The database {self._path.name} is closed; open the store again.")
        future = asyncio.get_running_loop().create_future()
        self._waiting.put(Job(prepare, weight, future))
        await future

    def close(self) -> None:
        """Finish what was begun, then close the connection; blocks, and may be called twice."""
        if not self._closed:
            self._closed = True
            self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        open_ = True
        while open_:
            group, open_ = self._next_group()
            if group:
                self._commit(group)
                self._after(self._connection)
        self._connection.close()

    def _next_group(self) -> tuple[list[Job], bool]:
        job = self._waiting.get()
        group: list[Job] = []
        weight = 0
        while job is not None:
            group.append(job)
            weight += job.weight
            if weight >= GROUP_EVENTS:
                return group, True
            try:
                job = self._waiting.get_nowait()
            except Empty:
                return group, True
        return group, False

    def _commit(self, group: Sequence[Job]) -> None:
        """Write a group; where it breaks for no reason of the store's, each of it alone."""
        try:
            outcomes = self._write_together(group)
        except Unavailable as error:
            outcomes = [error] * len(group)
        except Exception as error:  # whatever it is, the one that caused it is told
            if len(group) > 1:
                for job in group:
                    self._commit([job])
                return
            outcomes = [error]
        _settle(group, outcomes)

    def _write_together(self, group: Sequence[Job]) -> list[Exception | None]:
        writes = [job.prepare() for job in group]
        self._presence.check()
        with answering(self._path), immediate(self._connection):
            outcomes: list[Exception | None] = [_refusal(write, self._connection) for write in writes]
        self._presence.check()  # deleted meanwhile, what was committed is lost with the file
        return outcomes


def _refusal(write: Write, connection: sqlite3.Connection) -> CubeError | None:
    try:
        write(connection)
    except CubeError as error:
        return error
    return None


def _settle(group: Sequence[Job], outcomes: Sequence[Exception | None]) -> None:
    settled: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[None], Any]]] = {}
    for job, outcome in zip(group, outcomes, strict=True):
        settled.setdefault(job.future.get_loop(), []).append((job.future, outcome))
    for loop, pairs in settled.items():
        with suppress(RuntimeError):  # the loop was closed: nobody waits any more
            loop.call_soon_threadsafe(_answer, pairs)


def _answer(pairs: Sequence[tuple[asyncio.Future[None], Exception | None]]) -> None:
    for future, outcome in pairs:
        if future.done():  # its caller went away
            continue
        if outcome is None:
            future.set_result(None)
        else:
            future.set_exception(outcome)
