"""One HTTP request, from its head to its reply.

Every reply, errors included, goes out through `Exchange`, with the request's id and the CORS headers.
Tornado parses and frames HTTP; its `RequestHandler` is left out, because it alone takes more time than
a whole request may (7 000 a second on one core).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import cast

from tornado.http1connection import HTTP1Connection
from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    HTTPServerConnectionDelegate,
    RequestStartLine,
    ResponseStartLine,
)

from cube.errors import CubeError, InvalidRequest, Overloaded, TooLarge
from cube.process.logs import request_id
from cube.web.body import Body, announced_bytes
from cube.web.connection import Phase, Stream
from cube.web.error_replies import error_reply, with_owed_headers
from cube.web.http1 import ChunkedBody, parse_head
from cube.web.message import Reply, Request, make_request_id, preflight
from cube.web.prompt import PromptRequests
from cube.web.reply_writer import ReplyWriter, last_reply, log_fault
from cube.web.route import Operation, Route
from cube.web.service import Service
from cube.web.tornado_private import Head, read_with
from cube.web.websocket import SessionFactory

LINGER_BYTES = 64 * 2**20
"""So much of a refused body is read and thrown away: who closes earlier resets the connection, and the
client may never see the reply."""

_BODY_HEADERS = ("Transfer-Encoding", "Content-Encoding")
_log = logging.getLogger(__name__)


class Requests(HTTPServerConnectionDelegate):
    """Begins each request of each connection."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def start_request(self, server_conn: object, request_conn: HTTPConnection) -> HTTPMessageDelegate:
        """Begin with the next request of a connection; Tornado calls it."""
        connection = cast("HTTP1Connection", request_conn)
        stream = cast("Stream", connection.stream)
        known = stream.known
        prompt = known if isinstance(known, PromptRequests) else PromptRequests(self._service, stream)
        stream.known = prompt
        parse = partial(parse_head, self._service.lenient, partial(self._refuse_head, stream))
        exchange = Exchange(self._service, connection, stream, prompt)

        def noted(own: Callable[[bytes], Head], head: bytes) -> Head:
            prompt.head = head
            return parse(own, head)

        read_with(connection, noted, exchange.read_chunks, prompt.serve)
        stream.turn += 1
        stream.enter(Phase.HEAD)
        return exchange

    def _refuse_head(self, stream: Stream, error: CubeError) -> None:
        """Reply to a head that cannot be read: where the next request begins is not known."""
        request_id = make_request_id()
        reply = error_reply(error, request_id)
        stream.say_last(last_reply(reply, request_id))
        stream.close()
        self._service.telemetry.answered("", "", reply.status, 0.0)
        # Not what is wrong: it may quote a key.
        _log.debug("a head was answered with %d", reply.status, extra={"request": request_id})


class Exchange(HTTPMessageDelegate):
    """Reads one request, runs its operation and sends the reply."""

    def __init__(
        self, service: Service, connection: HTTP1Connection, stream: Stream, prompt: PromptRequests
    ) -> None:
        self._service = service
        self._prompt = prompt
        self._connection = connection
        self._stream = stream
        self._route: Route | None = None
        self._operation: Operation | None = None
        self._body: Body | None = None  # None: there is none, or it is thrown away
        self._is_refused = False
        self._excess: TooLarge | None = None  # told once the whole request is here
        self._delegate: HTTPMessageDelegate | None = None  # takes over for a WebSocket
        self._task: asyncio.Task[None] | None = None
        self._discarded = 0

    # What Tornado calls, in this order.

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> Awaitable[None] | None:
        """Find the operation and refuse what can be refused now."""
        start_line = cast("RequestStartLine", start_line)  # a server's
        self._stream.enter(Phase.BODY)
        self._version = start_line.version
        context = self._connection.context
        remote, scheme = getattr(context, "remote_ip", ""), getattr(context, "protocol", "http")
        if self._service.proxies is not None:
            remote, scheme = self._service.proxies.client(headers, remote, scheme)
        self.request = Request(start_line.method, start_line.path, headers, remote)
        self.request.scheme = scheme
        self._replies = ReplyWriter(
            self._service, self._connection, self._stream, self.request, self._version, self._end
        )
        self._route, self.request.captures = self._service.routes.find(self.request.path)
        if self._route is not None:
            self.request.route = self._route.path
            self._replies.credentials = self._route.credentials
        self._service.began(self.request)
        try:
            self._service.check_head(self.request)
            if self._route is not None and self._route.socket is not None and self.request.asks_for_socket:
                self._delegate = self._upgrade(start_line, self._route, self._route.socket)
                return self._delegate.headers_received(start_line, headers)
            self._operation = self._service.admitted_operation(self.request, self._route)
            if self._operation is not None:
                self._replies.credentials = self._operation.credentials
            if headers.get("Content-Length", "0") != "0" or any(name in headers for name in _BODY_HEADERS):
                self._body = self._begin_body(headers)
        except TooLarge as error:
            self._exceed(error)
        except Exception as error:
            self._refuse(error)
        return None

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        if self._delegate is not None:
            return self._delegate.data_received(chunk)
        if self._body is None:
            self._discard(len(chunk))
            return None
        try:
            self._body.add(chunk)
        except TooLarge as error:
            self._exceed(error)
        except (InvalidRequest, Overloaded) as error:
            self._refuse(error)
        return None

    def finish(self) -> None:
        """Run the operation: the request is here as a whole."""
        self._stream.enter(Phase.ANSWER)
        if self._delegate is not None:
            self._delegate.finish()
        elif self._is_refused:
            self._connection.finish()
        else:
            if self._operation is not None and self._operation.begin is not None:
                self._prompt.learn(self.request, self._route, self._operation, self._version)
            self._connection.set_close_callback(self.on_connection_close)
            self._task = self._service.loop.create_task(self._run())

    async def read_chunks(self, delegate: HTTPMessageDelegate) -> None:
        """Read a body in chunks; refuse one that is broken: where the next request begins is not known."""
        try:
            await ChunkedBody(self._connection, delegate).read()
        except InvalidRequest as error:
            if not self._is_refused:
                self._excess = None
                self._refuse(error, last=True)
            self._connection.finish()

    def on_connection_close(self) -> None:
        """Stop: nobody waits for the reply any more."""
        if self._delegate is not None:
            self._delegate.on_connection_close()
        if self._task is not None:
            self._task.cancel()
        self._end()

    def _end(self) -> None:
        """Release the body, and tell that the request has its answer, or needs none any more."""
        self._drop_body()
        self._service.ended(self.request)

    def _drop_body(self) -> None:
        if self._body is not None:
            self._body.release()
            self._body = None

    def _begin_body(self, headers: HTTPHeaders) -> Body:
        operation, limit, bodies = self._operation, self._service.max_body_bytes, self._service.bodies
        if operation is None:
            return Body(headers, limit, bodies)
        body = Body(headers, limit, bodies, sniffed=operation.sniffs_gzip, left=operation.unpacks)
        self.request.hold = body.hold
        return body

    def _upgrade(
        self, start_line: RequestStartLine, route: Route, begin: SessionFactory
    ) -> HTTPMessageDelegate:
        self._service.refuse_when_stopping()
        self._service.sockets.refuse_more()
        self._service.admit(self.request, route.socket_scope)
        delegate = self._service.sockets.upgrade(self._connection, start_line, self.request, begin)
        self.request.is_socket = True
        self._service.ended(self.request)  # from here on it counts as a socket
        return delegate

    # Running.

    async def _run(self) -> None:
        request_id.set(self.request.id)
        try:
            reply = await self._answer_whole()
        except CubeError as error:
            reply = self._error_reply(error)
        except asyncio.CancelledError as error:
            if self._task is not None and self._task.cancelling():  # it, not what it waits for
                self._connection.close()
                raise
            reply = self._fault(RuntimeError(f"what the request waited for was given up: {error!r}"))
        except Exception as error:
            reply = self._fault(error)
        if reply.parts is not None:
            await self._replies.write_parts(reply, reply.parts)
            return
        self._replies.write(reply)
        self._connection.finish()

    async def _answer_whole(self) -> Reply:
        try:
            if self._excess is not None:
                raise self._excess
            if self._body is not None:
                self.request.body = self._body.complete()
            return await self._answer()
        except TooLarge as error:
            if self._operation is None or self._operation.on_too_large is None:
                raise
            return await self._operation.on_too_large(self.request, error)

    async def _answer(self) -> Reply:
        if self._operation is not None:
            return await self._operation.answer(self.request)
        options = None if self._route is None else self._route.options
        if options is not None and "Access-Control-Request-Method" not in self.request.headers:
            reply = options(self.request)
            if reply is not None:
                return reply
        return preflight(self.request, () if self._route is None else self._route.methods)

    def _error_reply(self, error: CubeError) -> Reply:
        refuse = None if self._route is None else self._route.refuse
        try:
            if refuse is not None:
                return with_owed_headers(refuse(error, self.request), error)
            return error_reply(error, self.request.id)
        except Exception as fault:
            return self._fault(fault)

    def _fault(self, error: Exception) -> Reply:
        log_fault(self.request, error)
        return error_reply(error, self.request.id)

    def _exceed(self, error: TooLarge) -> None:
        """Refuse, or where the operation answers such requests read them to their end first."""
        answers = self._operation is not None and self._operation.on_too_large is not None
        if answers and announced_bytes(self.request.headers) <= LINGER_BYTES:
            self._drop_body()
            self._excess = error
        else:
            self._refuse(error)

    def _refuse(self, error: Exception, *, last: bool = False) -> None:
        """Reply before the body is here; the rest of it is read and thrown away."""
        self._is_refused = True
        self._drop_body()
        headers = self.request.headers
        # With "Expect" the client waits, so nothing more needs to be read (and nothing may be asked for).
        waits = headers.get("Expect", "").lower() == "100-continue"
        reply = self._error_reply(error) if isinstance(error, CubeError) else self._fault(error)
        self._replies.write(reply, last=last or waits or announced_bytes(headers) > LINGER_BYTES)
        if waits:
            self._connection.finish()

    def _discard(self, size: int) -> None:
        self._discarded += size
        if self._discarded <= LINGER_BYTES:
            return
        if self._excess is not None:
            self._refuse(self._excess)
            self._excess = None
        self._connection.finish()
