"""WebSocket frames as RFC 6455 has servers read them, where Tornado is more lenient, or copies more."""

from __future__ import annotations

from asyncio import Future

from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketProtocol13

PROTOCOL_ERROR = 1002
NOT_UTF8 = 1007

_MASKED = 0x80
_TEXT, _BINARY, _CLOSE = 0x1, 0x2, 0x8


class Frames(WebSocketProtocol13):
    """The frames of one socket: a client's have to be masked (section 5.1), and a failure has its code.

    A text is handed on as its UTF-8: as a string and its encoding once more it would be held three times.
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
