"""What changes and what comes, from an evaluator over a WebSocket, as iterators without an end."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Generic, TypedDict, TypeVar, Unpack

import msgspec

from cube.client.connection import Retries
from cube.client.evaluator import FoundEvent, Instant, event_of, given_only, metric_of
from cube.client.sockets import messages
from cube.errors import Overloaded, Unavailable
from cube.model.tier import Metric

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class StreamSource:
    """An evaluator at ``http://…``; the key to ask with; how often a broken stream is begun again."""

    url: str
    key: str | None
    retries: Retries


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
    async with aclosing(_rows(source, "/1.0/metric/get", lambda: asked)) as rows:
        async for row in rows:
            if "time" in row:  # else it says that what follows is live
                yield metric_of(row)


async def follow_events(
    source: StreamSource, expression: str, **options: Unpack[StreamOptions]
) -> AsyncGenerator[FoundEvent]:
    """Yield events as they come, ascending but for late ones, each once.

    Where the connection breaks another is opened, as often in a row as the retries say, and the stream goes
    on where it was, with what `limit` allows of what came meanwhile, late events left out. Raises what the
    evaluator says.
    """
    walk = _StreamPlace(given_only({"expression": expression, "start": "now", **options}))
    async with aclosing(_rows(source, "/1.0/event/get", walk.begin)) as rows:
        async for row in rows:
            event = event_of(row)
            if walk.is_new(event, row):
                yield event


class _StreamPlace:
    """Where a stream is: the latest time that came, and what came of it, which a second beginning repeats."""

    def __init__(self, asked: dict[str, object]) -> None:
        self._asked = asked
        self._latest: int | None = None
        self._came: Counter[bytes] = Counter()
        self._repeated: Counter[bytes] = Counter()

    def begin(self) -> dict[str, object]:
        """Return what to ask for, now that the stream begins, or begins again."""
        self._repeated = self._came.copy()
        return self._asked if self._latest is None else {**self._asked, "start": self._latest}

    def is_new(self, event: FoundEvent, row: dict[str, Any]) -> bool:
        text = msgspec.json.encode(row)
        if event.time == self._latest and self._repeated[text]:
            self._repeated[text] -= 1
            return False
        if self._latest is None or event.time > self._latest:
            self._latest = event.time
            self._came.clear()
        if event.time == self._latest:
            self._came[text] += 1
        return True


async def _rows(
    source: StreamSource, path: str, asked: Callable[[], dict[str, object]]
) -> AsyncGenerator[dict[str, Any]]:
    """Yield the messages of a stream, over one socket after the other."""
    url = source.url.replace("http", "ws", 1).rstrip("/") + path
    failures = 0
    while True:
        try:
            async with aclosing(messages(url, [asked()], key=source.key)) as rows:
                async for row in rows:
                    failures = 0
                    yield row
        except (Overloaded, Unavailable) as error:
            if failures == source.retries.attempts:
                raise
            await asyncio.sleep(source.retries.pause(failures, error))
            failures += 1


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
