"""The tail of one expression: what is new of the events that it selects, for all who follow it.

Three things go on beside each other, so that none waits for another: newcomers are given what there is, each
on its own; the hour before is taken in, so that late events can be told from those that were there; and
once a period a look gives out what is due, and what has come late.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import AsyncExitStack, aclosing, suppress
from typing import Any

from cube.errors import Overloaded, Unavailable
from cube.expression.nodes import EventExpression
from cube.model.span import Span
from cube.store.find import Found
from cube.store.slices import in_thread
from evaluator.api.response_writer import Pieces
from evaluator.api.rows import event_rows
from evaluator.query.limits import DeadlineExceeded
from evaluator.scheduling.deadline import within
from evaluator.scheduling.scheduler import QueryCost
from evaluator.streams.changes import Audience, Look, foreign, watched
from evaluator.streams.reader import Means, Reading, is_unbuilt
from evaluator.streams.subscriber import Follower
from evaluator.streams.window import Arrival, Window

ATTEMPTS = 3
"""A newcomer that ran out of time while it mostly waited for others tries so often."""

_log = logging.getLogger(__name__)


class Tail:
    """Serves the followers of one expression while there are any."""

    def __init__(self, means: Means, expression: EventExpression) -> None:
        self._means = means
        self._expression = expression
        self._window = Window()
        self._audience = Audience()
        self._look = Look(self._window, self._audience, means.bounds.answer // 4)
        self._tasks: set[asyncio.Task[None]] = set()
        self._looking: asyncio.Task[None] | None = None
        self._failed = False
        self._taking_in = False
        self._at_once = asyncio.Event()
        self._seeing = asyncio.Lock()

    def join(self, follower: Follower) -> None:
        """Begin to serve a follower."""
        self._audience.newcomers[follower] = self._start(self._welcome(follower))
        if self._looking is None or self._looking.done():
            self._looking = self._start(self._look_on())

    def leave(self, follower: Follower) -> set[asyncio.Task[None]] | None:
        """Stop serving a follower; where nobody is left all work is cancelled, and returned."""
        self._audience.followers.discard(follower)
        beginning = self._audience.newcomers.pop(follower, None)
        if beginning is not None:
            beginning.cancel()
        if self._audience:
            return None
        for task in self._tasks:
            task.cancel()
        return set(self._tasks)

    async def _welcome(self, newcomer: Follower) -> None:
        """Give a newcomer what there is; then take in what lies before, unless that is being done."""
        async with AsyncExitStack() as stack:
            try:
                reading = await self._begin(newcomer, stack)
            except Exception as error:
                newcomer.fail(error)  # who follows tells its client, and logs it
                return
            finally:
                self._audience.newcomers.pop(newcomer, None)
            self._at_once.set()
            if not self._taking_in:
                await self._take_past(stack, reading)

    async def _begin(self, newcomer: Follower, stack: AsyncExitStack) -> Reading:
        """Find a newcomer's first events; return the session, which is still open on the stack.

        Who asks too much is refused; a store that does not answer, or a crowd, is waited for.
        """
        seconds, attempts = self._means.bounds.seconds, 0
        while True:
            cost = QueryCost(self._means.clock() - newcomer.query.start)
            try:
                async with within(seconds):
                    reading = await stack.enter_async_context(self._means.reading(self._expression, cost))
                    if await self._first(reading, newcomer):
                        return reading
                await stack.aclose()
                await self._means.build(self._expression.type)
                continue
            except DeadlineExceeded:
                attempts += 1
                if attempts == ATTEMPTS or cost.seconds > seconds / 2:
                    raise
            except (Overloaded, Unavailable) as error:
                _log.warning("a stream waits to begin: %s", error.message)
            await stack.aclose()
            await asyncio.sleep(self._means.period_ms / 1000)

    async def _first(self, reading: Reading, newcomer: Follower) -> bool:
        """Begin with a newcomer; tell whether the revisions are there that it takes."""
        now, query = self._means.clock(), newcomer.query
        async with self._seeing:  # so that who sees buckets later has read them later
            newcomer.aim(now)
            revisions = await reading.revisions([newcomer.watched(now)])
            if is_unbuilt(revisions):
                return False
            numbers = dict.fromkeys(foreign([newcomer], now)) if revisions.foreign else revisions.numbers
            others = [follower for follower in self._audience.aimed if follower is not newcomer]
            self._window.see(numbers, watched(others, now))
            behind = self._window.behind(numbers)
        found: list[Arrival] = []
        edge, pieces = newcomer.edge, Pieces(self._means.bounds.answer)
        span = Span(min(query.start, edge), edge)
        search = reading.in_order(span, limit=query.limit, newest_first=True)
        async with aclosing(search) as parts:
            async for part in parts:
                async with reading.time_slice():
                    await in_thread(None, pieces.weigh, event_rows(Found(*each[:3]) for each in part))
                found += part
        newcomer.begin(found[::-1], now, behind)
        self._audience.followers.add(newcomer)
        return True

    async def _take_past(self, stack: AsyncExitStack, reading: Reading | None = None) -> None:
        """Take in what was there when followers began, first in a session that is open already.

        A session lasts no longer than a query may; then there is another one.
        """
        self._taking_in = True
        try:
            while self._window.has_past:
                try:
                    async with within(self._means.bounds.seconds):
                        if reading is None:
                            made = self._means.reading(self._expression, QueryCost())
                            reading = await stack.enter_async_context(made)
                        await self._look.take_in(reading)
                except (Overloaded, Unavailable) as error:
                    _log.info("the past of a stream is still to be taken in: %s", error.message)
                    await asyncio.sleep(self._means.period_ms / 1000)
                reading = None
                await stack.aclose()
        except Exception as error:
            self._audience.fail(error)
        finally:
            self._taking_in = False

    async def _take_what_is_left(self) -> None:
        """Take in the past that a newcomer saw who left, or was refused, before it was taken in."""
        async with AsyncExitStack() as stack:
            await self._take_past(stack)

    async def _look_on(self) -> None:
        has_failed = False
        while True:
            self._at_once.clear()
            try:
                async with within(self._means.bounds.seconds):
                    await self._look_once(excuse=has_failed)
                has_failed = False
            except (Overloaded, Unavailable) as error:
                has_failed = True
                _log.warning("a stream waits: %s", error.message)
            except Exception as error:
                self._audience.fail(error)
                return
            if self._window.has_past and not self._taking_in and not self._audience.newcomers:
                self._taking_in = True
                self._start(self._take_what_is_left())
            with suppress(TimeoutError):
                async with asyncio.timeout(self._means.period_ms / 1000):
                    await self._at_once.wait()

    async def _look_once(self, *, excuse: bool) -> None:
        """Have one look; ``excuse``: the last one failed, so nobody is to blame for being behind."""
        now, followers = self._means.clock(), list(self._audience.followers)
        if not followers:
            return
        spans = watched(followers, now)
        cost = QueryCost(sum(span.length for span in spans))
        async with self._means.reading(self._expression, cost) as reading:
            revisions = await reading.revisions(spans)
            if excuse:
                for follower in followers:
                    follower.excuse(now)
            if not is_unbuilt(revisions) and await self._look.give(reading, revisions, followers, now):
                self._at_once.set()
        if is_unbuilt(revisions):
            await self._means.build(self._expression.type)
            self._at_once.set()
        self._window.trim(watched(self._audience.aimed, now))

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
