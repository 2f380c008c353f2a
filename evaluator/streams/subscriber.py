"""One client of a stream: what it has been given, and what waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Sequence
from typing import TypeAlias

from cube.errors import Overloaded
from cube.model.event import EventId, id_key
from cube.model.tier import TEN_SECONDS, Span
from cube.store.find import Found
from evaluator.query.queries import EventQuery
from evaluator.streams.reader import Arrival

WAITING_EVENTS = 50_000
"""A subscriber for which more events wait to be read is told so, and dropped; its first are not counted."""

WAITING_BYTES = 64 * 2**20
"""The same for what they hold."""

AHEAD = 10_000
"""While more events wait to be read, no more are read from the store for a subscriber: it falls behind."""

BEHIND_MS = 60_000
"""One that falls behind by more than this, because it does not read, is dropped."""

DOUBT_MS = 60_000
"""How long a subscriber remembers what it was given first: some of it may be announced once more."""

_Id: TypeAlias = "tuple[int, EventId]"


class Subscriber:
    """Puts events in order for one client: each once it is due, late ones at once.

    All times are in milliseconds. ``watermark``: all that is before it has been given, except what is stored
    late; good once it ``has_watermark``. It begins with `set_watermark` and, once its first events have been
    found, `begin`. After that `offer` tells it of what is stored late, `deliver` of what is due, and `flush`
    gives it all to the client.
    """

    def __init__(self, query: EventQuery, waiting_bytes: int = WAITING_BYTES) -> None:
        self.query = query
        self.watermark = 0
        self.has_watermark = False
        self._began: int | None = None
        self._waiting_bytes = waiting_bytes
        self._complete_from = 0
        self._given: dict[_Id, int] = {}
        self._announced: set[_Id] = set()
        self._early: list[tuple[Sequence[Arrival], bool]] = []
        self._pending: list[Arrival] = []
        self._batch: list[Found] = []
        self._waiting = 0  # events and bytes that have come since it began, and are not yet read
        self._waiting_size = 0
        self._excused_ms = 0
        self._filled = asyncio.Event()
        self._error: Exception | None = None

    @property
    def is_ready(self) -> bool:
        """Whether its client reads: what waits is little enough for more."""
        return self._waiting < AHEAD and self._waiting_size < self._waiting_bytes // 4

    def target(self, now: int) -> int:
        """Return the watermark that it should have; it never goes back, wherever the clock is set."""
        return max(self.watermark, now - self.query.delay)

    def watched(self, now: int) -> Span:
        """Return the span of the buckets in which there may be something for it."""
        oldest = max(self.query.start, self.watermark - self.query.late)
        return TEN_SECONDS.cover(Span(min(oldest, self.target(now)), self.target(now)))

    def set_watermark(self, now: int) -> None:
        """Set its watermark, before its first events are read; what is offered from now on is kept for it."""
        self.has_watermark, self.watermark = True, now - self.query.delay
        self._early.clear()

    def begin(self, first: Sequence[Arrival], now: int, announced: Collection[int] = ()) -> None:
        """Give it what there was before its watermark, in order: the latest of it.

        ``announced``: buckets of which something is sure to be offered that is in ``first``, or was.
        """
        self._began = now
        cut = len(first) >= self.query.limit
        self._complete_from = first[0].time + 1 if cut else self.query.start
        self._given = {id_key(arrival.id): arrival.digest for arrival in first}
        self._announced = {
            id_key(arrival.id) for arrival in first if TEN_SECONDS.floor(arrival.time) in announced
        }
        self._give(first)
        for arrivals, doubtful in self._early:
            self.offer(arrivals, doubtful=doubtful)
        self._early.clear()

    def offer(self, arrivals: Sequence[Arrival], *, doubtful: bool = False) -> None:
        """Take events that came after it began, ordered by time, unless they are not due, or too old.

        ``doubtful``: they may have come before; then those count that its first answer would have held.
        """
        if not arrivals or not self.has_watermark:
            return
        if self._began is None:
            self._keep_early([each for each in arrivals if each.time < self.watermark], doubtful)
            return
        since = max(
            self.query.start, self.watermark - self.query.late, self._complete_from if doubtful else 0
        )
        if arrivals[-1].time < since:  # the last: they are in order
            return
        self._add(
            [each for each in arrivals if since <= each.time < self.watermark and not self._was_given(each)]
        )

    def deliver(self, due: Iterable[Arrival], watermark: int, *, doubtful: Iterable[Arrival] = ()) -> None:
        """Take the events from its watermark up to another one, which becomes its watermark.

        ``doubtful``: those of them that may be offered once more.
        """
        self._given.update((id_key(arrival.id), arrival.digest) for arrival in doubtful)
        self._add([each for each in due if each.time >= self.query.start])
        self.watermark = watermark

    def flush(self) -> None:
        """Give what was taken to the client, in order."""
        self._give(sorted(self._pending, key=lambda arrival: (arrival.time, id_key(arrival.id))))
        self._pending = []
        if self._waiting > WAITING_EVENTS:
            self._drop(f"More than {WAITING_EVENTS} events wait")
        elif self._waiting_size > self._waiting_bytes:
            self._drop(f"More than {self._waiting_bytes} bytes of events wait")

    def excuse(self, now: int) -> None:
        """Hold it not against the client that it is behind now: the store, or the evaluator, was."""
        self._excused_ms = self.target(now) - self.watermark

    def end_poll(self, now: int, *, settled: bool) -> None:
        """End a poll: drop a client that does not read; forget what cannot be announced once more."""
        behind = self.target(now) - self.watermark
        if behind == 0:
            self._excused_ms = 0
        elif not self.is_ready and behind > self._excused_ms + BEHIND_MS:
            self._drop(f"Events of more than {BEHIND_MS // 1000} s wait")
        if settled and self._began is not None and abs(now - self._began) > DOUBT_MS:
            self._given, self._announced = {}, set()

    def fail(self, error: Exception) -> None:
        self._error = error
        self._filled.set()

    async def batch(self) -> list[Found]:
        """Return the events that were given since the last call, at least one; raises what it failed with."""
        await self._filled.wait()
        if self._error is not None:
            raise self._error
        batch, self._batch = self._batch, []
        self._waiting = self._waiting_size = 0
        self._filled.clear()
        return batch

    def _keep_early(self, arrivals: Sequence[Arrival], doubtful: bool) -> None:
        """Keep what is offered until it has begun; of what is in doubt, no more than its first could hold.

        Its first are at most ``limit``, the latest, and what is in doubt comes from the latest down.
        """
        kept = sum(len(each) for each, was_doubtful in self._early if was_doubtful)
        if arrivals and not (doubtful and kept > 2 * self.query.limit):
            self._early.append((arrivals, doubtful))

    def _add(self, arrivals: Sequence[Arrival]) -> None:
        self._pending += arrivals
        self._waiting += len(arrivals)
        self._waiting_size += sum(arrival.size for arrival in arrivals)

    def _give(self, arrivals: Sequence[Arrival]) -> None:
        if arrivals:
            self._batch += [Found(*arrival[:3]) for arrival in arrivals]
            self._filled.set()

    def _drop(self, what: str) -> None:
        self._batch, self._pending = [], []
        self.fail(Overloaded(f"{what} for this client, which reads too slowly."))

    def _was_given(self, arrival: Arrival) -> bool:
        """Tell whether an event was given already, as it is; what is told of an id counts once.

        What is sure to be told is waited for, though an older form of it is told of first.
        """
        id = id_key(arrival.id)
        given = self._given.get(id)
        if given == arrival.digest or id not in self._announced:
            self._given.pop(id, None)
        return given == arrival.digest
