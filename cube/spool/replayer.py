"""Replay: batch by batch from a spool into its store, in order, each record removed once it is stored."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from cube.errors import CubeError, InvalidEvent
from cube.model import instant
from cube.model.event import Event, id_key
from cube.spool.held import HeldFile
from cube.spool.record import Record
from cube.spool.segments import Head, Ticket
from cube.spool.spool import Spool

BATCH_EVENTS = 1_000
BATCH_BYTES = 4 * 2**20
FAULTS = 10
"""So many records are tried one by one, without one that succeeds, before the store counts as at fault."""

RETRY_SECONDS = 60.0
"""Records that could not be stored while others could are tried again after so long."""

_log = logging.getLogger(__name__)


class LateDeletions(Protocol):
    """Knows which events were deleted by an expression after they had been accepted."""

    async def of(self, arrived: Sequence[tuple[int, Event]]) -> frozenset[int]:
        """Return the places of those, among events and the times of their arrival, that were deleted since.

        Where one is stored all the same it is deleted there.
        """

    async def are_any(self) -> bool:
        """Tell whether anything was deleted at all."""


@dataclass(slots=True, eq=False)
class Replayer:
    """Moves the records of a spool to a store.

    ``save``: that of an `EventStore`. ``on_stored`` and ``on_refused`` are told how many were stored, and
    how many were quarantined because the store refuses them, and why. ``expired_before``: what is older would
    be deleted for its age as soon as it is stored, and is quarantined as well; None: nothing. What is
    replayed twice, because the process died before the removal, is stored once: events keep their ids.
    ``deletions``: what was deleted while it waited is not stored.
    """

    save: Callable[[str, Sequence[Event]], Awaitable[None]]
    spool: Spool
    on_stored: Callable[[int], None]
    on_refused: Callable[[int, str], None]
    expired_before: Callable[[], int | None] = lambda: None
    clock: Callable[[], float] = time.monotonic
    deletions: LateDeletions | None = None
    _held_back: dict[HeldFile, set[int]] = field(default_factory=dict)
    _held_ids: set[tuple[str, object]] = field(default_factory=set)
    _retry_at: float = 0.0

    async def batch(self) -> bool:
        """Replay the first records; return whether there were any.

        A record that is not at fault, and cannot be stored while others can, stays: it is held back, with
        all later ones of its id, and tried again after `RETRY_SECONDS`.

        Raises `Unavailable` where the store does not answer, and any fault of the store that is not
        one of single records; then what is not stored stays.
        """
        if self.clock() >= self._retry_at:
            self._held_back.clear()
            self._held_ids.clear()
        head = await self.spool.head(BATCH_EVENTS, BATCH_BYTES, self._held_back)
        if head is None:
            return False
        by_type: dict[str, list[Record]] = {}
        for record in await self._without_deleted(head, await self._without_expired(head)):
            if _id(record) in self._held_ids:
                self._hold(head, record)
            else:
                by_type.setdefault(record.event.type, []).append(record)
        await self._replay_all(head, by_type)
        return True

    async def stored(self, ticket: Ticket) -> None:
        """Forget records whose events were stored otherwise; where anything was deleted a replay decides."""
        if self.deletions is None or not await self.deletions.are_any():
            self.on_stored(await self.spool.remove(ticket))

    async def _replay_all(self, head: Head, by_type: Mapping[str, Sequence[Record]]) -> None:
        """Store what can be stored, and hold the others back; where none can, the fault is the store's."""
        stored = False
        failed: list[Record] = []
        fault: Exception | None = None
        for type, records in by_type.items():
            try:
                left = await self._replay(head, type, records)
            except CubeError:
                raise
            except Exception as error:
                fault, left = error, records
            stored = stored or len(left) < len(records)
            failed += left
        if fault is not None and not stored:
            raise fault
        for record in failed:
            self._hold(head, record)
        if failed:
            _log.error("%d events stay in the spool for now, others go on: %s", len(failed), fault)

    async def _without_expired(self, head: Head) -> Sequence[Record]:
        """Quarantine what has expired while it waited; return the others."""
        before = self.expired_before()
        expired = [] if before is None else [one for one in head.records if one.event.time < before]
        if before is None or not expired:
            return head.records
        reason = f"events before {instant.format(max(before, instant.EARLIEST))} have expired"
        await self.spool.quarantine(head.ticket(expired), reason)
        self.on_refused(len(expired), reason)
        _log.error("%d events in the spool are quarantined: %s", len(expired), reason)
        return [record for record in head.records if record.event.time >= before]

    async def _without_deleted(self, head: Head, records: Sequence[Record]) -> Sequence[Record]:
        """Remove what was deleted while it waited; return the others."""
        places = await self._deleted(records)
        if not places:
            return records
        await self.spool.remove(head.ticket([records[place] for place in sorted(places)]))
        _log.info("%d events in the spool were deleted before they were stored", len(places))
        return [record for place, record in enumerate(records) if place not in places]

    async def _deleted(self, records: Sequence[Record]) -> frozenset[int]:
        if self.deletions is None or not records:
            return frozenset()
        return await self.deletions.of([(record.at, record.event) for record in records])

    async def _replay(self, head: Head, type: str, records: Sequence[Record]) -> Sequence[Record]:
        """Store records of one type; those that the store refuses are quarantined. Return those that stay."""
        while records:
            try:
                await self._move(head, type, records)
            except InvalidEvent as error:
                guilty = records[error.details["index"]]
                await self._refuse(head, guilty, error.message)
                records = [record for record in records if record is not guilty]
            except CubeError:
                raise
            except Exception as error:
                return await self._replay_singly(head, type, records, error)
            else:
                break
        return ()

    async def _replay_singly(
        self, head: Head, type: str, records: Sequence[Record], error: Exception
    ) -> Sequence[Record]:
        """Store records one by one; return those that cannot be. Raises `error` where none can."""
        failed: list[Record] = []
        ids: set[tuple[str, object]] = set()  # of those that failed: what comes after one waits for it
        for tried, record in enumerate(records):
            if tried == len(failed) >= FAULTS:
                raise error
            if _id(record) in ids:
                failed.append(record)
                continue
            try:
                await self._move(head, type, [record])
            except InvalidEvent as refusal:
                await self._refuse(head, record, refusal.message)
            except CubeError:
                raise
            except Exception:
                failed.append(record)
                ids.add(_id(record))
        if len(failed) == len(records):
            raise error
        return failed

    def _hold(self, head: Head, record: Record) -> None:
        if not self._held_ids:
            self._retry_at = self.clock() + RETRY_SECONDS
        self._held_back.setdefault(head.file, set()).add(record.number)
        self._held_ids.add(_id(record))

    async def _move(self, head: Head, type: str, records: Sequence[Record]) -> None:
        await self.save(type, [record.event for record in records])
        await self._deleted(records)  # who deleted meanwhile did not find them
        self.on_stored(await self.spool.remove(head.ticket(records)))

    async def _refuse(self, head: Head, record: Record, reason: str) -> None:
        await self.spool.quarantine(head.ticket([record]), reason)
        self.on_refused(1, reason)
        _log.error("an event of type %s in the spool is quarantined: %s", record.event.type, reason)


def _id(record: Record) -> tuple[str, object]:
    return record.event.type, id_key(record.event.id)
