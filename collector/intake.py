"""The intake: what was accepted, until it is stored.

Requests that wait at the same time share a write (group commit): while one commit of a type is under
way the next requests gather, and a lone one is written at once. A commit belongs to the intake, so a
client that goes away cancels nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from collector.batch import Batch
from collector.figures import IntakeFigures
from cube.errors import InvalidEvent, Overloaded, Unavailable
from cube.event import Event

_log = logging.getLogger(__name__)


class Saver(Protocol):
    """What the intake needs of an `EventStore`."""

    async def save(self, type: str, events: Sequence[Event]) -> None:
        """Store events of one type durably; see `EventStore.save`."""


@dataclass(slots=True, eq=False)
class Parcel:
    """The events of one type in one request, and the promise to tell what became of them.

    ``places``: where in the request they stood; None if that is where they stand here.
    """

    events: Sequence[Event]
    size: int
    stored: asyncio.Future[None]
    places: Sequence[int] | None = None

    def refuse(self, error: InvalidEvent, index: int) -> None:
        """Tell that event `index` of this parcel cannot be stored, and therefore none of them."""
        place = index if self.places is None else self.places[index]
        self.fail(
            InvalidEvent(error.message, **{**error.details, "index": place, "id": _id(self.events[index])})
        )

    def fail(self, error: Exception) -> None:
        """Tell why the events are not stored."""
        if not self.stored.done():
            self.stored.set_exception(error)

    def succeed(self) -> None:
        """Tell that all are stored."""
        if not self.stored.done():
            self.stored.set_result(None)


@dataclass(slots=True)
class Lane:
    """One type's parcels in order of arrival, and its commit, if one is under way."""

    parcels: deque[Parcel] = field(default_factory=deque)
    committing: asyncio.Task[None] | None = None


class Intake:
    """Accepts batches and stores them durably.

    ``waiting_events``, ``waiting_bytes``: bounds of what is accepted and not stored; a batch that is
    larger than a bound is taken when nothing else waits. ``commit_events``: one write takes no
    further request once it has so many.
    """

    def __init__(
        self,
        store: Saver,
        *,
        waiting_events: int,
        waiting_bytes: int,
        commit_events: int,
        figures: IntakeFigures,
    ) -> None:
        self._store = store
        self._max_events = waiting_events
        self._max_bytes = waiting_bytes
        self._commit_events = commit_events
        self._figures = figures
        self._loop = asyncio.get_running_loop()
        self._lanes: dict[str, Lane] = {}
        self._events = 0
        self._bytes = 0
        self._closed = False
        self._eased = asyncio.Event()  # set whenever something has been written
        figures.watch(lambda: self._events, lambda: self._bytes)

    async def accept(self, batch: Batch) -> None:
        """Store a batch; when this returns, all of it is durable and counted by every later query.

        Raises `Overloaded` where a bound is reached, `InvalidEvent` where the store refuses an event,
        `Unavailable` where the store does not answer. Only a batch of several types can be stored in
        part when it fails; sending it again with the same ids stores nothing twice.
        """
        await self.offer(batch)

    def offer(self, batch: Batch) -> asyncio.Future[None]:
        """Take a batch and return the promise that `accept` waits for.

        Raises `Overloaded`, and `Unavailable` once the intake is closed.
        """
        self.check(len(batch.events), batch.size)
        if not batch.events:
            return self._resolved()
        parcels = self._parcels(batch)
        return parcels[0].stored if len(parcels) == 1 else self._all(parcels)

    def check(self, events: int = 1, size: int = 0) -> None:
        """Return if so much more would be accepted; raise what `offer` would if not."""
        if self._closed:
            raise Unavailable("The collector is stopping; nothing new is accepted.")
        if not self.has_room(events, size):
            raise Overloaded(
                f"{self._events} events ({self._bytes} bytes) are waiting to be stored, and no more may"
                " wait; send again later."
            )

    def has_room(self, events: int = 1, size: int = 0) -> bool:
        """Tell whether so much more would be accepted."""
        return self._events == 0 or (
            self._events + events <= self._max_events and self._bytes + size <= self._max_bytes
        )

    async def room(self, batch: Batch) -> None:
        """Return when `batch` would be accepted: for those that can make their client wait."""
        while not self.has_room(len(batch.events), batch.size) and not self._closed:
            self._eased.clear()
            await self._eased.wait()

    async def close(self) -> None:
        """Accept nothing more, and return when nothing waits."""
        self._closed = True
        self._eased.set()
        while committing := [lane.committing for lane in self._lanes.values() if lane.committing]:
            await asyncio.wait(committing)

    def _resolved(self) -> asyncio.Future[None]:
        future = self._loop.create_future()
        future.set_result(None)
        return future

    def _parcels(self, batch: Batch) -> list[Parcel]:
        by_type = batch.by_type()
        if len(by_type) == 1:
            return [self._queue(batch.events[0].type, batch.events, batch.size, None)]
        parcels = []
        for name, places in by_type.items():
            size = batch.size * len(places) // len(batch.events)
            parcels.append(self._queue(name, [batch.events[place] for place in places], size, places))
        return parcels

    def _queue(self, type: str, events: Sequence[Event], size: int, places: Sequence[int] | None) -> Parcel:
        parcel = Parcel(events, size, self._loop.create_future(), places)
        self._events += len(events)
        self._bytes += size
        lane = self._lanes.get(type)
        if lane is None:
            lane = self._lanes[type] = Lane()
        lane.parcels.append(parcel)
        if lane.committing is None:
            lane.committing = self._loop.create_task(self._empty(type, lane))
        return parcel

    def _all(self, parcels: Sequence[Parcel]) -> asyncio.Future[None]:
        """Return one promise for several: kept when all are, broken as the first one broken is."""
        whole = self._loop.create_future()
        left = len(parcels)

        def settled(_: asyncio.Future[None]) -> None:
            nonlocal left
            left -= 1
            if left:
                return
            errors = [error for parcel in parcels if (error := parcel.stored.exception()) is not None]
            if whole.done():  # its request is gone
                return
            if errors:
                whole.set_exception(errors[0])
            else:
                whole.set_result(None)

        for parcel in parcels:
            parcel.stored.add_done_callback(settled)
        return whole

    # Committing.

    async def _empty(self, type: str, lane: Lane) -> None:
        """Commit until nothing of a type waits."""
        try:
            while lane.parcels:
                await self._commit(type, self._next(lane))
        finally:
            del self._lanes[type]

    def _next(self, lane: Lane) -> list[Parcel]:
        parcels = [lane.parcels.popleft()]
        count = len(parcels[0].events)
        while lane.parcels and count + len(lane.parcels[0].events) <= self._commit_events:
            parcel = lane.parcels.popleft()
            parcels.append(parcel)
            count += len(parcel.events)
        return parcels

    async def _commit(self, type: str, parcels: list[Parcel]) -> None:
        """Store parcels together; one that the store refuses leaves, and the others go on."""
        while parcels:
            try:
                await self._save(type, parcels)
                self._settle(parcels, None)
                return
            except InvalidEvent as error:
                guilty, index = _locate(parcels, error)
                guilty.refuse(error, index)
                parcels = [parcel for parcel in parcels if parcel is not guilty]
                self._settle([guilty], error)
            except Exception as error:  # whatever it is, those who wait are told
                self._settle(parcels, error)
                return

    async def _save(self, type: str, parcels: Sequence[Parcel]) -> None:
        events: Sequence[Event] = parcels[0].events
        if len(parcels) > 1:
            events = [event for parcel in parcels for event in parcel.events]
        with self._figures.commit(len(events)):
            await self._store.save(type, events)

    def _settle(self, parcels: Sequence[Parcel], error: Exception | None) -> None:
        for parcel in parcels:
            self._events -= len(parcel.events)
            self._bytes -= parcel.size
            if error is None:
                parcel.succeed()
            else:
                parcel.fail(error)
        count = sum(len(parcel.events) for parcel in parcels)
        self._figures.settled(count, error)
        self._eased.set()


Intakes: TypeAlias = Mapping[str, Intake]
"""The intakes of all environments, by name."""


def _locate(parcels: Sequence[Parcel], error: InvalidEvent) -> tuple[Parcel, int]:
    """Find the parcel, and the place in it, of the event that a shared write was refused for."""
    index = int(error.details["index"])
    for parcel in parcels:
        if index < len(parcel.events):
            return parcel, index
        index -= len(parcel.events)
    raise IndexError(
        f"the store refused event {error.details['index']} of a commit that has fewer"
    ) from error


def _id(event: Event) -> int | float | str | None:
    return None if isinstance(event.id, bytes) else event.id
