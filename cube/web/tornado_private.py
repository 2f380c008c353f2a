"""All contact with Tornado's private parts: it has no public place for any of this.

`tests.integration.test_web_wire` fails where a new Tornado moves them.
"""

from __future__ import annotations

from asyncio import Future, get_running_loop
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeAlias

from tornado.http1connection import HTTP1Connection
from tornado.httputil import HTTPHeaders, HTTPMessageDelegate
from tornado.ioloop import IOLoop
from tornado.iostream import IOStream, StreamClosedError
from tornado.websocket import WebSocketProtocol13

Head: TypeAlias = tuple[str, HTTPHeaders]
"""The line of a request, and its headers."""

PROTOCOL_ERROR = 1002
NOT_UTF8 = 1007

_MASKED = 0x80
_TEXT, _BINARY, _CLOSE = 0x1, 0x2, 0x8


def read_with(
    connection: HTTP1Connection,
    parse_head: Callable[[Callable[[bytes], Head], bytes], Head],
    read_chunks: Callable[[HTTPMessageDelegate], Coroutine[Any, Any, None]],
    before: Callable[[], Coroutine[Any, Any, None]],
) -> None:
    """Have a connection read its next request with other functions than its own.

    ``parse_head`` takes Tornado's own parser and the bytes of a head; ``read_chunks`` reads a chunked body;
    ``before`` is waited for before anything is read.
    """
    read = connection.read_response

    async def read_response(delegate: HTTPMessageDelegate) -> bool:
        await before()
        return await read(delegate)

    connection.read_response = read_response  # type: ignore[method-assign]  # see above
    connection._parse_headers = partial(parse_head, connection._parse_headers)  # type: ignore[method-assign]  # see above
    connection._read_chunked_body = read_chunks  # type: ignore[method-assign, assignment]  # see above


async def deliver(connection: HTTP1Connection, delegate: HTTPMessageDelegate, part: bytes) -> None:
    """Hand a part of a body on, bounded and timed as Tornado's own reading does."""
    await connection._deliver_body(delegate, part)


class BufferedStream(IOStream):
    """A stream whose read buffer can be looked at, filled and emptied, and whose reading can be diverted."""

    _readable: Callable[[], None] | None = None
    _resumed: Future[None] | None = None

    async def divert(self, readable: Callable[[], None]) -> None:
        """Have something else read when there is something to read, until `resume`, or the end."""
        self._resumed = get_running_loop().create_future()
        self._readable = readable
        self._add_io_state(IOLoop.READ)
        try:
            await self._resumed
        finally:
            self._readable = None

    def resume(self, unread: bytes = b"") -> None:
        """End `divert`, and put back what was read too much."""
        if self._readable is not None and self._resumed is not None:
            self._readable = None
            self._read_buffer += unread
            self._read_buffer_size += len(unread)
            if not self._resumed.done():
                self._resumed.set_result(None)

    def rest(self) -> None:
        """Be told of nothing to read until `resume`."""
        if self._state is not None:
            self._state = IOLoop.ERROR
            self.io_loop.update_handler(self.fileno(), self._state)

    def _handle_events(self, fd: Any, events: int) -> None:
        if self._readable is not None and events & IOLoop.READ:
            self._readable()
        else:
            super()._handle_events(fd, events)

    def unread(self, size: int) -> bytes:
        """Return so many bytes at most of what was read and not used."""
        return bytes(self._read_buffer[:size])

    def forget(self) -> None:
        """Release what was read of a message that will not end: the garbage collector comes seldom."""
        self._read_buffer.clear()
        self._read_buffer_size = 0


class Frames(WebSocketProtocol13):
    """The frames of a WebSocket as RFC 6455 has servers read them; Tornado is more lenient, and copies more.

    A client's have to be masked (section 5.1), and a failure has its code. A text is handed on as its
    UTF-8: as a string and its encoding once more it would be held three times.
    """

    _awaits_head = False
    _is_receiving = False

    async def _receive_frame(self) -> None:
        self._awaits_head = self._is_receiving = True
        await super()._receive_frame()
        self._is_receiving = False

    async def _read_bytes(self, n: int) -> bytes:
        content = await super()._read_bytes(n)
        if self._awaits_head:
            self._awaits_head = False
            if not content[1] & _MASKED:
                self.close(PROTOCOL_ERROR, "a client's frames must be masked")
                raise StreamClosedError
        return content

    def _abort(self) -> None:
        if self._is_receiving and not self.server_terminated and not self.stream.closed():
            self.close(PROTOCOL_ERROR)
        super()._abort()

    def _handle_message(self, opcode: int, data: bytes) -> Future[None] | None:
        self._is_receiving = opcode not in (_TEXT, _BINARY)  # from here on a fault is ours
        if opcode == _TEXT and not self.client_terminated:
            self._message_bytes_in += len(data)
            return self._run_callback(self.handler.on_message, data) if self._is_text(data) else None
        if opcode == _CLOSE and not self._is_text(data[2:]):
            return None
        return super()._handle_message(opcode, data)

    def _is_text(self, data: bytes) -> bool:
        """Tell whether bytes are UTF-8; fail the connection where they are not."""
        try:
            data.decode()
        except UnicodeDecodeError:
            self.close(NOT_UTF8, "the text is not UTF-8")
            self._abort()
            return False
        return True
