"""Event streams: the events that an expression selects, as they come.

One `Poller` per expression looks at the store once a period and serves all who subscribe to it. Three things
go on beside each other in it, so that none waits for another: those who join are given what there is, each on
its own; the hour before is recorded, so that late events can be told from those that were there; and once a
period a poll gives out what is due, and what has come late.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from typing import Any

from cube.errors import Overloaded, Unavailable
from cube.expression import print_expression
from cube.expression.nodes import EventExpression
from cube.model.tier import Span
from cube.process.threads import run_in_thread
from cube.store.find import Found
from evaluator.answers.response_writer import AnswerSize
from evaluator.answers.rows import event_rows
from evaluator.context import within
from evaluator.engine.pyramid import Pyramid
from evaluator.query.limits import DeadlineExceeded
from evaluator.query.queries import EventQuery
from evaluator.scheduling.scheduler import QueryCost
from evaluator.streams.changes import Changes, Subscribers, foreign_buckets, watched_spans
from evaluator.streams.reader import Arrival, StreamReader, is_unbuilt
from evaluator.streams.subscriber import Subscriber
from evaluator.streams.window import Window

ATTEMPTS = 3
"""Who joins and runs out of time while mostly waiting for others tries so often."""

_log = logging.getLogger(__name__)


class EventStreams:
    """All streams of one store; each subscriber has its own start, delay, lateness and limit."""

    def __init__(self, pyramid: Pyramid) -> None:
        self._pyramid = pyramid
        self._pollers: dict[str, Poller] = {}
        self._ending: set[asyncio.Task[None]] = set()

    async def follow(self, query: EventQuery) -> AsyncGenerator[list[Found], None]:
        """Yield first what there is from ``query.start``, then events as they come, ascending by time.

        An event comes once its time is ``delay`` past; one that is stored later than that, but within
        ``late``, comes once, out of order. A replaced event counts as new. A store that does not answer, and
        an evaluator that has no time, are asked again, forever. Raises `LimitExceeded` or `DeadlineExceeded`
        where the first events are over the limits, `Overloaded` where the caller takes them too slowly.
        """
        name = print_expression(query.expression)
        poller = self._pollers.get(name)
        if poller is None:
            poller = self._pollers[name] = Poller(self._pyramid, query.expression)
        subscriber = Subscriber(query, self._pyramid.context.limits.answer_bytes)
        poller.add(subscriber)
        try:
            while True:
                yield await subscriber.batch()
        finally:
            if not poller.remove(subscriber):
                del self._pollers[name]
                self._ending = {task for task in self._ending | poller.tasks if not task.done()}

    async def close(self) -> None:
        """Return when the work of streams that have ended has released the store."""
        if self._ending:
            await asyncio.wait(self._ending)


class Poller:
    """Serves the subscribers of one expression while there are any."""

    def __init__(self, pyramid: Pyramid, expression: EventExpression) -> None:
        self._pyramid = pyramid
        self._context = pyramid.context
        self._expression = expression
        self._window = Window()
        self._subscribers = Subscribers()
        self._changes = Changes(self._window, self._subscribers, self._context.limits.answer_bytes // 4)
        self.tasks: set[asyncio.Task[None]] = set()
        self._polling: asyncio.Task[None] | None = None
        self._is_recording = False
        self._at_once = asyncio.Event()
        self._joining = asyncio.Lock()

    def add(self, subscriber: Subscriber) -> None:
        self._subscribers.joining[subscriber] = self._start(self._join(subscriber))
        if self._polling is None or self._polling.done():
            self._polling = self._start(self._poll_on())

    def remove(self, subscriber: Subscriber) -> bool:
        """Stop serving a subscriber; tell whether any is left, and where none is, cancel all work."""
        self._subscribers.active.discard(subscriber)
        joining = self._subscribers.joining.pop(subscriber, None)
        if joining is not None:
            joining.cancel()
        if not self._subscribers:
            for task in self.tasks:
                task.cancel()
        return bool(self._subscribers)

    async def _join(self, subscriber: Subscriber) -> None:
        """Give a subscriber what there is; then record what lies before, unless that is being done."""
        async with AsyncExitStack() as stack:
            try:
                reader = await self._begin(subscriber, stack)
            except Exception as error:
                subscriber.fail(error)  # who follows tells its client, and logs it
                return
            finally:
                self._subscribers.joining.pop(subscriber, None)
            self._at_once.set()
            if not self._is_recording:
                await self._record_backlog(stack, reader)

    async def _begin(self, subscriber: Subscriber, stack: AsyncExitStack) -> StreamReader:
        """Find a subscriber's first events; return the session, which is still open on the stack.

        Who asks too much is refused; a store that does not answer, or a crowd, is waited for.
        """
        seconds, attempts = self._context.limits.query_seconds, 0
        while True:
            cost = QueryCost(self._context.clock() - subscriber.query.start)
            try:
                async with within(seconds):
                    reader = await stack.enter_async_context(self._open(cost))
                    if await self._give_first(reader, subscriber):
                        return reader
                await stack.aclose()
                await self._pyramid.build(self._expression.type)
                continue
            except DeadlineExceeded:
                attempts += 1
                if attempts == ATTEMPTS or cost.seconds > seconds / 2:
                    raise
            except (Overloaded, Unavailable) as error:
                _log.warning("a stream waits to begin: %s", error.message)
            await stack.aclose()
            await asyncio.sleep(self._context.poll_seconds)

    async def _give_first(self, reader: StreamReader, subscriber: Subscriber) -> bool:
        """Begin with a subscriber; tell whether the revisions are there that it takes."""
        now, query = self._context.clock(), subscriber.query
        async with self._joining:  # so that who sees buckets later has read them later
            subscriber.set_watermark(now)
            revisions = await reader.revisions([subscriber.watched(now)])
            if is_unbuilt(revisions):
                return False
            foreign = foreign_buckets([subscriber], now)
            numbers = dict.fromkeys(foreign) if revisions.foreign else revisions.numbers
            others = [other for other in self._subscribers.with_watermark if other is not subscriber]
            self._window.add_backlog(numbers, watched_spans(others, now))
            announced = self._window.stale(numbers)
        found: list[Arrival] = []
        watermark, size = subscriber.watermark, AnswerSize(self._context.limits.answer_bytes)
        span = Span(min(query.start, watermark), watermark)
        async with aclosing(reader.in_order(span, limit=query.limit, newest_first=True)) as parts:
            async for part in parts:
                async with reader.time_slice():
                    await run_in_thread(size.add_rows, event_rows(Found(*each[:3]) for each in part))
                found += part
        subscriber.begin(found[::-1], now, announced)
        self._subscribers.active.add(subscriber)
        return True

    async def _record_backlog(self, stack: AsyncExitStack, reader: StreamReader | None = None) -> None:
        """Record what was there when subscribers began, first with the reader that is open on the stack.

        A session lasts no longer than a query may; then there is another one.
        """
        self._is_recording = True
        try:
            while self._window.has_backlog:
                async with stack:
                    try:
                        async with within(self._context.limits.query_seconds):
                            if reader is None:
                                reader = await stack.enter_async_context(self._open(QueryCost()))
                            await self._changes.record_backlog(reader)
                    except (Overloaded, Unavailable) as error:
                        _log.info("the recent past of a stream is still to be read: %s", error.message)
                        await asyncio.sleep(self._context.poll_seconds)
                reader = None
        except Exception as error:
            self._subscribers.fail(error)
        finally:
            self._is_recording = False

    async def _poll_on(self) -> None:
        has_failed = False
        while True:
            self._at_once.clear()
            try:
                async with within(self._context.limits.query_seconds):
                    await self._poll(excuse=has_failed)
                has_failed = False
            except (Overloaded, Unavailable) as error:
                has_failed = True
                _log.warning("a stream waits: %s", error.message)
            except Exception as error:
                self._subscribers.fail(error)
                return
            # Somebody who saw what is left of the backlog has left, or was refused.
            if self._window.has_backlog and not self._is_recording and not self._subscribers.joining:
                self._is_recording = True
                self._start(self._record_backlog(AsyncExitStack()))
            with suppress(TimeoutError):
                async with asyncio.timeout(self._context.poll_seconds):
                    await self._at_once.wait()

    async def _poll(self, *, excuse: bool) -> None:
        """Look once; ``excuse``: the last poll failed, so nobody is to blame for being behind."""
        now, active = self._context.clock(), list(self._subscribers.active)
        if not active:
            return
        spans = watched_spans(active, now)
        async with self._open(QueryCost(sum(span.length for span in spans))) as reader:
            revisions = await reader.revisions(spans)
            if excuse:
                for subscriber in active:
                    subscriber.excuse(now)
            if not is_unbuilt(revisions) and await self._changes.publish(reader, revisions, active, now):
                self._at_once.set()
        if is_unbuilt(revisions):
            await self._pyramid.build(self._expression.type)
            self._at_once.set()
        self._window.trim(watched_spans(self._subscribers.with_watermark, now))

    @asynccontextmanager
    async def _open(self, cost: QueryCost) -> AsyncIterator[StreamReader]:
        async with self._context.session(cost) as (session, time_slice):
            yield StreamReader(session, time_slice, self._expression)

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task
