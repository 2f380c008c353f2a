"""WebSockets: what a daemon says on one (`Session`), and the plumbing under it (`Socket`, `Sockets`).

A bad message is answered and the socket lives on. A message is handled before the next one is read,
so a session that waits slows its client down. Only what RFC 6455 calls a failed connection
(text that is not UTF-8, broken frames), a message over twice the limit, and a lack of memory end the
socket.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, cast

from tornado.http1connection import HTTP1Connection
from tornado.httputil import HTTPMessageDelegate, HTTPServerRequest, RequestStartLine
from tornado.web import Application
from tornado.websocket import (
    WebSocketClosedError,
    WebSocketHandler,
    WebSocketProtocol,
    WebSocketProtocol13,
)

from cube import json_text
from cube.errors import CubeError, InvalidRequest, Overloaded, TooLarge
from cube.process.logs import request_id
from cube.web.body import BodyBudget
from cube.web.connection import Phase, Stream
from cube.web.error_replies import error_body
from cube.web.memory_budget import MemoryBudget
from cube.web.message import Request
from cube.web.tornado_private import Frames

PING_SECONDS = 30.0
"""How often an idle client is pinged, so that one that vanished is noticed."""

GOODBYE_SECONDS = 1.0
"""How long a client has to answer our closing of its socket."""

CONTROL_BYTES = 6
"""A client's control frame beside its content: two bytes of head, four of its mask."""

GOING_AWAY = 1001
POLICY_VIOLATION = 1008
TRY_AGAIN_LATER = 1013

_log = logging.getLogger(__name__)


class Session(Protocol):
    """What a daemon does with the messages of one socket."""

    def receive(self, message: bytes) -> Awaitable[None] | None:
        """Handle one message; what is returned is awaited before the next one is read.

        A `CubeError`, raised here or there, is sent as ``{"error": …}``; anything else is a fault.
        """

    def closed(self) -> None:
        """The socket is gone: stop all work for it at once."""

    async def finish(self) -> None:
        """The process stops: finish (and answer) what was accepted, begin nothing new."""


@dataclass(slots=True, eq=False)
class Connection:
    """The way back to the client of one socket; ``request`` opened it."""

    _socket: Socket
    request: Request
    _held: int = 0

    async def send(self, value: Any) -> None:
        """Send one JSON value; returns when it is on its way, so a slow reader slows its writer.

        Does nothing once the socket is closed.
        """
        try:
            await self._socket.write_message(json_text.encode(value))
        except WebSocketClosedError:
            _log.debug("request %s: the client left before an answer", self.request.id)

    async def fail(self, error: BaseException, **details: Any) -> None:
        """Send an error with `details` beside it; one that is not a `CubeError` is logged as a fault."""
        if not isinstance(error, CubeError):
            _log.error("request %s: a fault on %s", self.request.id, self.request.path, exc_info=error)
        await self.send({**error_body(error, self.request.id), **details})

    @contextmanager
    def holding(self, size: int) -> Iterator[None]:
        """Count so many bytes as held for the client to read; who holds most may be cut for it."""
        self._hold(size)
        try:
            yield
        finally:
            self._hold(-size)

    def _hold(self, more: int) -> None:
        self._held += more
        self._socket.sockets.answers.hold(self._socket.stream, self._held)


SessionFactory: TypeAlias = Callable[[Connection], Session]
"""Begins the session of a socket that has just opened."""


class Sockets:
    """The WebSockets of a server.

    ``most``: so many may be open. ``message_bytes`` bounds a message, ``bodies`` what all messages hold while
    they are handled, and ``answers`` what waits for clients to read it.
    """

    def __init__(self, *, most: int, message_bytes: int, bodies: BodyBudget, answers: MemoryBudget) -> None:
        self.message_bytes = message_bytes
        self.bodies = bodies
        self.answers = answers
        self.open: set[Socket] = set()
        self._most = most
        self._application = Application(
            websocket_ping_interval=PING_SECONDS,
            # A client that we slow down cannot have its pongs read meanwhile.
            websocket_ping_timeout=0,
            websocket_max_message_size=2 * message_bytes,
            log_function=lambda handler: None,
        )

    def refuse_more(self) -> None:
        """Raise `Overloaded` where no further socket may be open."""
        if len(self.open) >= self._most:
            raise Overloaded(f"All {self._most} WebSockets are taken.")

    def upgrade(
        self,
        connection: HTTP1Connection,
        start_line: RequestStartLine,
        request: Request,
        begin: SessionFactory,
    ) -> HTTPMessageDelegate:
        """Turn a request into a WebSocket; raises `InvalidRequest` for a handshake that is not valid."""
        if request.headers.get("Sec-WebSocket-Version") != "13" or "Sec-WebSocket-Key" not in request.headers:
            raise InvalidRequest("The WebSocket handshake is wrong; accepted is RFC 6455, version 13.")
        return self._application.get_handler_delegate(
            HTTPServerRequest(connection=connection, start_line=start_line, headers=request.headers),
            Socket,
            {"sockets": self, "opening": request, "begin": begin},
        )

    async def finish(self) -> None:
        """Finish every session, all at once, and close the sockets."""
        results = await asyncio.gather(
            *(socket.finish_session() for socket in list(self.open)), return_exceptions=True
        )
        for result in results:
            if isinstance(result, Exception):
                _log.error("a session could not be finished", exc_info=result)
        farewells = asyncio.gather(*(socket.gone.wait() for socket in list(self.open)))
        with suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE_SECONDS):
                await farewells
        for socket in list(self.open):
            socket.stream.close()  # without waiting for the client


class Socket(WebSocketHandler):
    """One WebSocket of `Sockets`."""

    def initialize(self, sockets: Sockets, opening: Request, begin: SessionFactory) -> None:
        self.sockets = sockets
        self.opening = opening
        self.gone = asyncio.Event()
        self.stream = cast("Stream", cast("HTTP1Connection", self.request.connection).stream)
        self._begin = begin
        self._session: Session | None = None  # not open, or revoked: nothing is heard
        self._connection = Connection(self, opening)
        self.clear_header("Content-Type")
        self.set_header("X-Request-Id", opening.id)

    def check_origin(self, origin: str) -> bool:
        """Accept: `Authenticator` was asked before it came here."""
        return True

    def get_websocket_protocol(self) -> WebSocketProtocol | None:
        made = super().get_websocket_protocol()
        return Frames(self, False, made.params) if isinstance(made, WebSocketProtocol13) else made

    def open(self, *args: str, **kwargs: str) -> None:
        self.set_nodelay(True)
        self.stream.enter(Phase.SOCKET)
        request_id.set(self.opening.id)
        self.sockets.open.add(self)
        self._session = self._begin(self._connection)

    def on_message(self, message: str | bytes) -> Awaitable[None] | None:
        """Hand a message over, without a task where nothing has to be waited for."""
        content = cast("bytes", message)  # see `Frames`
        self.stream.enter(Phase.HANDLING)
        if len(content) > self.sockets.message_bytes:
            text = f"The message is over {self.sockets.message_bytes} bytes, which is the limit."
            return self._finish(self._connection.fail(TooLarge(text)), 0)
        if not self.sockets.bodies.take_at_once(len(content)):
            return self._in_turn(content)
        rest = self._receive(content)
        if rest is not None:
            return self._finish(rest, len(content))
        self._handled(len(content))
        return None

    def _receive(self, content: bytes) -> Awaitable[None] | None:
        """Begin to handle a message; whatever comes of it, the socket lives on."""
        try:
            return None if self._session is None else self._session.receive(content)
        except Exception as error:
            return self._connection.fail(error)

    async def _in_turn(self, content: bytes) -> None:
        try:
            await self.sockets.bodies.take_in_turn(len(content))
        except Overloaded as error:
            await self._connection.fail(error)  # whatever token or id it has: it is not read
            self.close(TRY_AGAIN_LATER, "too many messages wait")
            self.stream.enter(Phase.SOCKET)
            return
        rest = self._receive(content)
        if rest is None:
            self._handled(len(content))
        else:
            await self._finish(rest, len(content))

    async def _finish(self, rest: Awaitable[None], held: int) -> None:
        """Wait for what is left of a message."""
        try:
            await rest
        except Exception as error:
            await self._connection.fail(error)
        finally:
            self._handled(held)

    def _handled(self, held: int) -> None:
        self.sockets.bodies.give_back(held)
        self.stream.enter(Phase.SOCKET)

    def on_ping(self, data: bytes) -> None:
        """Note that it is not part of a message, though it may come amid one."""
        self.stream.control += CONTROL_BYTES + len(data)

    on_pong = on_ping

    def log_exception(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Log a fault outside of messages; Tornado would show the whole request, its query included."""
        _log.error("request %s: a fault on %s", self.opening.id, self.opening.path, exc_info=error)

    def on_close(self) -> None:
        self.sockets.open.discard(self)
        self.gone.set()
        self._end_session()
        if self.stream.phase is Phase.SOCKET:  # else messages may still be in it that came as a whole
            self.stream.forget()

    def revoke(self) -> None:
        """End the socket of a caller who may not call any more; what it still sends is not heard."""
        self._end_session()
        self.close(POLICY_VIOLATION, "the key was revoked")

    async def finish_session(self) -> None:
        """Finish what was accepted, then say goodbye."""
        try:
            if self._session is not None:
                await self._session.finish()
        finally:
            self.close(GOING_AWAY, "the server stops")

    def _end_session(self) -> None:
        if self._session is not None:
            self._session.closed()
            self._session = None
