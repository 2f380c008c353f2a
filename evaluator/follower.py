"""One client of a stream: what it waits for, and what waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TypeAlias

from cube.errors import Overloaded
from cube.event import EventId, id_key
from cube.store.find import Found
from evaluator.query import EventQuery
from evaluator.window import Arrival, Window

WAITING_EVENTS = 50_000
"""A follower for which more events wait is told so, and let go."""

WAITING_BYTES = 64 * 2**20
"""The same for what they hold."""

DOUBT_MS = 60_000
"""How long a follower remembers what it was given first: some of it may be announced once more."""

_Key: TypeAlias = "tuple[int, tuple[int, EventId]]"


class Follower:
    """Puts events in order for one client: each once it is due, late ones at once.

    All times are in milliseconds. `advance` is called once per look, with the same clock.
    """

    def __init__(self, query: EventQuery, waiting_bytes: int = WAITING_BYTES) -> None:
        self.query = query
        self._waiting_bytes = waiting_bytes
        self._began = 0
        self._looked: int | None = None
        self._first: dict[_Key, Found] = {}
        self._waiting: dict[int, Arrival] = {}
        self._announced: set[int] = set()
        self._batch: list[Found] = []
        self._batch_bytes = 0  # of what has come since it began; what it began with is bounded on its own
        self._filled = asyncio.Event()
        self._error: Exception | None = None

    def oldest(self, now: int) -> int:
        """Return the oldest time that may still be delivered, judged by the last look."""
        looked = now if self._looked is None else self._looked
        return max(self.query.start, looked - self.query.delay - self.query.late)

    def begin(self, first: list[Found], waiting: Iterable[Arrival], now: int) -> None:
        """Give it what is due at `now`, in order; what is not yet due waits."""
        self._began = self._looked = now
        self._first = {_key(found): found for found in first}
        self._waiting = {arrival.digest: arrival for arrival in waiting}
        self._announced = set(self._waiting)
        self._give(first)

    def offer(self, fresh: Iterable[Arrival]) -> None:
        """Take new events, unless they are too old, or were given when it began."""
        if self._looked is None:
            return
        oldest = self.oldest(self._looked)
        for arrival in fresh:
            if arrival.time >= oldest and not self._was_first(arrival):
                self._waiting[arrival.digest] = arrival

    def advance(self, now: int, window: Window) -> None:
        """Give out what is due at `now`, except what has been replaced while it waited."""
        due = [arrival for arrival in self._waiting.values() if arrival.time < now - self.query.delay]
        for arrival in due:
            del self._waiting[arrival.digest]
        given = window.held(due)
        # Announced before it was in the window: it will be announced again.
        self._announced -= {arrival.digest for arrival in due} - {arrival.digest for arrival in given}
        self._batch_bytes += sum(arrival.size for arrival in given)
        self._give([Found(*arrival[:3]) for arrival in sorted(given, key=_key)])
        self._looked = now
        if now - self._began > DOUBT_MS:
            self._first, self._announced = {}, set()

    def fail(self, error: Exception) -> None:
        """End it with an error, after what was given."""
        self._error = error
        self._filled.set()

    async def batch(self) -> list[Found]:
        """Return the events that were given since the last call, at least one; raises what it failed with."""
        await self._filled.wait()
        if self._error is not None:
            raise self._error
        batch, self._batch, self._batch_bytes = self._batch, [], 0
        self._filled.clear()
        return batch

    def _give(self, events: list[Found]) -> None:
        if events:
            self._batch += events
            self._filled.set()
        if len(self._batch) + len(self._waiting) > WAITING_EVENTS + self.query.limit:
            self._let_go(f"More than {WAITING_EVENTS} events")
        elif (
            self._batch_bytes + sum(arrival.size for arrival in self._waiting.values()) > self._waiting_bytes
        ):
            self._let_go(f"More than {self._waiting_bytes} bytes of events")

    def _let_go(self, what: str) -> None:
        self._batch, self._waiting = [], {}
        self.fail(Overloaded(f"{what} wait for this client, which reads too slowly."))

    def _was_first(self, arrival: Arrival) -> bool:
        """Tell whether a new event was given, as it is, when it began (and forget that)."""
        if arrival.digest in self._announced:
            self._announced.discard(arrival.digest)
            return True
        first = self._first.pop(_key(arrival), None)
        return first is not None and first.data == arrival.data


def _key(event: Found | Arrival) -> _Key:
    return event.time, id_key(event.id)
