"""A daemon's HTTP side: its routes, its limits, and what is going on right now."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from functools import partial
from typing import cast

from tornado import web
from tornado.http1connection import HTTP1Connection
from tornado.httputil import (
    HTTPConnection,
    HTTPMessageDelegate,
    HTTPServerConnectionDelegate,
    HTTPServerRequest,
    RequestStartLine,
)

from cube.errors import CubeError, InvalidRequest
from cube.process.threads import Condition
from cube.settings import HttpSettings
from cube.web.access import Access
from cube.web.body import BodyBudget
from cube.web.connection import Phase, Stream
from cube.web.handler import Exchange
from cube.web.tornado_private import read_our_way
from cube.web.memory_budget import MemoryBudget
from cube.web.metrics import Telemetry
from cube.web.proxies import Proxies
from cube.web.reply import last_reply
from cube.web.request import Request, make_request_id, refusal
from cube.web.route import Route
from cube.web.routing import RouteTable
from cube.web.websocket import PING_SECONDS, SessionFactory, Socket, finish_all

_log = logging.getLogger(__name__)


class Service(HTTPServerConnectionDelegate):
    """Answers the requests of one daemon from a route table.

    ``max_body_bytes`` bounds a body, inflated, and a WebSocket message. ``http``: the bounds of
    connections and heads. To be made in the event loop that serves it. ``on_request`` is told of each
    request to a path of the table when it is over, or has become a WebSocket: only then is its caller
    known everywhere. ``lenient``: two headers are read though they are written wrongly (see
    `cube.web.lenient`). ``proxies``: whose word for a client's address and scheme counts; by default
    nobody's. ``answers``: bounds what is held of answers that are made or read; by default its own.
    """

    def __init__(
        self,
        routes: Iterable[Route],
        *,
        access: Access,
        telemetry: Telemetry,
        max_body_bytes: int,
        max_sockets: int,
        http: HttpSettings | None = None,
        on_request: Callable[[Request], None] | None = None,
        lenient: bool = False,
        proxies: Proxies | None = None,
        answers: MemoryBudget | None = None,
    ) -> None:
        self.routes = RouteTable(routes)
        self.access = access
        self.telemetry = telemetry
        self.max_body_bytes = max_body_bytes
        self.max_sockets = max_sockets
        self.on_request = on_request
        self._lenient = lenient
        self.proxies = Proxies() if proxies is None else proxies
        self.loop = asyncio.get_running_loop()
        self.http = HttpSettings() if http is None else http
        self.bodies = BodyBudget(max(self.http.bodies_bytes, max_body_bytes))
        # A lone message may always come in, one that is refused for its length included.
        incoming = max(self.http.bodies_bytes, 2 * max_body_bytes + self.http.head_bytes)
        self.unfinished = MemoryBudget(incoming, telemetry.cut.inc)
        self.unread = telemetry.answers(self.http.answers_bytes) if answers is None else answers
        self.leaving = False
        self.stopping = False
        self.sockets: set[Socket] = set()
        self._exchanges: set[Exchange] = set()
        self._idle = Condition()
        telemetry.sockets.set_function(lambda: len(self.sockets))
        self._application = web.Application(
            websocket_ping_interval=PING_SECONDS,
            # A client that we slow down cannot have its pongs read meanwhile.
            websocket_ping_timeout=0,
            websocket_max_message_size=2 * max_body_bytes,
            log_function=lambda handler: None,
        )

    def start_request(self, server_conn: object, request_conn: HTTPConnection) -> HTTPMessageDelegate:
        """Begin with the next request of a connection; Tornado calls it."""
        connection = cast("HTTP1Connection", request_conn)
        stream = cast("Stream", connection.stream)
        read_our_way(connection, lenient=self._lenient, refused=partial(self._refuse_head, stream))
        stream.turn += 1
        stream.enter(Phase.HEAD)
        return Exchange(self, connection, stream)

    def _refuse_head(self, stream: Stream, error: CubeError) -> None:
        """Reply to a head that cannot be read: where the next request begins is not known."""
        request_id = make_request_id()
        reply = refusal(error, request_id)
        stream.say_last(last_reply(reply, request_id))
        stream.close()
        self.telemetry.answered("", "", reply.status, 0.0)
        # Not what is wrong: it may quote a key.
        _log.debug("a head was answered with %d", reply.status, extra={"request": request_id})

    def on_close(self, server_conn: object) -> None:
        """Note that a connection is gone; its exchange has been told."""

    def upgrade(
        self,
        connection: HTTP1Connection,
        start_line: RequestStartLine,
        request: Request,
        talk: SessionFactory,
    ) -> HTTPMessageDelegate:
        """Turn a request into a WebSocket.

        Raises `InvalidRequest` for a handshake that is not valid.
        """
        if request.headers.get("Sec-WebSocket-Version") != "13" or "Sec-WebSocket-Key" not in request.headers:
            raise InvalidRequest("The WebSocket handshake is wrong; accepted is RFC 6455, version 13.")
        return self._application.get_handler_delegate(
            HTTPServerRequest(connection=connection, start_line=start_line, headers=request.headers),
            Socket,
            {"host": self, "opening": request, "talk": talk},
        )

    def began(self, exchange: Exchange) -> None:
        """Note a request that is not answered yet."""
        self._exchanges.add(exchange)

    def ended(self, exchange: Exchange) -> None:
        """Note that a request has its answer, or needs none any more."""
        exchange.release()
        if exchange in self._exchanges and exchange.request.route and self.on_request is not None:
            self.on_request(exchange.request)
        self._exchanges.discard(exchange)
        if not self._exchanges:
            self._idle.notify()

    def close_revoked(self) -> None:
        """End the WebSockets whose openers would not be admitted any more."""
        for socket in list(self.sockets):
            caller = socket.opening.caller
            if caller is not None and not self.access.admits(caller):
                socket.revoke()

    async def finish(self) -> None:
        """Accept nothing more, and return when all that was accepted is answered."""
        self.leaving = self.stopping = True
        await finish_all(self.sockets)
        await self._idle.wait_for(lambda: not self._exchanges)
