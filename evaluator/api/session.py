"""WebSockets: many requests at once on one socket, each with its answers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec

from cube import json_text
from cube.errors import InvalidRequest, Overloaded, Unavailable
from cube.model.environment import Caller
from cube.model.event import ABSENT
from cube.process.threads import run_by_size
from cube.web import Link
from evaluator.api.response_writer import Pieces
from evaluator.scheduling.send_queue import SendQueue

SENT_TOGETHER = 20
"""Messages sent in one pass of the event loop: about a millisecond's worth."""

ROW_BYTES = 300
"""About what a metric takes as an object that waits to be sent."""

ANSWERS = 4
"""So many answers of events are made, and wait for their client, on one socket at once."""


class Channel:
    """The way back to one request; echoes its id on everything."""

    __slots__ = ("_id", "_link", "_send_queue", "answers")

    def __init__(self, link: Link, id: Any, send_queue: SendQueue, answers: asyncio.Semaphore) -> None:
        self._link = link
        self._id = id
        self._send_queue = send_queue
        self.answers: Final = answers
        """What takes one of the socket's places for large answers."""

    @property
    def has_id(self) -> bool:
        """Whether the request has an id."""
        return self._id is not ABSENT

    @property
    def caller(self) -> Caller:
        """Who opened the socket."""
        return self._link.request.admitted

    async def send(self, row: Mapping[str, Any]) -> None:
        """Send one object; waits for a slow reader."""
        await self._link.send(self.framed(row))

    async def send_all(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Send some objects, taking turns with all others who send."""
        with self._link.holding(ROW_BYTES * len(rows)):
            await self._send_some(map(self.framed, rows))

    async def send_pieces(self, pieces: Pieces) -> None:
        """Send an answer whose objects are framed already; meanwhile it is held for the client to read."""
        pieces.complete()
        pieces.release()
        with self._link.holding(pieces.size):
            await self._send_some(map(msgspec.Raw, pieces.rows))

    def framed(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return an object as this request's client is to see it."""
        return {**row, "id": self._id} if self.has_id else row

    def framed_event(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return an event so; beside the id of a request, its own stands in ``event``."""
        if self.has_id and "id" in row:
            row = {**row, "event": row["id"]}
        return self.framed(row)

    async def end(self) -> None:
        """Say that nothing more comes: null where there is no id to say it of."""
        await self._link.send({"id": self._id, "end": True} if self.has_id else None)

    async def fail(self, error: Exception) -> None:
        """Send an error."""
        await self._link.fail(error, **({"id": self._id} if self.has_id else {}))

    async def send_list(self, name: str, values: list[Any]) -> None:
        """Send an array; with an id, as ``name`` beside it."""
        await self._link.send({name: values, "id": self._id} if self.has_id else values)

    async def _send_some(self, values: Iterable[Any]) -> None:
        for number, value in enumerate(values):
            if number % SENT_TOGETHER == 0:
                await self._send_queue.next()
            await self._link.send(value)


class Feed(Protocol):
    """Answers the requests of one kind of socket."""

    async def answer(self, raw: Mapping[str, Any], channel: Channel) -> None:
        """Answer one request until its end, or forever; raises what `Channel.fail` shall tell."""

    def is_endless(self, raw: Mapping[str, Any]) -> bool:
        """Tell whether the answer to a request goes on until the client ends it."""


class Requests:
    """The conversation of one socket: its requests, each a task of its own.

    At most ``limit`` run at once, and `ANSWERS` of those whose answers are held in memory until they are
    sent. ``send_queue``: shared by all sockets. The socket's end is theirs.
    """

    def __init__(self, feed: Feed, limit: int, send_queue: SendQueue, link: Link) -> None:
        self._feed = feed
        self._limit = limit
        self._send_queue = send_queue
        self._answers = asyncio.Semaphore(ANSWERS)
        self._link = link
        self._running: dict[bytes | object, _Running] = {}
        self._stopping = False

    async def receive(self, message: bytes) -> None:
        """Begin, or cancel, a request."""
        raw = await run_by_size(len(message), json_text.THREAD_BYTES, json_text.decode, message)
        if not isinstance(raw, dict):
            raise InvalidRequest(
                "Got a message that is not an object; accepted is {expression, start, stop, …}."
            )
        channel = Channel(self._link, raw.get("id", ABSENT), self._send_queue, self._answers)
        try:
            if raw.get("cancel") is True:
                await self._cancel(raw, channel)
            else:
                self._begin(raw, channel)
        except (InvalidRequest, Overloaded, Unavailable) as error:
            await channel.fail(error)

    def closed(self) -> None:
        """Stop all requests at once."""
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

    def _begin(self, raw: dict[str, Any], channel: Channel) -> None:
        if self._stopping:
            raise Unavailable("The evaluator is stopping; nothing new is accepted.")
        key = json_text.encode(raw["id"]) if "id" in raw else object()
        if key in self._running:
            raise InvalidRequest("A request with this id is running already; accepted is another id.")
        if len(self._running) >= self._limit:
            raise Overloaded(f"All {self._limit} requests of this socket are running; cancel one first.")
        task = asyncio.create_task(self._run(raw, channel))
        self._running[key] = _Running(task, self._feed.is_endless(raw))
        task.add_done_callback(lambda _: self._running.pop(key, None))

    async def _cancel(self, raw: dict[str, Any], channel: Channel) -> None:
        if "id" not in raw:
            raise InvalidRequest("A cancel needs the id of the request that it ends.")
        running = self._running.get(json_text.encode(raw["id"]))
        if running is None:
            raise InvalidRequest("No request with this id is running.")
        running.task.cancel()
        await asyncio.wait([running.task])
        await channel.end()

    async def _run(self, raw: dict[str, Any], channel: Channel) -> None:
        try:
            await self._feed.answer(raw, channel)
        except Exception as error:
            await channel.fail(error)


class _Running:
    __slots__ = ("endless", "task")

    def __init__(self, task: asyncio.Task[None], endless: bool) -> None:
        self.task: Final = task
        self.endless: Final = endless
