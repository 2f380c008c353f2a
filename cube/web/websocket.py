"""WebSockets: what a daemon says on one (`Session`), and the plumbing under it (`Socket`).

A bad message is answered and the socket lives on. A message is handled before the next one is read,
so a session that waits slows its client down. Only what RFC 6455 calls a failed connection
(text that is not UTF-8, broken frames), a message over twice the limit, and a lack of memory end the
socket.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from types import TracebackType
from typing import Any, Protocol, TypeAlias, cast

from tornado.http1connection import HTTP1Connection
from tornado.websocket import (
    WebSocketClosedError,
    WebSocketHandler,
    WebSocketProtocol,
    WebSocketProtocol13,
)

from cube import json_text
from cube.errors import CubeError, Overloaded, TooLarge
from cube.process.logs import request_id
from cube.web.body import BodyBudget
from cube.web.connection import Phase, Stream
from cube.web.memory_budget import MemoryBudget
from cube.web.request import Request, described
from cube.web.websocket_frames import Frames

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


class Connection(Protocol):
    """The way back to one client."""

    @property
    def request(self) -> Request:
        """The request that opened the socket."""

    async def send(self, value: Any) -> None:
        """Send one JSON value; returns when it is on its way, so a slow reader slows its writer.

        Does nothing once the socket is closed.
        """

    async def fail(self, error: BaseException, **details: Any) -> None:
        """Send an error with `details` beside it; one that is not a `CubeError` is logged as a fault."""

    def holding(self, size: int) -> AbstractContextManager[None]:
        """Count so many bytes as held for the client to read; who holds most may be cut for it."""


class Session(Protocol):
    """What a daemon does with the messages of one socket."""

    async def receive(self, message: bytes) -> None:
        """Handle one message. A `CubeError` is sent as ``{"error": …}``; anything else is a fault."""

    def closed(self) -> None:
        """The socket is gone: stop all work for it at once."""

    async def finish(self) -> None:
        """The process stops: finish (and answer) what was accepted, begin nothing new."""


SessionFactory: TypeAlias = Callable[[Connection], Session]
"""Begins the session of a socket that has just opened."""


class Host(Protocol):
    """What a socket needs of the service that it belongs to."""

    max_body_bytes: int
    bodies: BodyBudget
    unread: MemoryBudget
    sockets: set[Socket]


class Socket(WebSocketHandler):
    """One WebSocket of a `Host`."""

    def initialize(self, host: Host, opening: Request, talk: SessionFactory) -> None:
        """Take the collaborators; the socket is not open yet."""
        self.host = host
        self.opening = opening
        self.talk = talk
        self.session: Session = _SILENCE
        self.gone = asyncio.Event()
        self._held = 0
        self._stream = cast("Stream", cast("HTTP1Connection", self.request.connection).stream)
        self.clear_header("Content-Type")
        self.set_header("X-Request-Id", opening.id)

    def check_origin(self, origin: str) -> bool:
        """Accept: the service has asked `Access` before it came here."""
        return True

    def get_websocket_protocol(self) -> WebSocketProtocol | None:
        """Read frames with `Frames`."""
        made = super().get_websocket_protocol()
        return Frames(self, False, made.params) if isinstance(made, WebSocketProtocol13) else made

    def open(self, *args: str, **kwargs: str) -> None:
        """Begin the session."""
        self.set_nodelay(True)
        self._stream.enter(Phase.SOCKET)
        request_id.set(self.opening.id)
        self.host.sockets.add(self)
        self.session = self.talk(_Link(self))

    async def on_message(self, message: str | bytes) -> None:
        """Hand a message over; whatever comes of it, the socket lives on."""
        content = cast("bytes", message)  # see `Frames`
        self._stream.enter(Phase.TALK)
        try:
            if len(content) > self.host.max_body_bytes:
                raise TooLarge(f"The message is over {self.host.max_body_bytes} bytes, which is the limit.")
            await self._receive(content)
        except Exception as error:
            await self.fail(error)
        finally:
            self._stream.enter(Phase.SOCKET)

    def on_ping(self, data: bytes) -> None:
        """Note that it is not part of a message, though it may come amid one."""
        self._stream.control += CONTROL_BYTES + len(data)

    def on_pong(self, data: bytes) -> None:
        """Do as for a ping."""
        self._stream.control += CONTROL_BYTES + len(data)

    def log_exception(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Log a fault outside of messages; Tornado would show the whole request, its query included."""
        _log.error("request %s: a fault on %s", self.opening.id, self.opening.path, exc_info=error)

    async def _receive(self, content: bytes) -> None:
        bodies = self.host.bodies
        try:
            await bodies.take_in_turn(len(content))
        except Overloaded as error:
            await self.fail(error)  # whatever token or id it has: it is not read
            self.close(TRY_AGAIN_LATER, "too many messages wait")
            return
        try:
            await self.session.receive(content)
        finally:
            bodies.give_back(len(content))

    def on_close(self) -> None:
        """End the session."""
        self.host.sockets.discard(self)
        self.gone.set()
        self.session.closed()
        if self._stream.phase is Phase.SOCKET:  # else messages may still be in it that came as a whole
            self._stream.forget()

    async def send(self, value: Any) -> None:
        """Send one JSON value; see `Connection.send`."""
        try:
            await self.write_message(json_text.encode(value))
        except WebSocketClosedError:
            _log.debug("request %s: the client left before an answer", self.opening.id)

    async def fail(self, error: BaseException, **details: Any) -> None:
        """Send an error; see `Connection.fail`."""
        if not isinstance(error, CubeError):
            _log.error("request %s: a fault on %s", self.opening.id, self.opening.path, exc_info=error)
        await self.send({**described(error, self.opening.id), **details})

    @contextmanager
    def holding(self, size: int) -> Iterator[None]:
        """Count bytes as held; see `Connection.holding`."""
        self._hold(size)
        try:
            yield
        finally:
            self._hold(-size)

    def _hold(self, more: int) -> None:
        self._held += more
        self.host.unread.hold(self._stream, self._held)

    def revoke(self) -> None:
        """End the socket of a caller who may not call any more; what it still sends is not heard."""
        self.session.closed()
        self.session = _SILENCE
        self.close(POLICY_VIOLATION, "the key was revoked")

    def abort(self) -> None:
        """Close without waiting for the client."""
        self._stream.close()

    async def finish_session(self) -> None:
        """Finish what was accepted, then say goodbye."""
        try:
            await self.session.finish()
        finally:
            self.close(GOING_AWAY, "the server stops")


class _Silence:
    """The session of a socket that has not opened."""

    async def receive(self, message: bytes) -> None:
        """Hear nothing."""

    def closed(self) -> None:
        """Do nothing: nothing was begun."""

    async def finish(self) -> None:
        """Do nothing: nothing was accepted."""


_SILENCE = _Silence()


class _Link:
    """A socket as its session sees it."""

    __slots__ = ("_socket",)

    def __init__(self, socket: Socket) -> None:
        self._socket = socket

    @property
    def request(self) -> Request:
        return self._socket.opening

    async def send(self, value: Any) -> None:
        await self._socket.send(value)

    async def fail(self, error: BaseException, **details: Any) -> None:
        await self._socket.fail(error, **details)

    def holding(self, size: int) -> AbstractContextManager[None]:
        return self._socket.holding(size)


async def finish_all(sockets: set[Socket]) -> None:
    """Finish every session, all at once, and close the sockets."""
    results = await asyncio.gather(
        *(socket.finish_session() for socket in list(sockets)), return_exceptions=True
    )
    for result in results:
        if isinstance(result, Exception):
            _log.error("a session could not be finished", exc_info=result)
    farewells = asyncio.gather(*(socket.gone.wait() for socket in list(sockets)))
    with suppress(TimeoutError):
        async with asyncio.timeout(GOODBYE_SECONDS):
            await farewells
    for socket in list(sockets):
        socket.abort()
