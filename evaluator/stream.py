"""Event streams: the events that an expression selects, as they come.

One `_Tail` per expression looks at the store once a period and serves all who follow it; each
follower has its own start, delay, lateness and limit.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing
from typing import TypeAlias, cast

from cube.columns import Block
from cube.errors import Unavailable
from cube.expression import print_expression
from cube.expression.nodes import EventExpression
from cube.span import Span
from cube.store.find import Found, find
from cube.store.ports import EventStore, ReadSession, Revisions
from cube.tier import TEN_SECONDS
from evaluator.aside import Clock
from evaluator.follower import Follower
from evaluator.query import EventQuery
from evaluator.scan import runs
from evaluator.window import Arrival, Window, meet

FOREIGN_LATE_MS = 60_000
"""Late events of a foreign type are looked for so far back only: without revisions all is read again."""

TAKEN_BUCKETS = 60
"""So many buckets are read at once: the first look takes in an hour, of which digests are kept."""

_log = logging.getLogger(__name__)

First: TypeAlias = "tuple[list[Found], list[Arrival]]"
"""What a follower begins with: events that are due, in order, and events that are not yet."""


class Streams:
    """All streams of one process."""

    def __init__(self, events: EventStore, clock: Clock, period_ms: int) -> None:
        self._events = events
        self._clock = clock
        self._period = period_ms / 1000
        self._tails: dict[str, _Tail] = {}
        self._ending: set[asyncio.Task[None]] = set()

    async def follow(self, query: EventQuery) -> AsyncGenerator[list[Found], None]:
        """Yield first what there is from ``query.start``, then events as they come, ascending by time.

        An event comes once its time is ``delay`` past; one that is stored later than that, but within
        ``late``, comes once, out of order. A replaced event counts as new. A store that does not answer is
        asked again, for ever. Raises `Overloaded` where the caller takes them too slowly.
        """
        name = print_expression(query.expression)
        tail = self._tails.get(name)
        if tail is None:
            tail = self._tails[name] = _Tail(self._events, query.expression, self._clock, self._period)
        follower = Follower(query)
        tail.join(follower)
        try:
            while True:
                yield await follower.batch()
        finally:
            ending = tail.leave(follower)
            if ending is not None:
                del self._tails[name]
                self._ending.add(ending)
                ending.add_done_callback(self._ending.discard)

    async def close(self) -> None:
        """Return when the work of streams that have ended has let go of the store."""
        if self._ending:
            await asyncio.wait(self._ending)


class _Tail:
    """Looks for the new events of one expression while anybody follows it."""

    def __init__(self, events: EventStore, expression: EventExpression, clock: Clock, period: float) -> None:
        self._events = events
        self._expression = expression
        self._clock = clock
        self._period = period
        self._window = Window()
        self._followers: set[Follower] = set()
        self._newcomers: set[Follower] = set()
        self._looks = 0
        self._task: asyncio.Task[None] | None = None
        self._awaited = asyncio.Event()

    def join(self, follower: Follower) -> None:
        """Begin to serve a follower, with the next look."""
        self._newcomers.add(follower)
        self._awaited.set()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    def leave(self, follower: Follower) -> asyncio.Task[None] | None:
        """Stop serving a follower; where nobody is left the work is cancelled, and returned."""
        self._followers.discard(follower)
        self._newcomers.discard(follower)
        if self._followers or self._newcomers or self._task is None:
            return None
        self._task.cancel()
        return self._task

    async def _run(self) -> None:
        while True:
            self._awaited.clear()
            try:
                await self._look()
            except Unavailable as error:
                _log.warning("a stream waits for the store: %s", error.message)
            except Exception as error:
                for follower in self._followers | self._newcomers:
                    follower.fail(error)  # who follows tells its client, and logs it
                return
            await self._pause()

    async def _pause(self) -> None:
        """Wait for the next look: a period, or, for a first follower, not at all."""
        try:
            async with asyncio.timeout(self._period):
                await self._awaited.wait()
        except TimeoutError:
            return

    async def _look(self) -> None:
        """Take in what has changed, then begin with those who have just come."""
        now, newcomers = self._clock(), set(self._newcomers)
        span = _watched(self._followers | newcomers, now)
        async with self._events.read() as session:
            revisions = await session.revisions(self._expression.type, TEN_SECONDS, span)
            if revisions.known and not revisions.complete and not revisions.foreign:
                await self._events.build(self._expression.type)
                self._awaited.set()
                return
            await self._take(session, self._numbers(revisions, span, now))
            firsts = [(newcomer, await self._first(session, newcomer, now)) for newcomer in newcomers]
        self._window.trim(span)
        self._begin(firsts, now)
        for follower in self._followers:
            follower.advance(now, self._window)

    def _numbers(self, revisions: Revisions, span: Span, now: int) -> Mapping[int, int]:
        if not revisions.foreign:
            return revisions.numbers
        self._looks += 1  # a number that differs each time, so that all is read again
        back = FOREIGN_LATE_MS + max((follower.query.delay for follower in self._followers), default=0)
        start = max(span.start, TEN_SECONDS.floor(now - back))
        return dict.fromkeys(TEN_SECONDS.buckets(Span(start, span.stop)), self._looks)

    async def _take(self, session: ReadSession, numbers: Mapping[int, int]) -> None:
        """Read the buckets that have changed, some at a time, and offer what is new in them."""
        changed = sorted(self._window.changed(numbers))
        for first in range(0, len(changed), TAKEN_BUCKETS):
            some = changed[first : first + TAKEN_BUCKETS]
            met = await self._meet(session, runs(some, numbers, TEN_SECONDS))
            fresh = await asyncio.to_thread(self._window.take, some, numbers, met)
            for follower in self._followers:
                follower.offer(fresh)

    async def _first(self, session: ReadSession, newcomer: Follower, now: int) -> First:
        """Find what is due from a newcomer's start, and what is not yet due."""
        query, due = newcomer.query, now - newcomer.query.delay
        found: list[Found] = []
        if query.start < due:
            span = Span(query.start, due)
            async with aclosing(find(session, query.expression, span, limit=query.limit)) as parts:
                async for part in parts:
                    found += part
        open_span = Span(max(query.start, due), TEN_SECONDS.floor(now) + TEN_SECONDS.step)
        return found[::-1], await self._meet(session, [open_span])

    def _begin(self, firsts: Iterable[tuple[Follower, First]], now: int) -> None:
        for newcomer, (found, waiting) in firsts:
            if newcomer in self._newcomers:  # it may have left meanwhile
                newcomer.begin(found, waiting, now)
                self._newcomers.discard(newcomer)
                self._followers.add(newcomer)

    async def _meet(self, session: ReadSession, spans: Iterable[Span]) -> list[Arrival]:
        met: list[Arrival] = []
        for span in spans:
            blocks = cast(
                "AsyncGenerator[Block, None]", session.scan(self._expression.type, span, None, ids=True)
            )
            async with aclosing(blocks):
                async for block in blocks:
                    met += await asyncio.to_thread(meet, self._expression, block)
        return met


def _watched(followers: Iterable[Follower], now: int) -> Span:
    """Return the span that holds everything that may still be delivered."""
    stop = TEN_SECONDS.floor(now) + TEN_SECONDS.step
    start = min((follower.oldest(now) for follower in followers), default=stop)
    return Span(min(TEN_SECONDS.floor(start), stop), stop)
