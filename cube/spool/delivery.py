"""Delivery: batch by batch from a spool into its store, in order, each record removed once it is stored."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from cube import instant
from cube.errors import CubeError, InvalidEvent
from cube.event import Event
from cube.spool.record import Record
from cube.spool.spool import Head, Spool

BATCH_EVENTS = 1_000
BATCH_BYTES = 4 * 2**20
FAULTS = 10
"""So many records are tried one by one, without one that succeeds, before the store counts as at fault."""

_log = logging.getLogger(__name__)


class Saver(Protocol):
    """What a delivery needs of an `EventStore`."""

    async def save(self, type: str, events: Sequence[Event]) -> None:
        """Store events of one type durably."""


class Delivery:
    """Moves records to a store.

    ``on_stored`` and ``on_refused`` are told how many were stored, and how many were set aside because
    the store refuses them. ``expired_before``: what is older would be deleted for its age as soon as it is
    stored, and is set aside as well; None: nothing. What is delivered twice, because the process died before
    the removal, is stored once: events keep their ids.
    """

    def __init__(
        self,
        events: Saver,
        spool: Spool,
        *,
        on_stored: Callable[[int], None],
        on_refused: Callable[[int], None],
        expired_before: Callable[[], int | None] = lambda: None,
    ) -> None:
        self._events = events
        self._spool = spool
        self._on_stored = on_stored
        self._on_refused = on_refused
        self._expired_before = expired_before

    async def batch(self) -> bool:
        """Deliver the first records; return whether there were any.

        Raises `Unavailable` where the store does not answer, and any fault of the store that is not
        one of single records; then what is not stored stays.
        """
        head = await self._spool.head(BATCH_EVENTS, BATCH_BYTES)
        if head is None:
            return False
        by_type: dict[str, list[Record]] = {}
        for record in await self._without_expired(head):
            by_type.setdefault(record.event.type, []).append(record)
        for type, records in by_type.items():
            await self._deliver(head, type, records)
        return True

    async def _without_expired(self, head: Head) -> Sequence[Record]:
        """Set aside what has expired while it waited; return the others."""
        before = self._expired_before()
        expired = [] if before is None else [one for one in head.records if one.event.time < before]
        if before is None or not expired:
            return head.records
        reason = f"events before {instant.format(max(before, instant.EARLIEST))} have expired"
        await self._spool.set_aside(head.ticket(expired), reason)
        self._on_refused(len(expired))
        _log.error("%d events in the spool are set aside: %s", len(expired), reason)
        return [record for record in head.records if record.event.time >= before]

    async def _deliver(self, head: Head, type: str, records: Sequence[Record]) -> None:
        """Store records of one type; those that the store refuses are set aside, and the others go on."""
        while records:
            try:
                await self._save(head, type, records)
                return
            except InvalidEvent as error:
                guilty = records[error.details["index"]]
                await self._refuse(head, guilty, error.message)
                records = [record for record in records if record is not guilty]
            except CubeError:
                raise
            except Exception as error:
                await self._deliver_singly(head, type, records, error)
                return

    async def _deliver_singly(
        self, head: Head, type: str, records: Sequence[Record], error: Exception
    ) -> None:
        """Find the records that a fault of the store is about, and set them aside.

        Where none can be stored the fault is not theirs: then it is raised, and all stay.
        """
        failed: list[tuple[Record, Exception]] = []
        stored = 0
        for record in records:
            try:
                await self._save(head, type, [record])
                stored += 1
            except Exception as fault:
                if isinstance(fault, CubeError) and not isinstance(fault, InvalidEvent):
                    raise
                failed.append((record, fault))
            if not stored and len(failed) >= FAULTS:
                break
        if not stored:
            raise error
        for record, reason in failed:
            await self._refuse(head, record, f"{reason.__class__.__name__}: {reason}")

    async def _save(self, head: Head, type: str, records: Sequence[Record]) -> None:
        await self._events.save(type, [record.event for record in records])
        self._on_stored(await self._spool.remove(head.ticket(records)))

    async def _refuse(self, head: Head, record: Record, reason: str) -> None:
        await self._spool.set_aside(head.ticket([record]), reason)
        self._on_refused(1)
        _log.error("an event of type %s in the spool is set aside: %s", record.event.type, reason)
