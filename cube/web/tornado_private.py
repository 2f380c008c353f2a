"""All contact with Tornado's private parts: it has no public place for any of this.

`tests.integration.test_web_wire` fails where a new Tornado moves them.
"""

from __future__ import annotations

from asyncio import Future, get_running_loop, sleep
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeAlias, cast

from tornado.http1connection import HTTP1Connection
from tornado.httputil import HTTPHeaders, HTTPMessageDelegate
from tornado.ioloop import IOLoop
from tornado.iostream import IOStream, StreamClosedError
from tornado.util import _websocket_mask
from tornado.websocket import WebSocketProtocol13

Head: TypeAlias = tuple[str, HTTPHeaders]
"""The line of a request, and its headers."""

PROTOCOL_ERROR = 1002
NOT_UTF8 = 1007

_MASKED = 0x80
_TEXT, _BINARY, _CLOSE = 0x1, 0x2, 0x8
_WHOLE = {0x80 | _TEXT: _TEXT, 0x80 | _BINARY: _BINARY}  # first bytes of a message in one frame
_SHORTEST = 8  # bytes, so that the longest head of those read at once is there
_LENGTH_FOLLOWS = 126

_YIELD_BYTES = 64 * 1024
"""After so many bytes of frames everybody else has their turn: Tornado's bound is four times as much."""

_FRAME_COST = 1024
"""A frame counts for so many bytes more: handling it costs as much as reading them."""


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

    async def divert(self, readable: Callable[[], None], take: Callable[[bytes], None]) -> None:
        """Have something else read when there is something to read, until `resume`, or the end.

        ``take`` gets first what was read already, if anything was.
        """
        self._resumed = get_running_loop().create_future()
        self._readable = readable
        self._add_io_state(IOLoop.READ)
        if self._read_buffer:
            unread = bytes(self._read_buffer)
            self.forget()
            take(unread)
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

    def whole_frame(self) -> tuple[int, bytes] | None:
        """Take a masked message in one frame of less than 64 KiB, if it is next and has been read as a whole.

        Returns its opcode and its content.
        """
        head = self._read_buffer
        opcode = _WHOLE.get(head[0]) if len(head) >= _SHORTEST else None
        if opcode is None:
            return None
        length, mask = head[1] - _MASKED, 2
        if length == _LENGTH_FOLLOWS:
            length, mask = (head[2] << 8) | head[3], 4
        elif not 0 <= length < _LENGTH_FOLLOWS:
            return None
        start = mask + 4
        if len(head) < start + length:
            return None
        frame = self._consume(start + length)
        return opcode, _websocket_mask(frame[mask:start], frame[start:])

    def forget(self) -> None:
        """Release what was read of a message that will not end: the garbage collector comes seldom."""
        self._read_buffer.clear()
        self._read_buffer_size = 0


class Frames(WebSocketProtocol13):
    """The frames of a WebSocket as RFC 6455 has servers read them; Tornado is more lenient, and copies more.

    A client's have to be masked (section 5.1), and a failure has its code. A text is handed on as its
    UTF-8: as a string and its encoding once more it would be held three times. Messages that have been read
    as a whole are taken as they are, without a promise for each part of each.
    """

    _awaits_head = False
    _is_receiving = False
    _unyielded = 0

    async def _receive_frame(self) -> None:
        before = self._wire_bytes_in
        whole = self._whole_message()
        if whole is None:
            self._awaits_head = self._is_receiving = True
            await super()._receive_frame()
            self._is_receiving = False
        else:
            handled = self._handle_message(*whole)
            if handled is not None:
                await handled
        self._unyielded += self._wire_bytes_in - before + _FRAME_COST
        if self._unyielded >= _YIELD_BYTES:
            self._unyielded = 0
            await sleep(0)

    def _whole_message(self) -> tuple[int, bytes] | None:
        if self._fragmented_message_buffer is not None or self._decompressor is not None:
            return None
        before = len(self.stream._read_buffer)
        whole = cast("BufferedStream", self.stream).whole_frame()
        self._wire_bytes_in += before - len(self.stream._read_buffer)
        return whole

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
