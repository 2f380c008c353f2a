"""The intake: what was accepted, until it is stored.

Requests that wait at the same time share a write (group commit): while one commit of a type is under
way the next requests gather, and a lone one is written at once. A commit belongs to the intake, so a
client that goes away cancels nothing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeAlias

from collector.ingest.batch import Batch
from collector.ingest.clock_jumps import Kept
from collector.ingest.pending import Parcel, locate
from collector.ingest.quota import Account, Budget
from collector.ingest.unknown_keys import UnknownKeys
from collector.instrumentation import REASONS, IntakeFigures
from cube.errors import CubeError, InvalidEvent, InvalidRequest, Overloaded, Unavailable
from cube.model.event import Event
from cube.model.horizon import Horizon

_Part: TypeAlias = "tuple[Sequence[Event], int, Sequence[int] | None]"


class Saver(Protocol):
    """What the intake needs of a store and its spool; a `Relay` is one."""

    async def save(self, type: str, events: Sequence[Event]) -> Collection[int]:
        """Make events of one type durable; see `EventStore.save`.

        Returns the places of those that are only in the spool: durable, but not yet visible.
        """

    async def ready(self) -> None:
        """Return if there is nothing beside the store that would keep events from it; else raise."""

    async def close(self) -> None:
        """Finish what was begun."""


@dataclass(slots=True)
class Lane:
    """One type's parcels in order of arrival, and its commit, if one is under way."""

    parcels: deque[Parcel] = field(default_factory=deque)
    account: Account = field(default_factory=Account)
    committing: asyncio.Task[None] | None = None


class Intake:
    """Accepts batches of one environment and makes them durable.

    ``horizon``: how far from their arrival, by ``clock``, events may be; of ``kept``, what it keeps.
    ``budget``: bounds what is accepted and not durable, in all intakes together. ``commit_events``: one
    write takes no further request once it has so many.
    """

    def __init__(
        self,
        saver: Saver,
        *,
        horizon: Horizon,
        kept: Kept | None = None,
        clock: Callable[[], int],
        budget: Budget,
        commit_events: int,
        figures: IntakeFigures,
    ) -> None:
        self._horizon = horizon
        self._kept = kept
        self._saver = saver
        self._clock = clock
        self._budget = budget
        self._commit_events = commit_events
        self._figures = figures
        self._loop = asyncio.get_running_loop()
        self._context = copy_context()  # a commit is of many requests, and logged as of none
        self._lanes: dict[str, Lane] = {}
        self._closed = False

    @property
    def horizon(self) -> Horizon:
        """What events that arrive now have to be within."""
        if self._kept is None:
            return self._horizon
        return replace(self._horizon, expired_before=self._kept.expired_before)

    async def accept(self, batch: Batch) -> int:
        """Make a batch durable, and return how many of its events are only in the spool.

        All others are counted by every later query. Raises `Overloaded` where a bound is reached, the
        spool's included, `InvalidEvent` where the store refuses an event, `Unavailable` where the store
        does not answer and there is no spool. Only a batch of several types, or one with an event that
        had to go to the spool behind another, can be stored in part when it fails; sending it again with
        the same ids stores nothing twice.
        """
        return await self.offer(batch)

    def offer(self, batch: Batch) -> asyncio.Future[int]:
        """Take a batch and return the promise that `accept` waits for.

        Raises `InvalidEvent` for an event that is not within the horizon or has expired, `Overloaded`, and
        `Unavailable` once the intake is closed.
        """
        if not batch.events:
            self.check()
            return self._resolved()
        self._check_horizon(batch)
        parts = self._parts(batch)
        try:
            self._check(parts)
        except Overloaded:
            self._figures.refused(len(batch.events), "overloaded")
            raise
        except Unavailable:
            self._figures.refused(len(batch.events), "stopping")
            raise
        self._figures.accepted(len(batch.events))
        if batch.unknown:
            self.noted(batch.unknown)
        parcels = [self._queue(*part) for part in parts]
        return parcels[0].settled if len(parcels) == 1 else self._all(parcels)

    def refused(self, error: CubeError, events: int | None = None) -> None:
        """Count events that were refused before they came here; by default, those that the error tells of."""
        kind = next((reason for kind, reason in REASONS if isinstance(error, kind)), None)
        reason = error.details.get("reason", kind)
        if reason is not None:
            told = error.events if isinstance(error, InvalidRequest) else 1
            self._figures.refused(told if events is None else events, reason)

    def noted(self, unknown: UnknownKeys) -> None:
        """Count keys of accepted events that no event has."""
        self._figures.unknown(unknown.counts())

    def check(self) -> None:
        """Return if one more event would be accepted; raise what `offer` would if not."""
        if self._closed:
            raise Unavailable("The collector is stopping; nothing new is accepted.")
        if not self._budget.fits([(Account(), 1, 0)]):
            raise self._budget.refusal()

    async def ready(self) -> None:
        """Do what `check` does, and look after the spool as well."""
        self.check()
        await self._saver.ready()

    async def room(self, batch: Batch) -> None:
        """Return when `batch` would be accepted: for those that can make their client wait."""
        parts = self._parts(batch)
        await self._budget.until(lambda: self._closed or self._budget.fits(self._wanted(parts)))

    async def close(self) -> None:
        """Accept nothing more, and return when nothing waits and what holds it all is closed."""
        self._closed = True
        self._budget.ease()
        while committing := [lane.committing for lane in self._lanes.values() if lane.committing]:
            await asyncio.wait(committing)
        await self._saver.close()

    def _check_horizon(self, batch: Batch) -> None:
        try:
            self.horizon.check_all(batch.events, self._clock())
        except InvalidEvent as error:
            self.refused(error, len(batch.events))
            raise

    def _resolved(self) -> asyncio.Future[int]:
        future = self._loop.create_future()
        future.set_result(0)
        return future

    def _parts(self, batch: Batch) -> list[_Part]:
        """Return the events of each type, their size, and where in the batch they stand."""
        by_type = batch.by_type() if batch.events else {}
        if len(by_type) == 1:
            return [(batch.events, batch.size, None)]
        return [
            ([batch.events[place] for place in places], batch.size * len(places) // len(batch.events), places)
            for places in by_type.values()
        ]

    def _wanted(self, parts: Sequence[_Part]) -> Iterator[tuple[Account, int, int]]:
        for events, size, _ in parts:
            lane = self._lanes.get(events[0].type)
            yield Account() if lane is None else lane.account, len(events), size

    def _check(self, parts: Sequence[_Part]) -> None:
        if self._closed:
            raise Unavailable("The collector is stopping; nothing new is accepted.")
        if not self._budget.fits(self._wanted(parts)):
            raise self._budget.refusal()

    def _queue(self, events: Sequence[Event], size: int, places: Sequence[int] | None) -> Parcel:
        parcel = Parcel(events, size, self._loop.create_future(), places)
        type = events[0].type
        lane = self._lanes.get(type)
        if lane is None:
            lane = self._lanes[type] = Lane()
        self._budget.take(lane.account, len(events), size)
        lane.parcels.append(parcel)
        if lane.committing is None:
            lane.committing = self._loop.create_task(self._empty(type, lane), context=self._context)
        return parcel

    def _all(self, parcels: Sequence[Parcel]) -> asyncio.Future[int]:
        """Return one promise for several: kept when all are, broken as the first one broken is."""
        whole = self._loop.create_future()
        left = len(parcels)

        def settled(_: asyncio.Future[int]) -> None:
            nonlocal left
            left -= 1
            if left:
                return
            errors = [error for parcel in parcels if (error := parcel.settled.exception()) is not None]
            if whole.done():  # its request is gone
                return
            if errors:
                whole.set_exception(errors[0])
            else:
                whole.set_result(sum(parcel.settled.result() for parcel in parcels))

        for parcel in parcels:
            parcel.settled.add_done_callback(settled)
        return whole

    # Committing.

    async def _empty(self, type: str, lane: Lane) -> None:
        """Commit until nothing of a type waits."""
        try:
            while lane.parcels:
                await self._commit(type, lane, self._next(lane))
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

    async def _commit(self, type: str, lane: Lane, parcels: list[Parcel]) -> None:
        """Store parcels together; one that the store refuses leaves, and the others go on."""
        while parcels:
            try:
                spooled = await self._save(type, parcels)
            except InvalidEvent as error:
                guilty, index = locate(parcels, error)
                guilty.refuse(error, index)
                parcels = [parcel for parcel in parcels if parcel is not guilty]
                self._fail(lane, [guilty], error)
            except Exception as error:  # whatever it is, those who wait are told
                self._fail(lane, parcels, error)
                return
            else:
                self._settle(lane, parcels, spooled)
                return

    async def _save(self, type: str, parcels: Sequence[Parcel]) -> Collection[int]:
        events: Sequence[Event] = parcels[0].events
        if len(parcels) > 1:
            events = [event for parcel in parcels for event in parcel.events]
        with self._figures.commit(len(events)):
            return await self._saver.save(type, events)

    def _settle(self, lane: Lane, parcels: Sequence[Parcel], spooled: Collection[int]) -> None:
        first = 0
        for parcel in parcels:
            following = first + len(parcel.events)
            parcel.succeed(sum(place in spooled for place in range(first, following)) if spooled else 0)
            first = following
        self._give_back(lane, parcels)
        self._figures.settled(first, len(spooled))

    def _fail(self, lane: Lane, parcels: Sequence[Parcel], error: Exception) -> None:
        for parcel in parcels:
            parcel.fail(error)
        self._give_back(lane, parcels)
        self._figures.failed(sum(len(parcel.events) for parcel in parcels), error)

    def _give_back(self, lane: Lane, parcels: Sequence[Parcel]) -> None:
        for parcel in parcels:
            self._budget.give_back(lane.account, len(parcel.events), parcel.size)


Intakes: TypeAlias = Mapping[str, Intake]
"""The intake of each environment, by its name."""
