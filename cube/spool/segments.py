"""The files of one spool: new events go to the last, and what is delivered goes from the first."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeAlias

from cube.errors import CubeError, Unavailable
from cube.files import FileWatch
from cube.model.event import Event
from cube.spool import directory
from cube.spool.file import RETRY_AFTER_SECONDS, FileState, SpoolFile
from cube.spool.held import HeldFile
from cube.spool.record import Record, key_of

NewRow: TypeAlias = tuple[int, int | None, bytes]
"""Arrival, key and event text of a record that is not stored yet."""

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


class SpoolSegments:
    """The spool files of one database: those of this process, and those that it took over.

    Everything here blocks, and is for one thread at a time. A file is begun when it is needed, and a new
    one where the last has grown to `_SEGMENT_BYTES`, or to a part of ``limit_bytes`` where that is more; one
    that is empty is deleted, which needs no room.
    """

    def __init__(
        self, path: Path, database: str, mark: str, limit_bytes: int, on_damage: Callable[[int], None]
    ) -> None:
        self._path = path
        self._database = database
        self._mark = mark
        self._segment_bytes = max(_SEGMENT_BYTES, limit_bytes // _SEGMENTS)
        self._presence = watch_directory(path)
        self._files: list[HeldFile] = []
        self._left: set[Path] = set()  # files that cannot be used, and were told of
        self._on_damage = on_damage

    def states(self) -> list[FileState]:
        """Return what is in each file, in order."""
        return [held.state for held in self._files]

    def take_over(self, *, patient: bool) -> None:
        """Take over what dead processes left; `patient` waits for those that are just ending."""
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

    def append(self, groups: Sequence[Sequence[NewRow]]) -> list[Ticket]:
        """Store groups of rows durably at the end, in one transaction; a ticket for each.

        Raises `Unavailable` where the directory, or just now the file, was deleted or replaced.
        """
        self.check()
        if not self._files or self._files[-1].state.bytes >= self._segment_bytes:
            self._files.append(self._new_file())
        held = self._files[-1]
        rows = [row for group in groups for row in group]
        numbers = held.run(lambda file: file.append(rows))
        if not (self._presence.holds() and held.is_in_place):  # deleted just now: they would be lost
            held.run(lambda file: file.take_out(numbers))
            raise gone()
        tickets, place = [], 0
        for group in groups:
            tickets.append(Ticket(held, numbers[place : place + len(group)]))
            place += len(group)
        return tickets

    def check(self) -> None:
        """Raise `Unavailable` where the directory is gone; save what was in files that alone are gone."""
        self._presence.check()
        for held in self._files:
            if not held.is_in_place:
                held.move()

    def waiting(self, events: Sequence[Event]) -> set[int]:
        keys = [key_of(event) for event in events]
        sought = [key for key in keys if key is not None]
        found: set[int] = set()
        if sought:
            found.update(*(held.run(lambda file: file.waiting(sought)) for held in self._files))
        return {place for place, key in enumerate(keys) if key in found}

    def head(self, events: int, size: int, skipped: Mapping[HeldFile, Collection[int]]) -> Head | None:
        """Return the first records that are not ``skipped``; see `Spool.head`."""
        for held in self._files:
            numbers = skipped.get(held, ())
            while held.state.events:
                records, damaged = held.run(
                    partial(SpoolFile.head, events=events, size=size, skipped=numbers)
                )
                if damaged:
                    self._on_damage(damaged)
                    _log.error("%d damaged records are quarantined in %s", damaged, held.path)
                if records:
                    return Head(held, records)
                if not damaged:
                    break
        return None

    def take_out(self, ticket: Ticket, reason: str | None = None) -> int:
        """Forget records, or for a reason quarantine them; return how many of them still waited."""
        if ticket.file not in self._files:
            return 0
        taken = ticket.file.run(lambda file: file.take_out(ticket.numbers, reason))
        self._tidy()
        return taken

    def close(self) -> None:
        """Close all files; those with records stay for the next process."""
        for held in self._files:
            if held.state.events and not (self._presence.holds() and held.is_in_place):
                _log.error("%d events are lost with the spool file %s, which was deleted or replaced",
                           held.state.events, held.path)  # fmt: skip
            held.close()
        self._files.clear()

    def _new_file(self) -> HeldFile:
        claimed = directory.claim_new(self._path, self._database, self._mark)
        try:
            return HeldFile(claimed, self._on_damage)
        except BaseException:  # such as a full disk: nothing may be left of each try
            claimed.delete()
            claimed.release()
            raise

    def _tidy(self) -> None:
        """Release files that are empty, but for a last one that is small."""
        for held in list(self._files):
            state = held.state
            is_last = held is self._files[-1]
            is_small = state.bytes <= _SHRUNK_BYTES and not state.removed and not state.refused
            if not state.events and not (is_last and is_small) and held.finish():
                self._files.remove(held)


def watch_directory(path: Path) -> FileWatch:
    """Watch a directory.

    Another one at its path may be a bare mount point: what went there would be out of sight once its disk
    is back.
    """

    def changed(is_back: bool) -> None:
        if is_back:
            _log.info("the spool directory %s is back", path)
        else:
            _log.error(
                "the spool directory %s was deleted or replaced; until it is back nothing is spooled", path
            )

    return FileWatch(path, changed=changed, refusal=gone)


def gone() -> Unavailable:
    """Return what is told where the directory, or the file just written to, is not in place."""
    return Unavailable(
        "The spool's directory was deleted or replaced while the collector runs: put it back, or restart the"
        " collector.",
        retry_after_seconds=RETRY_AFTER_SECONDS,
    )
