"""Writes the reply of one request onto its connection, whole or as it is made.

Heads are made here, because Tornado's own making of one takes a sixth of a small request's time.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import aclosing
from http import HTTPStatus

from tornado.http1connection import HTTP1Connection
from tornado.iostream import StreamClosedError

from cube.errors import CubeError
from cube.web.access import Authenticator
from cube.web.connection import Stream
from cube.web.message import Parts, Reply, Request
from cube.web.service import Service

ALONE_BYTES = 64 * 1024
"""A longer body is written after its head, not together with it."""

_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}
_WITHOUT_CONTENT = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)  # RFC 9110, 8.6: nor a length of it
_EXPOSED = (
    "Access-Control-Expose-Headers: X-Request-Id, Retry-After, ETag, Link, Cube-Cursor, Cube-Truncated,"
    " Cube-Warnings, Cube-Columns\r\n"
)
_log = logging.getLogger(__name__)


class ReplyWriter:
    """Writes a reply; ``ended`` is called once all of it has gone, or its connection is cut."""

    def __init__(
        self,
        service: Service,
        connection: HTTP1Connection,
        stream: Stream,
        request: Request,
        version: str,
        ended: Callable[[], None],
    ) -> None:
        self._service = service
        self._connection = connection
        self._stream = stream
        self._request = request
        self._version = version
        self._ended = ended
        self._began = time.monotonic()
        self.credentials = False  # whether scripts of other sites may send theirs

    def write(self, reply: Reply, *, last: bool = False) -> None:
        """Write the whole reply at once; `finish` of the connection is left to the caller."""
        body = b"" if self._request.method == "HEAD" else reply.body
        head = self._head(reply, last)
        if len(body) > ALONE_BYTES and not self._stream.closed():  # not to copy it
            self._stream.write(head)
            written = self._connection.write(body)
        else:
            written = self._connection.write(head + body)
        self._answered(reply)
        if written.done():
            self._ended()
            return
        written.add_done_callback(lambda _: self._written())
        self._service.answers.hold(self._stream, len(body))

    async def write_parts(self, reply: Reply, parts: Parts) -> None:
        """Write a reply as it is made, and finish; to HTTP/1.0 its end is that of the connection."""
        is_chunked = self._version != "HTTP/1.0"
        head = self._head(reply, last=not is_chunked)
        head = head[:-2] + b"Transfer-Encoding: chunked\r\n\r\n" if is_chunked else head
        self._answered(reply)
        try:
            async with aclosing(parts):
                await self._connection.write(head)
                async for part in parts:
                    if part:
                        await self._connection.write(
                            b"%x\r\n%b\r\n" % (len(part), part) if is_chunked else part
                        )
            if is_chunked:
                await self._connection.write(b"0\r\n\r\n")
        except StreamClosedError:
            self._connection.close()
        except Exception as error:  # the head has gone: only a cut connection can tell
            request = self._request
            if not isinstance(error, CubeError):
                log_fault(request, error)
            _log.warning("request %s: its answer is cut: %s", request.id, error)
            self._connection.close()
        else:
            self._connection.finish()
        finally:
            self._ended()

    def _answered(self, reply: Reply) -> None:
        self._service.answered(self._request, reply.status, time.monotonic() - self._began)

    def _written(self) -> None:
        self._service.answers.hold(self._stream, 0)
        self._ended()

    def _head(self, reply: Reply, last: bool) -> bytes:
        return reply_head(
            reply,
            self._request,
            cors_lines(self._service.access, self._request, credentials=self.credentials),
            connection_line(self._request, self._version, last=last or self._service.leaving),
        )


def log_fault(request: Request, error: Exception) -> None:
    """Log a fault of Cube's own, with what tells whose request it was."""
    _log.error("request %s: a fault in %s %s", request.id, request.method, request.route, exc_info=error)


def reply_head(reply: Reply, request: Request, cors: str, connection: str) -> bytes:
    """Return all lines before the body; ``cors``, ``connection``: what the functions below make."""
    lines = [_STATUS_LINES[reply.status]]
    if reply.parts is not None:
        lines.append(f"Content-Type: {reply.content_type}\r\n")  # how it ends, the connection's line says
    elif reply.status not in _WITHOUT_CONTENT:
        lines.append(f"Content-Type: {reply.content_type}\r\nContent-Length: {len(reply.body)}\r\n")
    lines += (f"X-Request-Id: {request.id}\r\nVary: Origin\r\n", cors)
    if not any(name == "Cache-Control" for name, _ in reply.headers):
        lines.append("Cache-Control: no-store\r\n")  # nobody on the way may keep events and metrics
    lines += (f"{name}: {value}\r\n" for name, value in reply.headers)
    return "".join((*lines, connection, "\r\n")).encode("latin-1")


def last_reply(reply: Reply, request_id: str) -> bytes:
    """Return the whole of a reply to a request whose head cannot be read; nothing follows it."""
    body, length = reply.body, len(reply.body)
    lines = f"{_STATUS_LINES[reply.status]}Content-Type: {reply.content_type}\r\nContent-Length: {length}\r\n"
    return f"{lines}X-Request-Id: {request_id}\r\nConnection: close\r\n\r\n".encode("latin-1") + body


def cors_lines(authenticator: Authenticator, request: Request, *, credentials: bool) -> str:
    """Return what lets a page of the request's origin read the reply; nothing if it may not.

    ``credentials``: whether it may send cookies where no origins are configured.
    """
    origin = request.headers.get("Origin")
    if origin is None or not authenticator.allows_origin(request.headers, request.caller):
        return ""
    allowed = f"Access-Control-Allow-Origin: {origin}\r\n{_EXPOSED}"
    if credentials or authenticator.names_origin(origin, request.caller):
        return f"{allowed}Access-Control-Allow-Credentials: true\r\n"
    return allowed


def connection_line(request: Request, version: str, *, last: bool) -> str:
    """Return the header that says what becomes of the connection, where it needs saying."""
    wanted = request.headers.get("Connection")
    if last or (wanted is not None and wanted.lower() == "close"):
        return "Connection: close\r\n"
    if version == "HTTP/1.0" and wanted is not None and wanted.lower() == "keep-alive":
        return "Connection: keep-alive\r\n"
    return ""
