"""Writing to a store with a spool beside it: a commit goes to the store, or while that is away to the spool.

Once a commit has failed, or taken longer than is patient, the store counts as away: further commits
go to the spool at once, and only the replay, beside new events, tries the store now and then.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Any

from collector.ingest.store_writer import StoreWriter
from cube.backoff import Backoff
from cube.errors import CubeError, InvalidEvent, Unavailable
from cube.model.event import Event
from cube.spool import Replayer, Spool, Ticket
from cube.store.ports import Store

PING_SECONDS = 2.0
"""How long the store has to answer before a batch is tried on it."""

LOOK_SECONDS = 10.0
GOODBYE_SECONDS = 0.5
"""How long stragglers have to end at a stop; what they owe to the store a sweep settles."""

_BACKOFF = Backoff(0.25, longest=2.0)
_log = logging.getLogger(__name__)


async def ping(store: Store) -> None:
    """Return if a store answers within `PING_SECONDS`; raise `Unavailable` if it does not."""
    try:
        async with asyncio.timeout(PING_SECONDS):
            await store.ping()
    except TimeoutError:
        raise Unavailable(f"The store did not answer within {PING_SECONDS:g} s.") from None


class SpoolingWriter(StoreWriter):
    """A store with a spool. One `save` of a type runs at a time, as the intake has it.

    From when it is made, a task has ``replayer`` move what is in the spool to the store, while that answers.
    ``patience_seconds``: how long a commit may take before its events go to the spool as well; then it
    is a *straggler*, which runs on. ``away``: whether the store counts as away. ``look_seconds``: how often,
    with nothing to do, it looks for what processes left that have ended.
    """

    def __init__(
        self,
        store: Store,
        spool: Spool,
        replayer: Replayer,
        *,
        patience_seconds: float,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        super().__init__(store.events)
        self.away = False
        self._store = store
        self._spool = spool
        self._replayer = replayer
        self._patience_seconds = patience_seconds
        self._look_seconds = look_seconds
        self._stragglers: dict[asyncio.Task[None], Ticket | None] = {}
        self._woken = asyncio.Event()
        self._woken.set()
        self._stopping = asyncio.Event()
        self._replay = asyncio.create_task(self._replay_all())

    async def save(self, type: str, events: Sequence[Event], *, more: bool = False) -> Collection[int]:
        """Store events, or spool them: all while the store is away, else those whose id waits there.

        Raises `InvalidEvent` where the store refuses one, `Overloaded` and `Unavailable` where the
        spool cannot take them either.
        """
        if self.away:
            await self._append(events)
            return range(len(events))
        behind = await self._spool.waiting(events)
        if len(behind) < len(events):
            places = [place for place in range(len(events)) if place not in behind] if behind else None
            if not await self._save(type, events, places):
                return range(len(events))
        if behind:
            await self._append([events[place] for place in sorted(behind)])
        return behind

    @property
    def joins(self) -> int:
        return 0  # what is behind another in the spool is known by one save at a time

    def told(self) -> dict[str, Any]:
        """Return what waits in the spool; ``away``: whether the store does not answer."""
        spool = self._spool
        return {
            "away": self.away,
            "events": spool.events,
            "bytes": spool.bytes,
            "oldest": spool.oldest,
            "quarantined": spool.quarantined,
        }

    def lost(self, reason: str) -> None:
        if not self.away:
            self.away = True
            _log.warning("events go to the spool: %s", reason)
        self._woken.set()

    async def ready(self) -> None:
        await self._spool.check()

    async def close(self) -> None:
        """Stop replaying, give the stragglers up (their events are in the spool), and close the spool.

        The batch under way is finished; while the store is away it is given up at once.
        """
        self._stopping.set()
        self._woken.set()
        if self.away:
            self._replay.cancel()
        try:
            await asyncio.wait({self._replay})
        finally:
            for task in self._stragglers:
                task.cancel()
            if self._stragglers:
                await asyncio.wait(self._stragglers, timeout=GOODBYE_SECONDS)
            await self._spool.close()

    async def _save(self, type: str, events: Sequence[Event], places: Sequence[int] | None) -> bool:
        """Store the events at some places (None: at all); if that does not succeed in time spool all.

        Returns whether they are stored.
        """
        direct = events if places is None else [events[place] for place in places]
        task = asyncio.create_task(self._events.save(type, direct))
        try:
            await asyncio.wait({task}, timeout=self._patience_seconds)
            if task.done():
                task.result()
                return True
        except InvalidEvent as error:
            raise error if places is None else error.at(places[error.details["index"]]) from None
        except Unavailable as error:
            self.lost(error.message)
            await self._append(events)
            return False
        self._stragglers[task] = None
        self.lost(f"a commit of {type} has taken more than {self._patience_seconds:g} s")
        ticket = await self._append(events)
        if task in self._stragglers:
            numbers = ticket.numbers if places is None else [ticket.numbers[place] for place in places]
            self._stragglers[task] = Ticket(ticket.file, numbers)
        return False

    async def _append(self, events: Sequence[Event]) -> Ticket:
        try:
            return await self._spool.append(events)
        finally:
            self._woken.set()

    # Replaying.

    async def _replay_all(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            if not (self._spool.events or self.away):
                await self._idle()
            elif await self._replay_batch():
                failures = 0
            else:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_BACKOFF.pause(failures)):
                        await self._stopping.wait()
                failures += 1

    async def _idle(self) -> None:
        self._woken.clear()
        try:
            async with asyncio.timeout(self._look_seconds):
                await self._woken.wait()
        except TimeoutError:
            try:
                await self._spool.take_over()
            except CubeError as error:
                _log.warning("cannot look for spool files now: %s", error.message)

    async def _replay_batch(self) -> bool:
        """Replay a batch; return whether the next one may follow at once."""
        try:
            await self._settled()
            if self.away:
                await ping(self._store)
            moved = await self._replayer.batch()
        except Unavailable as error:
            self.lost(error.message)
            return False
        except CubeError as error:  # of the spool's own disk
            _log.warning("cannot replay the spool now: %s", error.message)
            return False
        except Exception:
            _log.exception("replaying the spool met a fault")
            return False
        if self.away:
            self.away = False
            _log.info("the store answers again; %d events wait in the spool", self._spool.events)
        return moved or not self._spool.events

    async def _settled(self) -> None:
        """Return when no straggler runs, and what they stored is forgotten.

        Nothing is replayed beside one: where it ends late it could write an older event over a newer one.
        """
        while self._stragglers:
            task = next(iter(self._stragglers))
            await asyncio.wait({task})
            ticket = self._stragglers.pop(task)
            if ticket is not None and not task.cancelled() and task.exception() is None:
                await self._replayer.stored(ticket)
