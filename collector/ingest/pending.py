"""What waits in the intake: batches that were accepted, of each type in order, until they are stored."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from collector.ingest.batch import Batch
from collector.ingest.quota import Usage
from cube.errors import ExpiredEvent, InvalidEvent
from cube.model.event import Event
from cube.model.horizon import expired_reason

MOST_AWAITED: Final = 64
"""Events of a commit for whose clients' next ones the next commit waits."""

ANSWER_SECONDS: Final = 0.002
"""So long at most: a commit takes a MongoDB longer. uvloop counts in milliseconds: it may be half of that."""


class TypePart(NamedTuple):
    """The events of one type in one request; ``places``: see `PendingBatch`."""

    type: str
    events: Sequence[Event]
    size: int
    places: Sequence[int] | None = None


@dataclass(slots=True, eq=False)
class PendingBatch:
    """The events of one type in one request, and the promise to tell what became of them.

    ``places``: where in the request they stood; None if that is where they stand here. ``settled``: how
    many of them are only in the spool. ``refused``: why the store refuses some of them, each as it would be
    told of that event alone, by these places, where that costs no other; None where it costs all.
    """

    events: Sequence[Event]
    size: int
    settled: asyncio.Future[int]
    places: Sequence[int] | None = None
    refused: dict[int, InvalidEvent] | None = None

    def leave_out(self, error: InvalidEvent, index: int) -> int:
        """Leave out event `index`, which the store refuses, and all that have expired; return how many.

        None of them where one that is refused is to cost all.
        """
        if self.refused is None:
            return 0
        places = range(len(self.events)) if self.places is None else self.places
        kept_events, kept_places = [], []
        for at, (event, place) in enumerate(zip(self.events, places, strict=True)):
            if isinstance(error, ExpiredEvent) and event.time < error.before:
                reason = expired_reason(event.type, event.time, error.before)
                self.refused[place] = _refusal(reason, error, 0, event)
            elif at == index:
                self.refused[place] = _refusal(error.message, error, 0, event)
            else:
                kept_events.append(event)
                kept_places.append(place)
        left_out = len(self.events) - len(kept_events)
        self.events, self.places = kept_events, kept_places
        return left_out

    def refuse(self, error: InvalidEvent, index: int) -> None:
        """Tell that event `index` of this batch cannot be stored, and therefore none of them."""
        place = index if self.places is None else self.places[index]
        self.fail(_refusal(error.message, error, place, self.events[index]))

    def fail(self, error: Exception) -> None:
        if not self.settled.done():
            self.settled.set_exception(error)

    def succeed(self, spooled: int) -> None:
        """Tell that all are durable, so many of them only in the spool."""
        if not self.settled.done():
            self.settled.set_result(spooled)


@dataclass(slots=True)
class TypeQueue:
    """What waits of one type, in order of arrival, and its commit, if one is under way.

    ``events``: how many wait. ``handed_over``: small batches that the store itself joins to others.
    """

    pending: deque[PendingBatch] = field(default_factory=deque)
    events: int = 0
    usage: Usage = field(default_factory=Usage)
    committing: asyncio.Task[None] | None = None
    handed_over: set[asyncio.Task[None]] = field(default_factory=set)
    _awaited: int = 0
    _come: asyncio.Future[None] | None = None

    def add(self, pending: PendingBatch) -> None:
        self.pending.append(pending)
        self.events += len(pending.events)
        if self.events >= self._awaited:
            self.hurry()

    def next(self, most: int) -> list[PendingBatch]:
        """Take the batches of the next commit: the first, and behind it what is within so many events."""
        pending = [self.pending.popleft()]
        count = len(pending[0].events)
        while self.pending and count + len(self.pending[0].events) <= most:
            pending.append(self.pending.popleft())
            count += len(pending[-1].events)
        self.events -= count
        return pending

    def hurry(self) -> None:
        """Wait for no more events."""
        if self._come is not None and not self._come.done():
            self._come.set_result(None)

    async def as_many(self, events: int) -> None:
        """Return when as many events wait as a short commit had, for at most `ANSWER_SECONDS`.

        A commit of one costs as much as one of sixteen. Who has just been told of theirs sends the next ones
        at once, or not at all; without this the first of them would be a commit by itself, behind which all
        others wait. Whoever sends alone is not waited for.
        """
        if not max(1, self.events) < events <= MOST_AWAITED:
            return
        loop = asyncio.get_running_loop()
        self._awaited, self._come = events, loop.create_future()
        timer = loop.call_later(ANSWER_SECONDS, self.hurry)
        try:
            await self._come
        finally:
            timer.cancel()
            self._come = None

    @property
    def running(self) -> set[asyncio.Task[None]]:
        """Its tasks."""
        return self.handed_over if self.committing is None else {self.committing, *self.handed_over}


async def all_settled(pending: Sequence[PendingBatch]) -> int:
    """Wait until all are settled, and return how many are only in the spool; raise what the first raises."""
    spooled = 0
    for outcome in await asyncio.gather(*(one.settled for one in pending), return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome
        spooled += outcome
    return spooled


def located(pending: Sequence[PendingBatch], error: InvalidEvent) -> tuple[PendingBatch, int]:
    """Find the batch, and the place in it, of the event that a shared write was refused for."""
    index = refused = int(error.details["index"])
    for one in pending:
        if index < len(one.events):
            return one, index
        index -= len(one.events)
    raise IndexError(f"the store refused event {refused} of a commit that has fewer") from error


def of_each_type(batch: Batch) -> list[TypePart]:
    """Part a batch by the types of its events, in the order in which these come first."""
    by_type = batch.by_type() if batch.events else {}
    if len(by_type) == 1:
        (type,) = by_type
        return [TypePart(type, batch.events, batch.size)]
    return [
        TypePart(
            type,
            [batch.events[place] for place in places],
            batch.size * len(places) // len(batch.events),
            places,
        )
        for type, places in by_type.items()
    ]


def _refusal(message: str, error: InvalidEvent, place: int, event: Event) -> InvalidEvent:
    shown = None if isinstance(event.id, bytes) else event.id
    return InvalidEvent(message, **{**error.details, "index": place, "id": shown})
