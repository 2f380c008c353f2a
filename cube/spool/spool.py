"""What a collector has of the spool of one database: append, read in order, forget."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

from cube.errors import Overloaded
from cube.model.event import Event
from cube.spool import directory
from cube.spool.file import RETRY_AFTER_SECONDS
from cube.spool.held import HeldFile
from cube.spool.record import encode, key_of
from cube.spool.segments import NOTHING_SKIPPED, Head, NewRow, SpoolSegments, Ticket

T = TypeVar("T")

RECORD_BYTES = 64
"""What a record takes beside its text, about: its row and its place in the index."""

_MANY = 200  # events that are encoded in the thread


@dataclass(slots=True, eq=False)
class _Append:
    """Events on their way into the file; those that wait at once share a transaction and its fsync."""

    rows: Sequence[NewRow]
    size: int
    done: asyncio.Future[Ticket] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Spool:
    """The spooled events of one database, in `SpoolSegments` that one thread works on; made by `open`.

    ``events``: how many wait; ``bytes``: of disk that they take; ``oldest``: when the first of them arrived,
    in milliseconds since 1970, None where none waits. ``quarantined``: records of these files that cannot be
    stored, and are kept for a person.
    """

    def __init__(self, segments: SpoolSegments, limit_bytes: int, clock: Callable[[], int]) -> None:
        self.events = 0
        self.bytes = 0
        self.oldest: int | None = None
        self.quarantined = 0
        self._hides = False  # whether ids wait of records that are delivered, or to be quarantined
        self._segments = segments
        self._limit_bytes = limit_bytes
        self._clock = clock
        self._appends: list[_Append] = []
        self._appending: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="cube-spool")

    @classmethod
    async def open(
        cls,
        path: Path,
        database: str,
        mark: str,
        *,
        limit_bytes: int,
        clock: Callable[[], int],
        on_damage: Callable[[int], None],
    ) -> Spool:
        """Open the spool of a database in a directory and take over what dead processes left there.

        ``mark``: of the store that the events belong to (`store_mark`). ``on_damage`` is told, in the spool's
        thread, how many records were lost, or quarantined because their checksums do not hold. Raises
        `InvalidSettings` where the directory cannot be used; a file that is damaged, or cannot be opened, is
        never the end of it.
        """
        directory.prepare(path)
        spool = cls(SpoolSegments(path, database, mark, limit_bytes, on_damage), limit_bytes, clock)
        await spool._do(lambda: spool._segments.take_over(patient=True))
        return spool

    async def take_over(self) -> None:
        """Take over what processes have left that died, or stopped, since this one started."""
        await self._do(lambda: self._segments.take_over(patient=False))

    async def append(self, events: Sequence[Event]) -> Ticket:
        """Store events durably at the end.

        Raises `Overloaded` where the limit is reached or the disk is full, `Unavailable` where the disk
        fails, or the directory was deleted or replaced; then none of them is in the spool.
        """
        at = self._clock()

        def encoded() -> list[NewRow]:
            return [(at, key_of(event), encode(event)) for event in events]

        rows = encoded() if len(events) < _MANY else await self._do(encoded)
        append = _Append(rows, sum(len(text) + RECORD_BYTES for _, _, text in rows))
        waiting = sum(other.size for other in self._appends)
        if self.bytes + waiting + append.size > self._limit_bytes:
            raise Overloaded(
                f"The spool holds {self.bytes} bytes, and no more than {self._limit_bytes} may wait there;"
                " send again later.",
                retry_after_seconds=RETRY_AFTER_SECONDS,
            )
        self._appends.append(append)
        if self._appending is None:
            self._appending = asyncio.create_task(self._append_all())
        return await append.done

    async def waiting(self, events: Sequence[Event]) -> set[int]:
        """Return the places of those events whose id waits."""
        waits = self.events or self._hides
        return await self._do(lambda: self._segments.waiting(events)) if waits else set()

    async def check(self) -> None:
        """Return if the directory is still there; raise `Unavailable` if it was deleted or replaced."""
        await self._do(self._segments.check)

    async def head(
        self, events: int, size: int, skipped: Mapping[HeldFile, Collection[int]] = NOTHING_SKIPPED
    ) -> Head | None:
        """Return the first records, up to so many events and about so many bytes; None if none waits.

        They stay until they are removed, or quarantined. ``skipped``: the numbers of records to leave out.
        """
        return await self._do(lambda: self._segments.head(events, size, skipped))

    async def remove(self, ticket: Ticket) -> int:
        """Forget records that are stored; return how many of them still waited."""
        return await self._do(lambda: self._segments.take_out(ticket))

    async def quarantine(self, ticket: Ticket, reason: str) -> None:
        """Move records that cannot be stored out of the way; they are kept, with the reason."""
        await self._do(lambda: self._segments.take_out(ticket, reason))

    async def close(self) -> None:
        """Finish what was begun and close all files; those with records stay for the next process."""
        if self._appending is not None:
            await self._appending
        await self._do(self._segments.close)
        self._thread.shutdown()

    async def _append_all(self) -> None:
        try:
            while self._appends:
                group, self._appends = self._appends, []
                try:
                    rows = [append.rows for append in group]
                    tickets = await self._do(partial(self._segments.append, rows))
                except Exception as error:  # whatever it is, those who wait are told
                    for append in group:
                        append.done.set_exception(error)
                else:
                    for append, ticket in zip(group, tickets, strict=True):
                        append.done.set_result(ticket)
        finally:
            self._appending = None

    async def _do(self, work: Callable[[], T]) -> T:
        def look_after() -> T:
            try:
                return work()
            finally:
                states = self._segments.states()
                self.bytes = sum(state.bytes for state in states)
                self.oldest = next((state.oldest for state in states if state.events), None)
                self.events = sum(state.events for state in states)
                self.quarantined = sum(state.quarantined for state in states)
                self._hides = any(state.removed or state.refused for state in states)

        return await asyncio.get_running_loop().run_in_executor(self._thread, look_after)
