"""WebSockets: many requests at once on one socket, each with its answers."""

from __future__ import annotations

import asyncio
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Final, NamedTuple

import msgspec

from cube import json_text
from cube.errors import InvalidRequest, Overloaded, Unavailable
from cube.model import instant
from cube.model.event import ABSENT
from cube.process.threads import run_by_size
from cube.web import Connection
from evaluator.answers.response_writer import ResponseWriter
from evaluator.answers.rows import event_rows
from evaluator.api.hints import EVENT_KEYS, METRIC_KEYS, unknown_parameters
from evaluator.api.paging import told_of
from evaluator.api.service import QueryService, QueryServices
from evaluator.catalog.hints import MOST_HINTS
from evaluator.engine.series import THREAD_ROWS
from evaluator.scheduling.send_queue import SendQueue
from evaluator.streams.live_metrics import LiveMetric

SENT_TOGETHER = 20
"""Messages sent in one pass of the event loop: about a millisecond's worth."""

ROW_BYTES = 300
"""About what a metric takes as an object that waits to be sent."""

ANSWERS = 4
"""So many answers of events are made, and wait for their client, on one socket at once."""


class QuerySession:
    """The requests of one socket, each a task of its own.

    At most ``limit`` run at once, and `ANSWERS` of those whose answers are held in memory until they are
    sent. ``send_queue``: shared by all sockets. The socket's end is theirs.
    """

    def __init__(
        self, handler: SocketHandler, limit: int, send_queue: SendQueue, connection: Connection
    ) -> None:
        self.connection: Final = connection
        self.send_queue: Final = send_queue
        self.answers: Final = asyncio.Semaphore(ANSWERS)
        self._handler = handler
        self._limit = limit
        self._running: dict[bytes | object, _Running] = {}
        self._stopping = False

    async def receive(self, message: bytes) -> None:
        raw = await run_by_size(len(message), json_text.THREAD_BYTES, json_text.decode, message)
        if not isinstance(raw, dict):
            raise InvalidRequest(
                "Got a message that is not an object; accepted is {expression, start, stop, …}."
            )
        responder = Responder(self, raw.get("id", ABSENT))
        try:
            if raw.get("cancel") is True:
                await self._cancel(raw, responder)
            else:
                self._begin(raw, responder)
        except (InvalidRequest, Overloaded, Unavailable) as error:
            await responder.fail(error)

    def closed(self) -> None:
        self._stopping = True  # a message may still be on its way through the decoder
        for running in self._running.values():
            running.task.cancel()

    async def finish(self) -> None:
        """Wait for the requests that have an end, and stop the others."""
        self._stopping = True
        for running in self._running.values():
            if running.endless:
                running.task.cancel()
        tasks = [running.task for running in self._running.values()]
        if tasks:
            await asyncio.wait(tasks)

    def _begin(self, raw: dict[str, Any], responder: Responder) -> None:
        if self._stopping:
            raise Unavailable("The evaluator is stopping; nothing new is accepted.")
        key = json_text.encode(raw["id"]) if "id" in raw else object()
        if key in self._running:
            raise InvalidRequest("A request with this id is running already; accepted is another id.")
        if len(self._running) >= self._limit:
            raise Overloaded(f"All {self._limit} requests of this socket are running; cancel one first.")
        task = asyncio.create_task(self._run(raw, responder))
        self._running[key] = _Running(task, self._handler.is_endless(raw))
        task.add_done_callback(lambda _: self._running.pop(key, None))

    async def _cancel(self, raw: dict[str, Any], responder: Responder) -> None:
        if "id" not in raw:
            raise InvalidRequest("A cancel needs the id of the request that it ends.")
        running = self._running.get(json_text.encode(raw["id"]))
        if running is None:
            raise InvalidRequest("No request with this id is running.")
        running.task.cancel()
        await asyncio.wait([running.task])
        await responder.end()

    async def _run(self, raw: dict[str, Any], responder: Responder) -> None:
        try:
            service = self._handler.services.of(self.connection.request.admitted)
            await self._handler.answer(raw, service, responder)
        except Exception as error:
            await responder.fail(error)


class _Running(NamedTuple):
    task: asyncio.Task[None]
    endless: bool


class Responder:
    """The way back to one request; echoes its id on everything."""

    __slots__ = ("_connection", "_echo", "_told", "session")

    def __init__(self, session: QuerySession, id: Any) -> None:
        self.session: Final = session
        self._connection = session.connection
        self._echo = {} if id is ABSENT else {"id": id}
        self._told: dict[str, list[str]] = {}

    def warn(self, sentences: list[str]) -> None:
        """Have the first object that comes tell some sentences about the request, as ``warnings``.

        No message of their own: clients made for Square's Cube take each for a row, of which they read the
        keys that they know.
        """
        self._told = {"warnings": sentences[:MOST_HINTS]} if sentences else {}

    def framed(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return an object as this request's client is to see it."""
        if self._told:
            row = {**row, **self._told}
            self._told = {}
        return {**row, **self._echo} if self._echo else row

    def framed_event(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return an event so; beside the id of a request, its own stands in ``event``."""
        if self._echo and "id" in row:
            row = {**row, "event": row["id"]}
        return self.framed(row)

    async def send(self, row: Mapping[str, Any]) -> None:
        """Send one object; waits for a slow reader."""
        await self._connection.send(self.framed(row))

    async def send_all(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Send some objects, taking turns with all others who send."""
        with self._connection.holding(ROW_BYTES * len(rows)):
            await self._send_some(map(self.framed, rows))

    async def send_written(self, writer: ResponseWriter) -> None:
        """Send an answer whose objects are framed already; meanwhile it is held for the client to read."""
        writer.complete()
        writer.release()
        with self._connection.holding(writer.size):
            await self._send_some(map(msgspec.Raw, writer.rows))

    async def send_list(self, name: str, values: list[Any]) -> None:
        """Send an array; with an id, as ``name`` beside it."""
        await self._connection.send({name: values, **self._echo} if self._echo else values)

    async def end(self, **more: Any) -> None:
        """Say that nothing more comes: null where there is no id, and nothing ``more``, to tell."""
        await self._connection.send(self.framed({"end": True, **more}) if self._echo or more else None)

    async def fail(self, error: Exception) -> None:
        await self._connection.fail(error, **self._echo)

    async def _send_some(self, values: Iterable[Any]) -> None:
        for number, value in enumerate(values):
            if number % SENT_TOGETHER == 0:
                await self.session.send_queue.next()
            await self._connection.send(value)


class SocketHandler(ABC):
    """Answers the requests of one kind of socket."""

    def __init__(self, services: QueryServices) -> None:
        self.services: Final = services

    def is_endless(self, raw: Mapping[str, Any]) -> bool:
        """Tell whether the answer to a request goes on until the client ends it."""
        return "stop" not in raw

    @abstractmethod
    async def answer(self, raw: Mapping[str, Any], service: QueryService, responder: Responder) -> None:
        """Answer one request until its end, or forever; raises what `Responder.fail` shall tell."""


class MetricSocket(SocketHandler):
    """Metrics: a message per bucket (and group); live without ``stop``."""

    async def answer(self, raw: Mapping[str, Any], service: QueryService, responder: Responder) -> None:
        """Send the rows of a request; with ``stop`` then a last message with the time ceil(stop)."""
        query = await service.metric_query(raw, live=True)
        responder.warn(unknown_parameters(raw, METRIC_KEYS))
        if query.live:
            async with aclosing(LiveMetric(service.pyramid, query, service.redefined).rows()) as batches:
                async for batch in batches:
                    await responder.send_all(batch)
            return
        with service.writer(responder.framed) as writer:
            await service.write_metrics(query, writer)
            await responder.send_written(writer)
        await responder.send({"time": instant.format(query.grid.ceil(query.span.stop))})


class EventSocket(SocketHandler):
    """Events: descending to an end, or a page of them in its direction, or a stream without ``stop``."""

    async def answer(self, raw: Mapping[str, Any], service: QueryService, responder: Responder) -> None:
        query, frame = await service.event_query(raw, stream=True), responder.framed_event
        responder.warn(unknown_parameters(raw, EVENT_KEYS))
        if query.stop is None:
            async with aclosing(service.streams.follow(query)) as batches:
                async for batch in batches:
                    # What a stream holds is bounded already.
                    with ResponseWriter(sys.maxsize, service.answers, frame) as writer:
                        await run_by_size(
                            len(batch), THREAD_ROWS, writer.write, event_rows(batch, all_ids=query.all_ids)
                        )
                        await responder.send_written(writer)
            return
        async with responder.session.answers:
            with service.writer(frame) as writer:
                writer.all_ids = query.all_ids
                page = await service.write_events(query, query.stop, writer)
                await responder.send_written(writer)
        await responder.end(**(told_of(query, page) if query.is_paged else {}))


class TypeSocket(SocketHandler):
    """The names of all types, as often as it is asked for them."""

    def is_endless(self, raw: Mapping[str, Any]) -> bool:
        return False

    async def answer(self, raw: Mapping[str, Any], service: QueryService, responder: Responder) -> None:
        """Send the names as one array; with an id, as ``types`` beside it."""
        await responder.send_list("types", await service.types())
