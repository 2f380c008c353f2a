"""The one thread of a process that writes to the events file: writes that wait together are one commit."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Protocol, Self, TypeAlias, TypeVar

from cube.errors import CubeError, Unavailable
from cube.files import FileWatch
from cube.store.sqlite.checkpoint import Checkpoint
from cube.store.sqlite.database import LogLimits, answering, immediate
from cube.store.sqlite.turns import Turns

GROUP_EVENTS = 10_000  # bounds how long a commit holds the lock that all processes share, and its log

MOST_AWAITED = 32
"""Events of a commit for whose clients' next ones the next commit waits."""

ANSWER_SECONDS = 30e-6
"""So long for each of them: to commit an event by itself costs more than to wait for it, as long as the
processor is not idle meanwhile. Measured; for processes that wait for each other's turns more is better."""

ANSWER_SECONDS_IN_TURNS = 120e-6

T = TypeVar("T")

Write: TypeAlias = Callable[[sqlite3.Connection], T]
"""Runs in a write transaction; raises a `CubeError` only before it has written anything."""


class ShortWrite(Protocol):
    """A write that others of its kind can be joined to, and that may do without a transaction of ours."""

    @property
    def kind(self) -> str: ...

    def joined(self, others: Sequence[Self]) -> Self:
        """Return what does this one, and then some others of its kind."""

    def at_once(self, connection: sqlite3.Connection) -> bool:
        """Do all of it in one statement, or nothing: then tell False."""

    def prepare(self) -> Write[None]:
        """Make ready to do it in a transaction."""


@dataclass(frozen=True, slots=True)
class WriteJob:
    """One caller's write. ``prepare`` runs in the thread before the transaction begins; ``short``: the same
    write, where it can be joined to others; ``awaits``: for whose clients the next ones may be waited."""

    prepare: Callable[[], Write[Any]]
    weight: int
    future: asyncio.Future[Any]
    short: ShortWrite | None = None
    awaits: bool = False


class Writer:
    """Runs writes one after another; those that wait together share a transaction and its fsync.

    The failure of one does not fail the others, and a caller that goes away cancels nothing. The
    connection and ``turns``, where other processes of this program write as well, belong to the writer from
    here on.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path,
        watch: FileWatch,
        log: LogLimits,
        turns: Turns | None = None,
    ) -> None:
        self._connection = connection
        self._path = path
        self._watch = watch
        self._turns = turns
        self._checkpoint = Checkpoint(connection, path, log)
        self._waiting: SimpleQueue[WriteJob | None] = SimpleQueue()
        self._closed = False
        self._awaited = 0
        self._awaited_until = 0.0
        self._thread = threading.Thread(target=self._run, name="cube-writer", daemon=True)
        self._thread.start()

    async def write(self, prepare: Callable[[], Write[T]], weight: int = 1) -> T:
        """Commit one write durably, and return its result; ``weight`` is about how many rows it has."""
        return await self._offer(prepare, weight)

    async def write_short(self, write: ShortWrite, weight: int, *, awaits: bool = False) -> None:
        """Commit one write durably, in one with others of its kind that wait.

        ``awaits``: it may wait for others, as many as there were before, for some microseconds.
        """
        await self._offer(write.prepare, weight, write, awaits=awaits)

    def _offer(
        self,
        prepare: Callable[[], Write[T]],
        weight: int,
        short: ShortWrite | None = None,
        *,
        awaits: bool = False,
    ) -> asyncio.Future[T]:
        if self._closed:
            raise Unavailable(f"The database {self._path.name} is closed; open the store again.")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.put(WriteJob(prepare, weight, future, short, awaits))
        return future

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
                self._await_as_many(group)
                self._checkpoint.after_commit()
        self._connection.close()
        if self._turns is not None:
            self._turns.close()

    def _next_group(self) -> tuple[list[WriteJob], bool]:
        job = self._waiting.get()
        group: list[WriteJob] = []
        weight = 0
        while job is not None:
            group.append(job)
            weight += job.weight
            if weight >= GROUP_EVENTS:
                return group, True
            try:
                job = self._next_job(weight if job.awaits else self._awaited)
            except Empty:
                return group, True
        return group, False

    def _next_job(self, weight: int) -> WriteJob | None:
        """Return the next write that joins a group of some weight; raises `Empty` where none is awaited."""
        try:
            return self._waiting.get_nowait()
        except Empty:
            seconds = self._awaited_until - time.monotonic() if weight < self._awaited else 0.0
            if seconds <= 0:
                raise
            return self._waiting.get(timeout=seconds)

    def _await_as_many(self, group: Sequence[WriteJob]) -> None:
        """Expect as many events as a short group had: those who are told of it send the next ones."""
        may_wait = all(job.awaits for job in group)
        self._awaited = min(sum(job.weight for job in group), MOST_AWAITED) if may_wait else 0
        seconds = ANSWER_SECONDS if self._turns is None else ANSWER_SECONDS_IN_TURNS
        self._awaited_until = time.monotonic() + self._awaited * seconds

    def _commit(self, group: Sequence[WriteJob]) -> None:
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

    def _write_together(self, group: Sequence[WriteJob]) -> list[Any]:
        """Return the results of a group's writes, or the `CubeError` of each that refused."""
        kinds = _kinds(group)
        if kinds is None:
            return self._write_all([job.prepare for job in group])
        joined = [_joined([group[place] for place in places]) for places in kinds]
        if len(joined) == 1 and self._is_done_at_once(joined[0]):
            return [None] * len(group)
        outcomes: list[Any] = [None] * len(group)
        for places, refused in zip(kinds, self._write_all([one.prepare for one in joined]), strict=True):
            if refused is None:
                continue
            alone = self._write_alone([group[place] for place in places]) if places[1:] else [refused]
            for place, outcome in zip(places, alone, strict=True):
                outcomes[place] = outcome
        return outcomes

    def _write_alone(self, jobs: Sequence[WriteJob]) -> list[Any]:
        """Write what was joined, each for itself, beside others that are committed already."""
        try:
            return self._write_all([job.prepare for job in jobs])
        except Unavailable as error:
            return [error] * len(jobs)

    def _is_done_at_once(self, write: ShortWrite) -> bool:
        self._watch.check()
        with self._turn(), answering(self._path):
            if not write.at_once(self._connection):
                return False
        self._watch.check()
        return True

    def _write_all(self, prepares: Sequence[Callable[[], Write[Any]]]) -> list[Any]:
        writes = [prepare() for prepare in prepares]
        self._watch.check()
        with self._turn(), answering(self._path), immediate(self._connection):
            outcomes = [_outcome(write, self._connection) for write in writes]
        self._watch.check()  # deleted meanwhile, what was committed is lost with the file
        return outcomes

    def _turn(self) -> AbstractContextManager[None]:
        return nullcontext() if self._turns is None else self._turns.turn()


def _kinds(group: Sequence[WriteJob]) -> list[list[int]] | None:
    """Return the places of the writes of each kind; None where one of them cannot be joined to others."""
    kinds: dict[str, list[int]] = {}
    for place, job in enumerate(group):
        if job.short is None:
            return None
        kinds.setdefault(job.short.kind, []).append(place)
    return list(kinds.values())


def _joined(jobs: Sequence[WriteJob]) -> ShortWrite:
    first, *others = [job.short for job in jobs if job.short is not None]
    return first.joined(others) if others else first


def _outcome(write: Write[Any], connection: sqlite3.Connection) -> Any:
    try:
        return write(connection)
    except CubeError as error:
        return error


def _settle(group: Sequence[WriteJob], outcomes: Sequence[Any]) -> None:
    settled: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Any]]] = {}
    for job, outcome in zip(group, outcomes, strict=True):
        settled.setdefault(job.future.get_loop(), []).append((job.future, outcome))
    for loop, pairs in settled.items():
        with suppress(RuntimeError):  # the loop was closed: nobody waits any more
            loop.call_soon_threadsafe(_answer, pairs)


def _answer(pairs: Sequence[tuple[asyncio.Future[Any], Any]]) -> None:
    for future, outcome in pairs:
        if future.done():  # its caller went away
            continue
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
