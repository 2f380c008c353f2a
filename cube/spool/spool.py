"""What a collector has of the spool of one database: append, read in order, forget."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeAlias, TypeVar

from cube.errors import CubeError, Overloaded
from cube.event import Event
from cube.spool import directory
from cube.spool.faults import RETRY_AFTER_SECONDS
from cube.spool.file import SpoolFile
from cube.spool.held import HeldFile
from cube.spool.presence import Presence, gone
from cube.spool.record import Record, encode, key_of

T = TypeVar("T")
NewRow: TypeAlias = tuple[int, int | None, bytes]

RECORD_BYTES = 64
"""What a record takes beside its text, about: its row and its place in the index."""

_MANY = 200  # events that are encoded in the thread
_SHRUNK_BYTES = 2**20  # an empty file below this is left as it is
_SEGMENT_BYTES = 64 * 2**20
_SEGMENTS = 32
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ticket:
    """Some records of one file: what `append` made, or `head` found."""

    file: HeldFile
    numbers: Sequence[int]


NOTHING_SKIPPED: Final[Mapping[HeldFile, Collection[int]]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Head:
    """The first records of a spool."""

    file: HeldFile
    records: Sequence[Record]

    def ticket(self, records: Sequence[Record]) -> Ticket:
        """Return the ticket of some of the records."""
        return Ticket(self.file, [record.number for record in records])


@dataclass(slots=True, eq=False)
class _Append:
    """Events on their way into the file; those that wait at once share a transaction and its fsync."""

    rows: Sequence[NewRow]
    size: int
    done: asyncio.Future[Ticket] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Spool:
    """The spooled events of one database: the files of this process, and those that it took over.

    New events go to the end of the last file, which is made when it is needed, and a new one is begun
    where that has grown to `_SEGMENT_BYTES` (or a part of the limit); a file that is empty is deleted, which
    needs no room. ``events``, ``bytes``, ``oldest`` (the arrival of the first, milliseconds since 1970)
    say what waits. ``on_damage`` is told, in a thread, how many records were lost, or set aside because
    their checksums do not hold.
    """

    def __init__(
        self,
        path: Path,
        database: str,
        mark: str,
        *,
        limit_bytes: int,
        clock: Callable[[], int],
        on_damage: Callable[[int], None],
    ) -> None:
        self.events = 0
        self.bytes = 0
        self.oldest: int | None = None
        self._path = path
        self._database = database
        self._mark = mark
        self._limit_bytes = limit_bytes
        self._segment_bytes = max(_SEGMENT_BYTES, limit_bytes // _SEGMENTS)
        self._presence = Presence(path)
        self._hides = False  # whether ids wait of records that are delivered, or to be set aside
        self._clock = clock
        self._files: list[HeldFile] = []
        self._left: set[Path] = set()  # files that cannot be used, and were told of
        self._on_damage = on_damage
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

        ``mark``: of the store that the events belong to (`store_mark`). Raises `InvalidSettings` where the
        directory cannot be used; a file that is damaged, or cannot be opened, is never the end of it.
        """
        directory.prepare(path)
        spool = cls(path, database, mark, limit_bytes=limit_bytes, clock=clock, on_damage=on_damage)
        await spool._do(lambda: spool._take_over(patient=True))
        return spool

    async def take_over(self) -> None:
        """Take over what processes have left that died, or stopped, since this one started."""
        await self._do(lambda: self._take_over(patient=False))

    async def append(self, events: Sequence[Event]) -> Ticket:
        """Store events durably at the end.

        Raises `Overloaded` where the limit is reached or the disk is full, `Unavailable` where the disk
        fails, or the directory was deleted or replaced; then none of them is in the spool.
        """
        rows = (
            _rows(events, self._clock())
            if len(events) < _MANY
            else await self._do(lambda: _rows(events, self._clock()))
        )
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
        return await self._do(lambda: self._waiting(events)) if waits else set()

    async def check(self) -> None:
        """Return if the directory is still there; raise `Unavailable` if it was deleted or replaced."""
        await self._do(self._check)

    async def head(
        self, events: int, size: int, skipped: Mapping[HeldFile, Collection[int]] = NOTHING_SKIPPED
    ) -> Head | None:
        """Return the first records, up to so many events and about so many bytes; None if none waits.

        They stay until they are removed, or set aside. ``skipped``: the numbers of records that stay as well.
        """
        return await self._do(lambda: self._head(events, size, skipped))

    async def remove(self, ticket: Ticket) -> int:
        """Forget records that are stored; return how many of them still waited."""
        return await self._do(lambda: self._remove(ticket))

    async def set_aside(self, ticket: Ticket, reason: str) -> None:
        """Move records that cannot be stored out of the way; they are kept, with the reason."""
        await self._do(lambda: self._set_aside(ticket, reason))

    async def close(self) -> None:
        """Finish what was begun and close all files; those with records stay for the next process."""
        if self._appending is not None:
            await self._appending
        await self._do(self._close)
        self._thread.shutdown()

    # On the event loop.

    async def _append_all(self) -> None:
        try:
            while self._appends:
                group, self._appends = self._appends, []
                try:
                    tickets = await self._do(lambda group=group: self._append(group))  # type: ignore[misc]  # bound now
                except Exception as error:  # whatever it is, those who wait are told
                    for append in group:
                        append.done.set_exception(error)
                else:
                    for append, ticket in zip(group, tickets, strict=True):
                        append.done.set_result(ticket)
        finally:
            self._appending = None

    async def _do(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._looked_after, work)

    # In the thread.

    def _looked_after(self, work: Callable[[], T]) -> T:
        try:
            return work()
        finally:
            states = [file.state for file in self._files]
            self.bytes = sum(state.bytes for state in states)
            self.oldest = next((state.oldest for state in states if state.events), None)
            self.events = sum(state.events for state in states)
            self._hides = any(state.removed or state.refused for state in states)

    def _take_over(self, *, patient: bool) -> None:
        found: list[HeldFile] = []
        for claimed in directory.claim_all(self._path, self._database, self._mark, patient=patient):
            try:
                held = HeldFile(claimed, self._on_damage, found=True)
            except (CubeError, OSError) as error:  # made by a later Cube, or the disk is full or fails
                if claimed.path not in self._left:
                    _log.error("the spool file %s is left where it is: %s", claimed.path, error)
                    self._left.add(claimed.path)
                claimed.release()
                continue
            self._left.discard(claimed.path)
            found.append(held)
            _log.info("took over %s with %d events", held.path, held.state.events)
        self._files[:0] = found  # new events go on to the last one

    def _append(self, group: Sequence[_Append]) -> list[Ticket]:
        self._check()
        if not self._files or self._files[-1].state.bytes >= self._segment_bytes:
            self._files.append(self._new_file())
        held = self._files[-1]
        rows = [row for append in group for row in append.rows]
        numbers = held.run(lambda file: file.append(rows))
        if not (self._presence.holds() and held.is_in_place):  # deleted just now: they would be lost
            held.run(lambda file: file.remove(numbers))
            raise gone()
        tickets, place = [], 0
        for append in group:
            tickets.append(Ticket(held, numbers[place : place + len(append.rows)]))
            place += len(append.rows)
        return tickets

    def _new_file(self) -> HeldFile:
        claimed = directory.claim_new(self._path, self._database, self._mark)
        try:
            return HeldFile(claimed, self._on_damage)
        except BaseException:  # such as a full disk: nothing may be left of each try
            claimed.delete()
            claimed.release()
            raise

    def _check(self) -> None:
        """Raise `Unavailable` where the directory is gone; save what was in files that alone are gone."""
        self._presence.check()
        for held in self._files:
            if not held.is_in_place:
                held.move()

    def _waiting(self, events: Sequence[Event]) -> set[int]:
        keys = [key_of(event) for event in events]
        sought = [key for key in keys if key is not None]
        found: set[int] = set()
        if sought:
            found.update(*(held.run(lambda file: file.waiting(sought)) for held in self._files))
        return {place for place, key in enumerate(keys) if key in found}

    def _head(self, events: int, size: int, skipped: Mapping[HeldFile, Collection[int]]) -> Head | None:
        for held in self._files:
            numbers = skipped.get(held, ())
            while held.state.events:
                records, damaged = held.run(
                    partial(SpoolFile.head, events=events, size=size, skipped=numbers)
                )
                if damaged:
                    self._on_damage(damaged)
                    _log.error("%d damaged records are set aside in %s", damaged, held.path)
                if records:
                    return Head(held, records)
                if not damaged:
                    break
        return None

    def _remove(self, ticket: Ticket) -> int:
        if ticket.file not in self._files:
            return 0
        removed = ticket.file.run(lambda file: file.remove(ticket.numbers))
        self._tidy()
        return removed

    def _set_aside(self, ticket: Ticket, reason: str) -> None:
        if ticket.file in self._files:
            ticket.file.run(lambda file: file.set_aside(ticket.numbers, reason))
            self._tidy()

    def _tidy(self) -> None:
        """Let go of files that are empty, but for a last one that is small."""
        for held in list(self._files):
            state = held.state
            is_last = held is self._files[-1]
            is_small = state.bytes <= _SHRUNK_BYTES and not state.removed and not state.refused
            if not state.events and not (is_last and is_small) and held.finish():
                self._files.remove(held)

    def _close(self) -> None:
        for held in self._files:
            if held.state.events and not (self._presence.holds() and held.is_in_place):
                _log.error("%d events are lost with the spool file %s, which was deleted or replaced",
                           held.state.events, held.path)  # fmt: skip
            held.close()
        self._files.clear()


def _rows(events: Sequence[Event], at: int) -> list[NewRow]:
    return [(at, key_of(event), encode(event)) for event in events]
