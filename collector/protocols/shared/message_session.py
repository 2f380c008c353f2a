"""A dialect over a WebSocket: each message is what the body of a request would be."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

import msgspec

from collector.ingest.quota import DecodingQuota
from cube.errors import InvalidQuery, Unavailable
from cube.process.threads import Condition
from cube.web import Connection, Reply, Request

WINDOW: Final = 64
"""Messages of one socket that may wait for the store; then the next one is not read."""

WINDOW_BYTES: Final = 16 * 2**20
"""The same for their bytes, and those of all sockets that are not stored yet; a larger one waits alone."""

SUMMARY: Final = (
    "As a WebSocket: each message, text or binary, is read as a body would be, and answered, in order, where"
    ' any of it is wrong; with `ack=true` always. `"spooled": true`: some is only in the collector\'s spool.'
)

_SPOOLED: Final = 202


class MessageSession:
    """Writes message after message, some at a time; their answers come in the order of the messages.

    ``write``: stores what a request holds, and makes the reply that tells how many of it were ``rejected``.
    ``window``: bounds the bytes of what all sessions hold that is not stored yet.
    """

    def __init__(
        self, write: Callable[[Request], Awaitable[Reply]], window: DecodingQuota, connection: Connection
    ) -> None:
        self._write = write
        self._window = window
        self._connection = connection
        self._tells_all = _wants_all(connection.request)
        self._last: asyncio.Task[None] | None = None
        self._running: set[asyncio.Task[None]] = set()
        self._waiting_bytes = 0
        self._eased = Condition()
        self._stopping = False

    async def receive(self, message: bytes) -> None:
        """Take one message; waits while the store is behind."""
        size = len(message)
        await self._eased.wait_for(lambda: self._has_room(size))
        await self._window.enter(size)
        if self._stopping:
            self._window.leave(size)
            raise Unavailable("The collector is stopping; nothing new is accepted.")
        self._waiting_bytes += size
        task = asyncio.get_running_loop().create_task(self._answer(self._written(message), self._last))
        self._last = task
        self._running.add(task)
        task.add_done_callback(lambda done: self._done(done, size))

    def closed(self) -> None:
        """Do nothing: what was accepted is stored all the same."""

    async def finish(self) -> None:
        self._stopping = True
        await self._eased.wait_for(lambda: not self._running)

    def _has_room(self, size: int) -> bool:
        fits = not self._running or self._waiting_bytes + size <= WINDOW_BYTES
        return self._stopping or (len(self._running) < WINDOW and fits)

    def _request(self, message: bytes) -> Request:
        opening = self._connection.request
        request = Request("POST", f"{opening.path}?{opening.query}", opening.headers, opening.remote)
        request.captures, request.route, request.scheme = opening.captures, opening.route, opening.scheme
        request.body = message
        return request

    async def _written(self, message: bytes) -> Reply:
        """Write a message; whoever does not read the answer to it keeps no other from being written."""
        try:
            return await self._write(self._request(message))
        finally:
            self._window.leave(len(message))

    async def _answer(self, written: Awaitable[Reply], before: asyncio.Task[None] | None) -> None:
        """Write a message, and answer it once the one before has been answered."""
        error: Exception | None = None
        try:
            reply = await written
        except Exception as raised:
            error = raised  # `Connection.fail` logs what is no `CubeError`
        if before is not None:
            await asyncio.wait([before])
        if error is not None:
            await self._connection.fail(error)
            return
        told: dict[str, Any] = msgspec.json.decode(reply.body)
        if self._tells_all or told.get("rejected"):
            await self._connection.send({**told, "spooled": True} if reply.status == _SPOOLED else told)

    def _done(self, task: asyncio.Task[None], size: int) -> None:
        self._running.discard(task)
        self._waiting_bytes -= size
        self._eased.notify()


def _wants_all(opening: Request) -> bool:
    with suppress(InvalidQuery):  # told as the answer to each message
        return opening.parameters().get("ack") == "true"
    return False
