"""The relay: a commit goes to the store, or while that is away to the spool.

Once a commit has failed, or taken longer than is patient, the store counts as away: further commits
go to the spool at once, and only the drain (`collector.ingest.replayer`) tries the store now and then.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from cube.errors import InvalidEvent, Unavailable
from cube.model.event import Event
from cube.spool import Spool, Ticket
from cube.store.ports import EventStore

GOODBYE_SECONDS = 0.5
"""How long stragglers have to end at a stop; what they owe to the store a sweep settles."""

_log = logging.getLogger(__name__)


class Direct:
    """A store without a spool: what cannot be stored fails."""

    def __init__(self, events: EventStore) -> None:
        self._events = events

    async def save(self, type: str, events: Sequence[Event]) -> Collection[int]:
        """Store events; see `Saver.save`."""
        await self._events.save(type, events)
        return ()

    async def ready(self) -> None:
        """Do nothing: there is only the store."""

    async def close(self) -> None:
        """Do nothing: nothing is ever left over."""


class Drainer(Protocol):
    """What the relay needs of a `Drain`."""

    def wake(self) -> None:
        """Look whether there is work."""

    async def stop(self) -> None:
        """Finish the batch under way and do no more."""


class Relay:
    """A store with a spool. One `save` of a type runs at a time, as the intake has it.

    ``patience_seconds``: how long a commit may take before its events go to the spool as well; then it
    is a *straggler*, which runs on. ``on_stored``: is told how many events that it left in the spool
    were stored after all. ``away``: whether the store counts as away.
    """

    def __init__(
        self,
        events: EventStore,
        spool: Spool,
        *,
        patience_seconds: float,
        on_stored: Callable[[int], None],
    ) -> None:
        self.away = False
        self._stragglers: dict[asyncio.Task[None], Ticket | None] = {}
        self._events = events
        self._spool = spool
        self._patience_seconds = patience_seconds
        self._on_stored = on_stored
        self._drain: Drainer | None = None

    def follow(self, drain: Drainer) -> None:
        """Tell a drain of everything that comes into the spool, and stop it at the end."""
        self._drain = drain

    async def save(self, type: str, events: Sequence[Event]) -> Collection[int]:
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

    def lost(self, reason: str) -> None:
        """Note that the store is away."""
        if not self.away:
            self.away = True
            _log.warning("events go to the spool: %s", reason)
        self._wake()

    def back(self) -> None:
        """Note that the store has answered."""
        if self.away:
            self.away = False
            _log.info("the store answers again; %d events wait in the spool", self._spool.events)

    async def ready(self) -> None:
        """Return if the spool's directory is still there; raise `Unavailable` if it is not."""
        await self._spool.check()

    async def settled(self) -> None:
        """Return when no straggler runs, and what they stored is forgotten.

        Nothing is drained beside one: where it ends late it could write an older event over a newer one.
        """
        while self._stragglers:
            task = next(iter(self._stragglers))
            await asyncio.wait({task})
            ticket = self._stragglers.pop(task)
            if ticket is not None and not task.cancelled() and task.exception() is None:
                self._on_stored(await self._spool.remove(ticket))

    async def close(self) -> None:
        """Stop draining, give the stragglers up (their events are in the spool), and close the spool."""
        try:
            if self._drain is not None:
                await self._drain.stop()
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
            self._wake()

    def _wake(self) -> None:
        if self._drain is not None:
            self._drain.wake()
