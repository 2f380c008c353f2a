"""Events go to a collector in large batches, several at once, and are settled in their order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Final, Protocol

from cube.client.connection import COLLECTOR_URL, Closing, HttpClient, Retries
from cube.errors import InvalidRequest, TooLarge
from cube.importing.event_maker import ImportedEvent
from cube.importing.record import SourceRecord

BATCH_EVENTS: Final = 5_000
BATCH_BYTES: Final = 4 * 2**20
"""A batch is sent when it has so many events or bytes."""

IN_FLIGHT: Final = 3
"""Requests at once: while one is being stored, the next is being read."""

PATIENCE: Final = Retries(attempts=7)
"""Some 25 seconds, for a daemon that is started again."""

_PARTS = 10


class Poster(Protocol):
    """What sends one request."""

    def post(self, texts: Sequence[bytes]) -> None:
        """Store events durably, all or none; raises what a collector says."""
        ...

    def close(self) -> None:
        """Close its connection."""
        ...


class CollectorConnection(HttpClient):
    """A `Poster` to a collector over HTTP."""

    default_url = COLLECTOR_URL

    def post(self, texts: Sequence[bytes]) -> None:
        """Store events durably, all or none."""
        self._request("POST", "/1.0/event", b"[" + b",".join(texts) + b"]")


@dataclass(slots=True)
class ImportBatch:
    """Records that are settled together. ``upto``: the count of records with its last; ``place``: of that
    in a database.

    ``events``: to be stored; ``rejected``: records that are none, with the reason. ``checked``: whether all
    events are known to be valid.
    """

    upto: int = 0
    place: str = ""
    size: int = 0
    events: list[ImportedEvent] = field(default_factory=list)
    rejected: list[tuple[SourceRecord, str]] = field(default_factory=list)
    checked: bool = True

    def is_full(self) -> bool:
        """Tell whether it is to be sent."""
        return (
            len(self.events) >= BATCH_EVENTS or self.size > BATCH_BYTES or len(self.rejected) > BATCH_EVENTS
        )


Settle = Callable[[ImportBatch], None]
"""Is told each batch once its events are stored, but those that have become ``rejected``; in order."""


class BatchSender(Closing):
    """Sends batches over several connections; ``connect`` makes one. For one thread.

    ``check``: makes the events of a batch once more, and checks them; what it finds wrong it rejects.
    """

    def __init__(self, connect: Callable[[], Poster], settle: Settle, check: Settle) -> None:
        self._settle = settle
        self._check = check
        self._in_flight = IN_FLIGHT
        self._pool = ThreadPoolExecutor(IN_FLIGHT, thread_name_prefix="import")
        self._idle: SimpleQueue[Poster] = SimpleQueue()
        self._posters = [connect() for _ in range(IN_FLIGHT + 1)]  # one is for what is sent once more
        for poster in self._posters:
            self._idle.put(poster)
        self._pending: deque[tuple[ImportBatch, Future[None]]] = deque()

    def send(self, batch: ImportBatch) -> None:
        """Send a batch; waits while as many as there are connections are under way.

        Raises what the collector said of a batch before.
        """
        self._pending.append((batch, self._pool.submit(self._post, batch.events)))
        while len(self._pending) > self._in_flight:
            self._settle_first()

    def finish(self) -> None:
        """Wait until all are settled; raises what the collector says of the first that cannot be."""
        while self._pending:
            self._settle_first()

    def close(self) -> None:
        """Forget what has not begun, and close the connections once what has is done."""
        self._pool.shutdown(cancel_futures=True)
        self._pending.clear()
        for poster in self._posters:
            poster.close()

    def _settle_first(self) -> None:
        batch, future = self._pending[0]
        try:
            future.result()
        except InvalidRequest as error:
            if batch.checked and not _is_of_events(error):
                raise
            self._store_apart(batch)
        self._pending.popleft()
        self._settle(batch)

    def _store_apart(self, batch: ImportBatch) -> None:
        """Store what is right of a batch that was refused."""
        if not batch.checked:
            self._check(batch)
        refused: dict[int, str] = {}
        self._part(batch.events, 0, refused)
        batch.rejected += [(batch.events[index].record, reason) for index, reason in refused.items()]
        batch.rejected.sort(key=lambda rejected: rejected[0].number)
        batch.events = [event for index, event in enumerate(batch.events) if index not in refused]

    def _part(self, events: Sequence[ImportedEvent], first: int, refused: dict[int, str]) -> None:
        """Store events; where one is refused, or all are too many or too large, in smaller parts."""
        try:
            self._post(events)
        except InvalidRequest as error:
            if not _is_of_events(error):
                raise
            if len(events) == 1:
                refused[first] = error.message
                return
            part = -(-len(events) // _PARTS)
            for start in range(0, len(events), part):
                self._part(events[start : start + part], first + start, refused)

    def _post(self, events: Sequence[ImportedEvent]) -> None:
        if not events:
            return
        poster = self._idle.get()
        try:
            poster.post([event.text for event in events])
        finally:
            self._idle.put(poster)


def _is_of_events(error: InvalidRequest) -> bool:
    """Tell whether the events are what is wrong with a request, or how many they are."""
    return isinstance(error, TooLarge) or "index" in error.details
