"""A dialect over a WebSocket: each message is what the body of a request would be."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from collector.ingest.quota import DecodingQuota
from cube.errors import InvalidQuery, Unavailable
from cube.process.threads import Condition
from cube.web import Connection, Reply, Request, switch

WINDOW: Final = 64
"""Messages of one socket that may wait for the store; then the next one is not read."""

WINDOW_BYTES: Final = 16 * 2**20
"""The same for their bytes, and those of all sockets that are not stored yet; a larger one waits alone."""

SUMMARY: Final = (
    "As a WebSocket: each message, text or binary, is read as a body would be, and answered, in order, where"
    ' any of it is wrong; with `ack=true` always. `"spooled": true`: some is only in the collector\'s spool.'
)

_SPOOLED: Final = 202


class Turn:
    """A message's turn to be handed to the intake: it comes when that of the one before it is over.

    So the messages of a socket may be read side by side, and are still stored in their order.
    """

    __slots__ = ("_before", "over")

    def __init__(self, before: Turn | None = None) -> None:
        self._before = None if before is None else before.over
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def come(self) -> None:
        """Wait for the turn."""
        if self._before is not None and not self._before.done():
            await asyncio.wait([self._before])

    def end(self) -> None:
        """Say that the message is handed over, or will not be."""
        if not self.over.done():
            self.over.set_result(None)


class MessageSession:
    """Writes message after message, some at a time; they are stored and answered in the order they came.

    ``write``: stores what a request holds, in its turn, and makes the reply that tells how many of it were
    ``rejected``.
    ``window``: bounds the bytes of what all sessions hold that is not stored yet.
    """

    def __init__(
        self,
        write: Callable[[Request, Turn], Awaitable[Reply]],
        window: DecodingQuota,
        connection: Connection,
    ) -> None:
        self._write = write
        self._window = window
        self._connection = connection
        self._tells_all = _wants_all(connection.request)
        self._last: asyncio.Task[None] | None = None
        self._turn: Turn | None = None
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
        self._turn = Turn(self._turn)
        written = self._written(message, self._turn)
        task = asyncio.get_running_loop().create_task(self._answer(written, self._last))
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

    async def _written(self, message: bytes, turn: Turn) -> Reply:
        """Write a message; whoever does not read the answer to it keeps no other from being written."""
        try:
            if self._tells_all is None:
                switch(self._connection.request.parameters(), "ack")  # raises what is wrong with it
            return await self._write(self._request(message), turn)
        finally:
            turn.end()
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


def _wants_all(opening: Request) -> bool | None:
    """Tell whether each message is to be answered; None where that is said wrongly: each is refused."""
    try:
        return switch(opening.parameters(), "ack")
    except InvalidQuery:
        return None
