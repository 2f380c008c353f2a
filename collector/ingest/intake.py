"""The intake: what was accepted, until it is stored.

Requests that wait at the same time share a write (group commit): while one commit of a type is under
way the next requests gather, and a lone one is written at once. A commit belongs to the intake, so a
client that goes away cancels nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextvars import copy_context
from dataclasses import replace
from functools import partial
from typing import Any, Final, TypeAlias

from collector.ingest.batch import Batch, UnknownKeys
from collector.ingest.pending import PendingBatch, TypePart, TypeQueue, all_settled, located, of_each_type
from collector.ingest.quota import Quota, Usage
from collector.ingest.retention import ExpiryClock
from collector.ingest.store_writer import StoreWriter
from collector.ingest.tally import IntakeTally, reason_of
from collector.instrumentation import IntakeCounters
from cube.errors import CubeError, InvalidEvent, InvalidRequest, Overloaded, Unavailable
from cube.model.event_run import joined
from cube.model.horizon import Horizon

MOST_HANDED_OVER: Final = 32
"""Short batches of a type that the store joins to others. What comes beside them is gathered here, as handing
over costs as much as ten events do."""


class Intake:
    """Accepts batches of one environment and makes them durable.

    ``horizon``: how far from their arrival, by ``clock``, events may be; ``expiry``: what has expired.
    ``quota``: bounds what is accepted and not durable, in all intakes together. ``commit_events``: one
    write takes no further request once it has so many. ``tally``: what the daemon's status tells.
    """

    def __init__(
        self,
        writer: StoreWriter,
        *,
        horizon: Horizon,
        expiry: ExpiryClock | None = None,
        clock: Callable[[], int],
        quota: Quota,
        commit_events: int,
        counters: IntakeCounters,
        tally: IntakeTally,
    ) -> None:
        self._horizon = horizon
        self._expiry = expiry
        self._takes_any_time = expiry is None and horizon == Horizon()
        self._writer = writer
        self._clock = clock
        self._quota = quota
        self._commit_events = commit_events
        self._counters = counters
        self._tally = tally
        self._loop = asyncio.get_running_loop()
        self._context = copy_context()  # a commit is of many requests, and logged as of none
        self._queues: dict[str, TypeQueue] = {}
        self._closed = False

    @property
    def horizon(self) -> Horizon:
        """What events that arrive now have to be within."""
        if self._expiry is None:
            return self._horizon
        return replace(self._horizon, expired_before=self._expiry.expired_before)

    async def accept(self, batch: Batch) -> int:
        """Make a batch durable, and return how many of its events are only in the spool.

        All others are counted by every later query. Raises `Overloaded` where a bound is reached, the
        spool's included, `InvalidEvent` where the store refuses an event, `Unavailable` where the store
        does not answer and there is no spool. Only a batch of several types, or one with an event that
        had to go to the spool behind another, can be stored in part when it fails; sending it again with
        the same ids stores nothing twice.
        """
        return await self.offer(batch)

    def offer(self, batch: Batch, refused: dict[int, InvalidEvent] | None = None) -> asyncio.Future[int]:
        """Take a batch and return the promise that `accept` waits for.

        ``refused``: where it is given, an event that the store refuses costs no other: why is put into it,
        by the event's place, and the others are stored in the order in which all was offered. Whoever gives
        it has looked at the horizon already. Raises `InvalidEvent` for an event that is not within the
        horizon or has expired, `Overloaded`, and `Unavailable` once the intake is closed.
        """
        if not batch.events:
            self.check()
            return self._loop.create_task(all_settled(()))
        try:
            if refused is None and not self._takes_any_time:
                self.horizon.check_all(batch.events, self._clock())
        except InvalidEvent as error:
            error.type = batch.events[error.details.get("index", 0)].type
            self.refused(error, len(batch.events))
            raise
        parts = of_each_type(batch)
        try:
            self._check(self._wanted(parts))
        except (Overloaded, Unavailable) as error:
            reason = "stopping" if self._closed else "overloaded"
            self._counters.refused.labels(reason).inc(len(batch.events))
            self._tally.refused(reason, len(batch.events), error.message, batch.events[0].type)
            raise
        return self._take(batch, parts, refused)

    def offer_quietly(self, batch: Batch, refused: dict[int, InvalidEvent]) -> asyncio.Future[int] | None:
        """Do what `offer` does; where that would refuse the batch, count and log nothing, and return None.

        For events of requests that came at the same time: what is stored once one of them is refused may come
        behind what was offered later.
        """
        try:
            if not self._takes_any_time:
                self.horizon.check_all(batch.events, self._clock())
        except InvalidEvent:
            return None
        if self._closed or not self.has_room(batch):
            return None
        return self._take(batch, of_each_type(batch), refused, in_order=False)

    def refused(self, error: CubeError, events: int | None = None) -> None:
        """Count events that were refused before they came here; by default, those that the error tells of."""
        reason = reason_of(error)
        if reason is not None:
            told = error.events if isinstance(error, InvalidRequest) else 1
            count = told if events is None else events
            self._counters.refused.labels(reason).inc(count)
            self._tally.refused(reason, count, error.message, error.type)

    def noted(self, unknown: UnknownKeys) -> None:
        """Count keys of accepted events that no event has."""
        for meant, keys in unknown.counts().items():
            self._counters.unknown.labels(meant).inc(keys)

    def told(self) -> dict[str, Any]:
        """Return what the daemon's status tells of this environment, and of what waits in memory of all."""
        waiting = {"events": self._quota.events, "bytes": self._quota.bytes}
        return {**self._tally.told(), "spool": self._writer.told(), "waiting": waiting}

    def check(self) -> None:
        """Return if one more event would be accepted; raise what `offer` would if not."""
        self._check([(Usage(), 1, 0)])

    async def ready(self) -> None:
        """Do what `check` does, and look after the spool as well."""
        self.check()
        await self._writer.ready()

    def has_room(self, batch: Batch) -> bool:
        """Tell whether `batch` would be accepted now, or nothing will be any more."""
        if self._closed or self._quota.is_ample(len(batch.events), batch.size):
            return True
        return self._quota.fits(self._wanted(of_each_type(batch)))

    async def room(self, batch: Batch) -> None:
        """Return once it `has_room`: for those that can make their client wait."""
        await self._quota.eased.wait_for(lambda: self.has_room(batch))

    async def close(self) -> None:
        """Accept nothing more, and return when nothing waits and what holds it all is closed."""
        self._closed = True
        self._quota.eased.notify()
        for queue in self._queues.values():
            queue.hurry()
        while running := set().union(*(queue.running for queue in self._queues.values())):
            await asyncio.wait(running)
        await self._writer.close()

    def _wanted(self, parts: Sequence[TypePart]) -> list[tuple[Usage, int, int]]:
        queues = ((part, self._queues.get(part.type)) for part in parts)
        return [(Usage() if it is None else it.usage, len(part.events), part.size) for part, it in queues]

    def _take(
        self,
        batch: Batch,
        parts: Sequence[TypePart],
        refused: dict[int, InvalidEvent] | None,
        *,
        in_order: bool = True,
    ) -> asyncio.Future[int]:
        if batch.unknown:
            self.noted(batch.unknown)
        pending = [self._queue(part, refused, in_order=in_order) for part in parts]
        return pending[0].settled if len(pending) == 1 else self._loop.create_task(all_settled(pending))

    def _check(self, wanted: Sequence[tuple[Usage, int, int]]) -> None:
        if self._closed:
            raise Unavailable("The collector is stopping; nothing new is accepted.")
        if not self._quota.fits(wanted):
            raise self._quota.overloaded()

    def _queue(
        self, part: TypePart, refused: dict[int, InvalidEvent] | None, *, in_order: bool
    ) -> PendingBatch:
        type, events, size, places = part
        pending = PendingBatch(events, size, self._loop.create_future(), places, refused)
        self._counters.accepted.inc(len(events))
        self._tally.arrivals.add(type, len(events))
        queue = self._queues.setdefault(type, TypeQueue())
        self._quota.take(queue.usage, len(events), size)
        is_short = (refused is None or not in_order) and len(events) <= self._writer.joins
        if is_short and queue.committing is None and len(queue.handed_over) < MOST_HANDED_OVER:
            self._hand_over(type, queue, pending)
            return pending
        queue.add(pending)
        if queue.committing is None:
            queue.committing = self._loop.create_task(self._empty(type, queue), context=self._context)
        return pending

    def _hand_over(self, type: str, queue: TypeQueue, pending: PendingBatch) -> None:
        """Have the store join a batch to what waits there: it is told sooner when a commit has ended."""
        commit = self._commit(type, queue, [pending], more=True)
        task = self._loop.create_task(commit, context=self._context)
        queue.handed_over.add(task)
        task.add_done_callback(partial(self._handed_over, type, queue))

    def _handed_over(self, type: str, queue: TypeQueue, task: asyncio.Task[None]) -> None:
        queue.handed_over.discard(task)
        if not queue.running:
            del self._queues[type]

    async def _empty(self, type: str, queue: TypeQueue) -> None:
        """Commit until nothing of a type waits."""
        try:
            while queue.pending:
                pending = queue.next(self._commit_events)
                events = sum([len(one.events) for one in pending])
                await self._commit(type, queue, pending)
                if not (self._closed or self._writer.joins):  # a store that joins waits by itself
                    await queue.as_many(events)
        finally:
            queue.committing = None
            if not queue.running:
                del self._queues[type]

    async def _commit(
        self, type: str, queue: TypeQueue, pending: list[PendingBatch], *, more: bool = False
    ) -> None:
        """Store batches together; what the store refuses leaves, an event or its batch; the others go on."""
        while pending:
            events = joined([one.events for one in pending])
            self._counters.sizes.observe(len(events))
            began = time.perf_counter()
            try:
                try:
                    spooled = await self._writer.save(type, events, more=more)
                finally:
                    self._counters.seconds.observe(time.perf_counter() - began)
            except InvalidEvent as error:
                guilty, index = located(pending, error)
                if left_out := guilty.leave_out(error, index):
                    self._quota.give_back(queue.usage, left_out, 0)
                    self._count_failed(type, left_out, error)
                    if guilty.events:
                        continue
                    self._settle(type, queue, [guilty], ())
                else:
                    guilty.refuse(error, index)
                    self._fail(type, queue, [guilty], error)
                pending = [one for one in pending if one is not guilty]
            except Exception as error:  # whatever it is, those who wait are told
                self._fail(type, queue, pending, error)
                return
            else:
                self._settle(type, queue, pending, spooled)
                return

    def _settle(
        self, type: str, queue: TypeQueue, pending: Sequence[PendingBatch], spooled: Collection[int]
    ) -> None:
        first = 0
        for one in pending:
            following = first + len(one.events)
            one.succeed(sum(place in spooled for place in range(first, following)) if spooled else 0)
            self._quota.give_back(queue.usage, len(one.events), one.size)
            first = following
        self._counters.stored.inc(first - len(spooled))
        self._counters.spooled.inc(len(spooled))

    def _fail(self, type: str, queue: TypeQueue, pending: Sequence[PendingBatch], error: Exception) -> None:
        for one in pending:
            events = len(one.events)
            one.fail(error)
            self._quota.give_back(queue.usage, events, one.size)
            self._count_failed(type, events, error)

    def _count_failed(self, type: str, events: int, error: Exception) -> None:
        kind = InvalidEvent if isinstance(error, InvalidEvent) else error.__class__
        self._counters.failed.labels(kind.__name__).inc(events)
        self._tally.failed(error, events, type)


Intakes: TypeAlias = Mapping[str, Intake]
"""The intake of each environment, by its name."""
