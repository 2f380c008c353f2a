"""The drain: moves what is in the spool to the store, in order, once it answers.

Records are removed only after the store has acknowledged them. What is drained twice, because the process
died in between, is stored once: events keep their ids.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress

from collector.relay import Relay
from cube.errors import CubeError, InvalidEvent, Unavailable
from cube.spool import Head, Record, Spool
from cube.store.ports import Store

BATCH_EVENTS = 1_000
BATCH_BYTES = 4 * 2**20
PING_SECONDS = 2.0
"""How long the store has to answer before a batch is tried on it."""

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.25, 2.0
FAULTS = 10
"""So many records are tried one by one, without one that succeeds, before the store counts as at fault."""

_log = logging.getLogger(__name__)


async def ping(store: Store) -> None:
    """Return if a store answers within `PING_SECONDS`; raise `Unavailable` if it does not."""
    try:
        async with asyncio.timeout(PING_SECONDS):
            await store.ping()
    except TimeoutError:
        raise Unavailable(f"The store did not answer within {PING_SECONDS:g} s.") from None


class Drain:
    """Empties one spool into its store; a task of its own from the moment it is made.

    ``on_drained`` and ``on_refused`` are told how many events were stored, and how many were set aside
    because the store refuses them.
    """

    def __init__(
        self,
        store: Store,
        spool: Spool,
        relay: Relay,
        *,
        on_drained: Callable[[int], None],
        on_refused: Callable[[int], None],
    ) -> None:
        self._store = store
        self._spool = spool
        self._relay = relay
        self._on_drained = on_drained
        self._on_refused = on_refused
        self._woken = asyncio.Event()
        self._woken.set()
        self._stopping = asyncio.Event()
        self._task = asyncio.create_task(self._run())
        relay.follow(self)

    def wake(self) -> None:
        """Look whether there is work."""
        self._woken.set()

    async def stop(self) -> None:
        """Finish the batch under way and do no more; while the store is away, end at once."""
        self._stopping.set()
        self._woken.set()
        if self._relay.away:
            self._task.cancel()
        await asyncio.wait({self._task})

    async def _run(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while not self._stopping.is_set():
            if not (self._spool.events or self._relay.away):
                self._woken.clear()
                await self._woken.wait()
            elif await self._step():
                pause = FIRST_PAUSE_SECONDS
            else:
                await self._rest(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    async def _rest(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    async def _step(self) -> bool:
        """Drain a batch; return whether the store took it."""
        try:
            await self._relay.settled()
            if self._relay.away:
                await ping(self._store)
            head = await self._spool.head(BATCH_EVENTS, BATCH_BYTES)
            if head is not None:
                await self._drain(head)
        except Unavailable as error:
            self._relay.lost(error.message)
            return False
        except CubeError as error:  # of the spool's own disk
            _log.warning("cannot drain the spool now: %s", error.message)
            return False
        except Exception:
            _log.exception("draining the spool met a fault")
            return False
        self._relay.back()
        return True

    async def _drain(self, head: Head) -> None:
        by_type: dict[str, list[Record]] = {}
        for record in head.records:
            by_type.setdefault(record.event.type, []).append(record)
        for type, records in by_type.items():
            await self._drain_type(head, type, records)

    async def _drain_type(self, head: Head, type: str, records: Sequence[Record]) -> None:
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
                await self._drain_singly(head, type, records, error)
                return

    async def _drain_singly(self, head: Head, type: str, records: Sequence[Record], error: Exception) -> None:
        """Find the records that a fault of the store is about, and set them aside.

        Where none can be stored the fault is not theirs: then it is raised, and all stay.
        """
        failed: list[tuple[Record, Exception]] = []
        stored = 0
        for record in records:
            try:
                await self._save(head, type, [record])
                stored += 1
            except CubeError as refusal:
                if not isinstance(refusal, InvalidEvent):
                    raise
                failed.append((record, refusal))
            except Exception as fault:
                failed.append((record, fault))
            if not stored and len(failed) >= FAULTS:
                break
        if not stored:
            raise error
        for record, reason in failed:
            await self._refuse(head, record, f"{reason.__class__.__name__}: {reason}")

    async def _save(self, head: Head, type: str, records: Sequence[Record]) -> None:
        await self._store.events.save(type, [record.event for record in records])
        self._on_drained(await self._spool.remove(head.ticket(records)))

    async def _refuse(self, head: Head, record: Record, reason: str) -> None:
        await self._spool.set_aside(head.ticket([record]), reason)
        self._on_refused(1)
        _log.error("an event of type %s in the spool is set aside: %s", record.event.type, reason)
