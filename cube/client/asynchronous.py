"""The client for asyncio programs: the same, each request in a thread beside the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from functools import partial
from typing import Any, Concatenate, ParamSpec, Self, TypeVar, Unpack

from cube.client.connection import COLLECTOR_URL, EVALUATOR_URL, TIMEOUT_SECONDS, Retries, log_warning
from cube.client.emitter import Emitter, RawEvent
from cube.client.evaluator import FoundEvent, MetricOptions
from cube.client.queries import Client, EventOptions
from cube.client.streams import LiveOptions, StreamOptions, StreamSource, follow_events, follow_metric
from cube.client.table import AnswerTable
from cube.model.tier import Metric

P = ParamSpec("P")
T = TypeVar("T")


class AsyncEmitter:
    """Sends events to a collector over HTTP, as an `Emitter`, of which it has the arguments.

    One `send` runs at a time; others wait for it. One that is cancelled may have stored its events; to send
    them again with the same ids does no harm.
    """

    def __init__(
        self,
        url: str = COLLECTOR_URL,
        *,
        key: str | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
        retries: Retries | None = None,
        warn: Callable[[str], None] = log_warning,
    ) -> None:
        self._emitter = Emitter(url, key=key, timeout_seconds=timeout_seconds, retries=retries, warn=warn)
        self._turn = asyncio.Lock()
        self._sending: set[asyncio.Task[int]] = set()

    async def send(self, events: Iterable[RawEvent]) -> int:
        """Store events durably, and return how many; raises as `Emitter.send` does."""
        task = asyncio.create_task(self._send(events))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Close the connection once nothing is sent any more; the next `send` opens another."""
        async with self._turn:
            self._emitter.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _send(self, events: Iterable[RawEvent]) -> int:
        """Send, and have the turn until the thread ends: it cannot be cancelled."""
        async with self._turn:
            return await asyncio.to_thread(self._emitter.send, events)


class AsyncClient:
    """Asks one evaluator, as a `Client`, of which it has the arguments; any number of tasks may at once.

    async with AsyncClient("http://127.0.0.1:1081") as client:
        table = await client.metric("sum(request)", step="1h", start="-1d")
        async for event in client.events("request(path)"): ...
    """

    def __init__(
        self,
        url: str = EVALUATOR_URL,
        *,
        key: str | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
        retries: Retries | None = None,
        warn: Callable[[str], None] = log_warning,
    ) -> None:
        self._made = partial(
            Client, url, key=key, timeout_seconds=timeout_seconds, retries=retries, warn=warn
        )
        self._source = StreamSource(url, key, retries or Retries(), warn)
        self._is_closed = False
        self._free = [self._made()]

    async def metric(self, expression: str, **options: Unpack[MetricOptions]) -> AnswerTable:
        """Return the values of a metric expression, as `Client.metric` does."""
        return await self._run(Client.metric, expression, **options)

    async def sql(self, statement: str) -> AnswerTable:
        """Return the rows of a SELECT, as `Client.sql` does."""
        return await self._run(Client.sql, statement)

    async def types(self) -> list[str]:
        """Return the names of all types, sorted."""
        return await self._run(Client.types)

    async def all_events(self, expression: str, **options: Unpack[EventOptions]) -> AnswerTable:
        """Return the events of a question, as `Client.events` does, all in one table."""

        def read(client: Client) -> AnswerTable:
            return AnswerTable(client.events(expression, **options).arrow())

        return await self._run(read)

    async def events(
        self, expression: str, **options: Unpack[EventOptions]
    ) -> AsyncGenerator[dict[str, Any]]:
        """Yield the events of a question as rows, read page by page."""
        async with aclosing(self.pages(expression, **options)) as pages:
            async for table in pages:
                for row in table:
                    yield row

    async def pages(self, expression: str, **options: Unpack[EventOptions]) -> AsyncGenerator[AnswerTable]:
        """Yield the events of a question in tables, of a page each."""
        client, is_left = self._made(), threading.Event()
        pages = client.events(expression, **options).pages()

        def read() -> AnswerTable | None:
            try:
                return next(pages, None)
            finally:
                if is_left.is_set():  # the task was cancelled meanwhile
                    client.close()

        try:
            while (table := await asyncio.to_thread(read)) is not None:
                yield table
            client.close()
        except GeneratorExit:
            client.close()
            raise
        finally:
            is_left.set()

    def follow_metric(self, expression: str, **options: Unpack[LiveOptions]) -> AsyncGenerator[Metric]:
        """Yield metrics as they change, without an end, as `cube.client.streams.follow_metric` does."""
        return follow_metric(self._source, expression, **options)

    def follow_events(self, expression: str, **options: Unpack[StreamOptions]) -> AsyncGenerator[FoundEvent]:
        """Yield events as they come, without an end, as `cube.client.streams.follow_events` does."""
        return follow_events(self._source, expression, **options)

    async def close(self) -> None:
        """Close the connections, those in use when they are done; what asks later opens others."""
        self._is_closed = True
        while self._free:
            self._free.pop().close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _run(
        self, ask: Callable[Concatenate[Client, P], T], *arguments: P.args, **options: P.kwargs
    ) -> T:
        """Ask with a connection that nobody else uses meanwhile."""
        client = self._free.pop() if self._free else self._made()

        def work() -> T:
            try:
                return ask(client, *arguments, **options)
            finally:  # here, because a thread goes on where its task was cancelled
                self._release(client)

        return await asyncio.to_thread(work)

    def _release(self, client: Client) -> None:
        if self._is_closed:
            client.close()
        else:
            self._free.append(client)
