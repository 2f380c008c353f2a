"""What changes and what comes, from an evaluator over a WebSocket, as iterators without an end."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Generic, TypedDict, TypeVar, Unpack

import msgspec

from cube.client.connection import NO_RETRIES, Retries, log_warning
from cube.client.emitter import tell_warnings
from cube.client.evaluator import AnswerPage, Evaluator, FoundEvent, Instant, event_of, given_only, metric_of
from cube.client.sockets import messages
from cube.client.stream_place import LATE_MS, MOST_ROWS, StreamPlace
from cube.errors import Overloaded, Unavailable
from cube.model.tier import Metric

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class StreamSource:
    """An evaluator at ``http://…``; the key to ask with; how often a broken stream is begun again.

    ``warn``: is told each sentence about what a question may get wrong.
    """

    url: str
    key: str | None
    retries: Retries
    warn: Callable[[str], None] = log_warning


class LiveOptions(TypedDict, total=False):
    """What a question for a live metric may say, as `cube.client.evaluator.MetricOptions`."""

    step: int | str | None
    start: Instant | None
    limit: int | None
    timezone: str | None
    week_start: str | None


class StreamOptions(TypedDict, total=False):
    """What a question for a stream of events may say.

    ``start``: of those before now only from then on, and the latest ``limit``; else none. ``delay``: how many
    milliseconds after its time an event comes. ``late``: how late one may be stored that still comes.
    """

    start: Instant | None
    limit: int | None
    delay: int | None
    late: int | None


async def follow_metric(
    source: StreamSource, expression: str, **options: Unpack[LiveOptions]
) -> AsyncGenerator[Metric]:
    """Yield the latest buckets of a metric, and each again whenever its value changes, or it loses it.

    Where the connection breaks another is opened, as often in a row as the retries say, and the latest
    buckets come again. Raises what the evaluator says.
    """
    asked = given_only({"expression": expression, **options})

    async def stream(_: bool) -> AsyncGenerator[Metric | None]:
        async with aclosing(_rows(source, "/1.0/metric/get", asked)) as rows:
            async for row in rows:
                yield metric_of(row) if "time" in row else None  # which says that what follows is live

    async with aclosing(_insistent(source, stream)) as metrics:
        async for metric in metrics:
            yield metric


async def follow_events(
    source: StreamSource, expression: str, **options: Unpack[StreamOptions]
) -> AsyncGenerator[FoundEvent]:
    """Yield events as they come, ascending but for late ones, each once.

    Where the connection breaks another is opened, as often in a row as the retries say, and all that came
    meanwhile comes, read page by page; of late events those that are within ``late``, ten minutes unless
    given, of the newest. Raises what the evaluator says.
    """
    asked = {"start": "now", **given_only({"expression": expression, **options})}
    started = time.time_ns() // 1_000_000 if asked["start"] == "now" else asked["start"]
    late = options.get("late")
    place = StreamPlace(started, late_ms=LATE_MS if late is None else late)

    async def stream(is_again: bool) -> AsyncGenerator[FoundEvent | None]:
        request = asked
        if is_again:
            async with aclosing(_missed(source, expression, place)) as missed:
                async for event in missed:
                    yield event
            request = {**asked, "start": place.start, "limit": MOST_ROWS}
        place.resume()
        async with aclosing(_rows(source, "/1.0/event/get", request)) as rows:
            async for row in rows:
                found = event_of(row)
                yield found if place.is_new(found) else None

    async with aclosing(_insistent(source, stream)) as events:
        async for event in events:
            yield event


async def _missed(source: StreamSource, expression: str, place: StreamPlace) -> AsyncGenerator[FoundEvent]:
    """Yield the events up to now that have not come, ascending."""
    place.resume()
    start, after = place.start, ""
    while True:
        page = await asyncio.to_thread(_page, source, expression, start, after)
        for row in msgspec.json.decode(page.content):
            event = event_of(row)
            if place.is_new(event):
                yield event
        if page.is_last:
            return
        after = page.cursor


def _page(source: StreamSource, expression: str, start: Instant, after: str) -> AnswerPage:
    """Read a page, over a connection of its own: whoever waits for it may be cancelled."""
    with Evaluator(source.url, key=source.key, retries=NO_RETRIES, warn=_told_to_none) as evaluator:
        return next(evaluator.event_pages(expression, start=start, stop="now", after=after))


def _told_to_none(_: str) -> None:
    """Leave out what a question may get wrong: a stream tells of nothing but its events."""


async def _insistent(
    source: StreamSource, stream: Callable[[bool], AsyncGenerator[T | None]]
) -> AsyncGenerator[T]:
    """Yield what a stream yields but None, which is a sign of life, over one socket after the other.

    ``stream``: begins it; is told whether that is again.
    """
    failures, is_again = 0, False
    while True:
        try:
            async with aclosing(stream(is_again)) as items:
                async for item in items:
                    failures = 0
                    if item is not None:
                        yield item
        except (Overloaded, Unavailable) as error:
            if failures == source.retries.attempts:
                raise
            await asyncio.sleep(source.retries.pause(failures, error))
            failures += 1
            is_again = True


async def _rows(
    source: StreamSource, path: str, asked: Mapping[str, object]
) -> AsyncGenerator[dict[str, Any]]:
    """Yield the messages of a stream, up to the end of its socket."""
    url = source.url.replace("http", "ws", 1).rstrip("/") + path
    async with aclosing(messages(url, [asked], key=source.key)) as rows:
        async for row in rows:
            tell_warnings(row, source.warn)
            yield row


def in_thread(make: Callable[[], AsyncGenerator[T]]) -> Generator[T]:
    """Yield what an asynchronous iterator yields, which runs in a thread until this one is closed."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="cube-stream", daemon=True)
    thread.start()
    items = _Stoppable(make())
    try:
        while True:
            yield asyncio.run_coroutine_threadsafe(items.next(), loop).result()
    finally:
        asyncio.run_coroutine_threadsafe(items.stop(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


class _Stoppable(Generic[T]):
    """An iterator that may be closed while its next item is waited for: Ctrl-C may come in the middle."""

    def __init__(self, items: AsyncGenerator[T]) -> None:
        self._items = items
        self._waiting: set[asyncio.Task[Any]] = set()

    async def next(self) -> T:
        task = asyncio.ensure_future(anext(self._items))
        self._waiting = {task}
        return await task

    async def stop(self) -> None:
        for task in self._waiting:
            task.cancel()
        if self._waiting:
            await asyncio.wait(self._waiting)
        await self._items.aclose()
