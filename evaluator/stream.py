"""Event streams: the events that an expression selects, as they come.

One `_Tail` per expression looks at the store once a period and serves all who follow it; each
follower has its own start, delay, lateness and limit.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, TypeAlias, cast

from cube.columns import Block, has_patterns
from cube.errors import Unavailable
from cube.expression import print_expression
from cube.expression.nodes import EventExpression
from cube.span import Span
from cube.store.find import Found, find
from cube.store.ports import EventStore, ReadSession, Revisions
from cube.store.slices import Slices, in_thread
from cube.store.terms import Pace, Terms
from cube.tier import TEN_SECONDS
from evaluator.answers import event_rows
from evaluator.aside import Clock
from evaluator.deadline import within
from evaluator.follower import Follower
from evaluator.pieces import Pieces
from evaluator.query import EventQuery
from evaluator.refusals import OutOfTime
from evaluator.scan import runs
from evaluator.series import Bounds
from evaluator.turns import Effort, Turns
from evaluator.window import Arrival, Window, meet

FOREIGN_LATE_MS = 60_000
"""Late events of a foreign type are looked for so far back only: without revisions all is read again."""

TAKEN_BUCKETS = 60
"""So many buckets are read at once, at most: the first look takes in an hour, of which digests are kept."""

TAKEN_EVENTS = 5_000
"""Where more events than these came of some buckets, fewer buckets are read at once."""

_log = logging.getLogger(__name__)

First: TypeAlias = "tuple[list[Found], list[Arrival]]"
"""What a follower begins with: events that are due, in order, and events that are not yet."""


@dataclass(frozen=True, slots=True)
class Means:
    """What streams work with: the store, their share of the process, and how often they look.

    ``build``: builds a type's revisions, whoever else needs them.
    """

    events: EventStore
    build: Callable[[str], Awaitable[None]]
    turns: Turns
    bounds: Bounds
    clock: Clock
    period_ms: int


class Streams:
    """All streams of one store."""

    def __init__(self, means: Means) -> None:
        self._means = means
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
            tail = self._tails[name] = _Tail(self._means, query.expression)
        follower = Follower(query, self._means.bounds.answer)
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

    def __init__(self, means: Means, expression: EventExpression) -> None:
        self._means = means
        self._expression = expression
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
                async with within(self._means.bounds.seconds):
                    await self._look()
            except OutOfTime as error:
                _log.warning("a look for a stream's events was cut: %s", error.message)
                self._refuse_newcomers(error)
            except Unavailable as error:
                _log.warning("a stream waits for the store: %s", error.message)
            except Exception as error:
                for follower in self._followers | self._newcomers:
                    follower.fail(error)  # who follows tells its client, and logs it
                return
            await self._pause()

    def _refuse_newcomers(self, error: OutOfTime) -> None:
        """Tell those who have not had their first events; the others go on with the next look."""
        for newcomer in self._newcomers:
            newcomer.fail(error)
        self._newcomers.clear()

    async def _pause(self) -> None:
        """Wait for the next look: a period, or, for a first follower, not at all."""
        try:
            async with asyncio.timeout(self._means.period_ms / 1000):
                await self._awaited.wait()
        except TimeoutError:
            return

    async def _look(self) -> None:
        """Take in what has changed, then begin with those who have just come."""
        now, newcomers = self._means.clock(), set(self._newcomers)
        span = _watched(self._followers | newcomers, now)
        async with self._reading(span) as reading:
            revisions = await reading.session.revisions(self._expression.type, TEN_SECONDS, span)
            if revisions.known and not revisions.complete and not revisions.foreign:
                await self._means.build(self._expression.type)
                self._awaited.set()
                return
            await self._take(reading, self._numbers(revisions, span, now))
            firsts = [(newcomer, await self._first(reading, newcomer, now)) for newcomer in newcomers]
        self._window.trim(span)
        self._begin(firsts, now)
        for follower in self._followers:
            follower.advance(now, self._window)

    @asynccontextmanager
    async def _reading(self, span: Span) -> AsyncIterator[_Reading]:
        effort = Effort(span.stop - span.start)
        async with (
            self._means.turns.part(effort) as pace,
            self._means.events.read(Terms(self._means.bounds.seconds, pace)) as session,
        ):
            yield _Reading(session, pace, Slices(pace, searched=has_patterns(self._expression)))

    def _numbers(self, revisions: Revisions, span: Span, now: int) -> Mapping[int, int]:
        if not revisions.foreign:
            return revisions.numbers
        self._looks += 1  # a number that differs each time, so that all is read again
        back = FOREIGN_LATE_MS + max((follower.query.delay for follower in self._followers), default=0)
        start = max(span.start, TEN_SECONDS.floor(now - back))
        return dict.fromkeys(TEN_SECONDS.buckets(Span(start, span.stop)), self._looks)

    async def _take(self, reading: _Reading, numbers: Mapping[int, int]) -> None:
        """Read the buckets that have changed, some at a time, and offer what is new in them."""
        changed = sorted(self._window.changed(numbers))
        at_once = 1
        while changed:
            some, changed = changed[:at_once], changed[at_once:]
            met = await self._meet(reading, runs(some, numbers, TEN_SECONDS))
            async with reading.pace():
                fresh = await in_thread(None, self._window.take, some, numbers, met)
            for follower in self._followers:
                follower.offer(fresh)
            at_once = min(2 * at_once, TAKEN_BUCKETS) if len(met) <= TAKEN_EVENTS else 1

    async def _first(self, reading: _Reading, newcomer: Follower, now: int) -> First:
        """Find what is due from a newcomer's start, and what is not yet due."""
        query, due = newcomer.query, now - newcomer.query.delay
        found: list[Found] = []
        if query.start < due:
            span, pieces = Span(query.start, due), Pieces(self._means.bounds.answer)
            search = find(reading.session, query.expression, span, limit=query.limit, pace=reading.pace)
            async with aclosing(search) as parts:
                async for part in parts:
                    async with reading.pace():
                        await in_thread(None, pieces.weigh, event_rows(part))
                    found += part
        open_span = Span(max(query.start, due), TEN_SECONDS.floor(now) + TEN_SECONDS.step)
        return found[::-1], await self._meet(reading, [open_span])

    def _begin(self, firsts: Iterable[tuple[Follower, First]], now: int) -> None:
        for newcomer, (found, waiting) in firsts:
            if newcomer in self._newcomers:  # it may have left meanwhile
                newcomer.begin(found, waiting, now)
                self._newcomers.discard(newcomer)
                self._followers.add(newcomer)

    async def _meet(self, reading: _Reading, spans: Iterable[Span]) -> list[Arrival]:
        met: list[Arrival] = []
        for span in spans:
            blocks = cast(
                "AsyncGenerator[Block, None]",
                reading.session.scan(self._expression.type, span, None, ids=True),
            )
            async with aclosing(blocks):
                async for block in blocks:
                    async with aclosing(reading.slices.each(block, partial(meet, self._expression))) as some:
                        async for arrivals in some:
                            met += arrivals
        return met


class _Reading(NamedTuple):
    session: ReadSession
    pace: Pace
    slices: Slices


def _watched(followers: Iterable[Follower], now: int) -> Span:
    """Return the span that holds everything that may still be delivered."""
    stop = TEN_SECONDS.floor(now) + TEN_SECONDS.step
    start = min((follower.oldest(now) for follower in followers), default=stop)
    return Span(min(TEN_SECONDS.floor(start), stop), stop)
