"""What the subscribers of one expression are given at a poll: what is due, and what has come late."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from cube.model.tier import TEN_SECONDS, Span
from cube.process.threads import run_in_thread
from cube.store.ports import Revisions
from evaluator.streams.reader import Arrival, StreamReader
from evaluator.streams.subscriber import Subscriber
from evaluator.streams.window import BucketContent, Window, merged

FOREIGN_LATE_MS = 60_000
"""Late events of a foreign type are looked for so far back only: without revisions all is read again."""

READ_BUCKETS = 60
"""So many buckets are read at once, at most."""

READ_EVENTS = 5_000
"""Where more events than these came of some buckets, fewer buckets are read at once."""

LATE_SECONDS = 1.0
"""For so long a poll reads buckets for late events, those first that were not read for longest: what is due
waits for no more."""

DUE_EVENTS = 20_000
"""So many events that are due are given at once; then their clients read before there are more."""


@dataclass(frozen=True, slots=True)
class Subscribers:
    """Who follows an expression; those ``joining`` have not had their first events yet."""

    active: set[Subscriber] = field(default_factory=set)
    joining: dict[Subscriber, asyncio.Task[None]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.active or self.joining)

    @property
    def all(self) -> list[Subscriber]:
        return [*self.active, *self.joining]

    @property
    def with_watermark(self) -> list[Subscriber]:
        """Those who are offered what comes."""
        return [subscriber for subscriber in self.all if subscriber.has_watermark]

    def fail(self, error: Exception) -> None:
        for subscriber in self.all:
            subscriber.fail(error)


class Changes:
    """Offers to subscribers what their window has not recorded, and delivers what is due.

    ``due_bytes``: about so many bytes of what is due are given at once.
    """

    def __init__(self, window: Window, subscribers: Subscribers, due_bytes: int) -> None:
        self._window = window
        self._subscribers = subscribers
        self._due_bytes = due_bytes
        self._polls = 0
        self._unsettled: frozenset[int] = frozenset()

    async def publish(
        self, reader: StreamReader, revisions: Revisions, active: Sequence[Subscriber], now: int
    ) -> bool:
        """Give out what is due, and what has come late; tell whether more is due already.

        ``revisions``: of all that the subscribers watch, read in this session. First come the buckets in
        which something is due; for those with late events there are `LATE_SECONDS`.
        """
        numbers: Mapping[int, int] = revisions.numbers
        self._unsettled = self._window.backlog_buckets
        if revisions.foreign:
            self._polls += 1  # a number that differs each time, so that all is read again
            numbers = dict.fromkeys(foreign_buckets(active, now), self._polls)
        changed, due = self._window.changed(numbers), _due_spans(active, now)
        urgent = [bucket for bucket in changed if any(bucket in span for span in due)]
        await self._offer(reader, urgent, numbers)
        is_more = await self._deliver(reader, active, now)
        rest = [bucket for bucket in changed if not any(bucket in span for span in due)]
        await self._offer(reader, rest, numbers, seconds=LATE_SECONDS)
        for subscriber in active:
            subscriber.end_poll(now, settled=not self._unsettled and not self._window.has_backlog)
        return is_more

    async def record_backlog(self, reader: StreamReader) -> None:
        """Record the backlog, the latest first, and offer it as what is in doubt.

        Some of it may have come since a subscriber's first events were found; and a MongoDB shows an event
        before its bucket's revision tells of it.
        """
        at_once = 1
        while some := self._window.backlog(at_once):
            hull = [Span(some[-1], some[0] + TEN_SECONDS.step)]
            numbers = (await reader.revisions(hull)).numbers
            contents, at_once = await self._read(reader, some, numbers, at_once)
            recorded = self._window.record_backlog(contents, numbers)
            for subscriber in self._subscribers.all:
                for content in recorded:
                    subscriber.offer(content.fresh, doubtful=True)
                subscriber.flush()

    async def _offer(
        self,
        reader: StreamReader,
        buckets: Sequence[int],
        numbers: Mapping[int, int],
        seconds: float = float("inf"),
    ) -> None:
        """Read buckets that have changed, some at a time, and offer what is new in them."""
        at_once, began = 1, asyncio.get_running_loop().time()
        while buckets and asyncio.get_running_loop().time() - began < seconds:
            some, buckets = buckets[:at_once], buckets[at_once:]
            contents, at_once = await self._read(reader, some, numbers, at_once)
            self._window.record(contents, numbers)
            for subscriber in self._subscribers.all:
                for content in contents.values():
                    subscriber.offer(content.fresh)
        for subscriber in self._subscribers.active:
            subscriber.flush()

    async def _read(
        self, reader: StreamReader, buckets: Sequence[int], numbers: Mapping[int, int], at_once: int
    ) -> tuple[dict[int, BucketContent], int]:
        """Return what some buckets have, and how many to read at once after them."""
        arrivals = await reader.in_buckets(buckets, numbers)
        async with reader.time_slice():
            contents = await run_in_thread(self._window.compare, buckets, arrivals)
        return contents, min(2 * at_once, READ_BUCKETS) if len(arrivals) <= READ_EVENTS else 1

    async def _deliver(self, reader: StreamReader, active: Iterable[Subscriber], now: int) -> bool:
        """Give what is due to all who read; those of equal watermarks share it, the furthest come first."""
        groups: dict[tuple[int, int], list[Subscriber]] = {}
        for subscriber in active:
            if subscriber.is_ready and subscriber.watermark < subscriber.target(now):
                groups.setdefault((subscriber.watermark, subscriber.target(now)), []).append(subscriber)
        is_more = False
        for watermark, target in sorted(groups, reverse=True):
            is_more |= await self._deliver_to(groups[watermark, target], reader, Span(watermark, target))
        return is_more

    async def _deliver_to(self, members: Sequence[Subscriber], reader: StreamReader, span: Span) -> bool:
        count = size = 0
        async with aclosing(reader.in_order(span)) as parts:
            async for part in parts:
                self._pass_on(members, part, part[-1].time + 1)
                count, size = count + len(part), size + sum(arrival.size for arrival in part)
                if count >= DUE_EVENTS or size >= self._due_bytes:
                    return True
        self._pass_on(members, [], span.stop)
        return False

    def _pass_on(self, members: Iterable[Subscriber], part: Sequence[Arrival], watermark: int) -> None:
        # What leaves the backlog during a poll may be recorded as it was before it: it still counts as in it.
        backlog = self._unsettled | self._window.backlog_buckets
        due = self._window.known(part, backlog)
        doubtful = [each for each in due if TEN_SECONDS.floor(each.time) in backlog]
        for subscriber in members:
            subscriber.deliver(due, watermark, doubtful=doubtful)
            subscriber.flush()


def watched_spans(subscribers: Iterable[Subscriber], now: int) -> list[Span]:
    """Return the spans of all buckets in which there may be something for some subscribers."""
    return merged(subscriber.watched(now) for subscriber in subscribers)


def foreign_buckets(subscribers: Iterable[Subscriber], now: int) -> list[int]:
    """Return the buckets that are read for subscribers of a foreign type."""
    watched = [(subscriber.watermark, subscriber.watched(now)) for subscriber in subscribers]
    spans = merged(
        Span(max(span.start, TEN_SECONDS.floor(watermark - FOREIGN_LATE_MS)), span.stop)
        for watermark, span in watched
    )
    return [bucket for span in spans for bucket in TEN_SECONDS.buckets(span)]


def _due_spans(subscribers: Iterable[Subscriber], now: int) -> list[Span]:
    """Return the spans of the buckets in which something is due, or was only just."""
    return merged(
        TEN_SECONDS.cover(Span(subscriber.watermark - TEN_SECONDS.step, subscriber.target(now)))
        for subscriber in subscribers
        if subscriber.is_ready
    )
