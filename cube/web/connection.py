"""Connections that count: what came, what went, and what they wait for now."""

from __future__ import annotations

import asyncio
import enum
import socket
from collections.abc import Callable
from typing import Any

from tornado.iostream import IOStream, SSLIOStream, UnsatisfiableReadError

from cube.web.memory_budget import MemoryBudget

LAST_READ_BYTES = 2**20
"""So much of a head that is refused unread is thrown away: closing on unread bytes resets the connection,
and the client may never see the reply."""

_LAST = b"Content-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s"

_HEAD_TOO_LONG = (b"431 Request Header Fields Too Large", b"The head of the request is too long.")
_URL_TOO_LONG = (b"414 URI Too Long", b"The URL is too long.")
_CHUNK_TOO_LONG = (b"400 Bad Request", b"The line before a chunk of the body is too long.")


class Phase(enum.Enum):
    """What a connection waits for."""

    HEAD = enum.auto()
    """A request's line and headers, or its first byte."""
    BODY = enum.auto()
    ANSWER = enum.auto()
    """Our answer, or the client's reading of it."""
    SOCKET = enum.auto()
    """It is a WebSocket, between two messages or within one."""
    TALK = enum.auto()
    """It is a WebSocket whose message is being handled: nothing is read meanwhile."""


class Stream(IOStream):
    """A connection of the server.

    ``received``, ``sent``: bytes so far. ``turn``: requests begun. ``mark``: what had been received when
    the phase began. ``control``: bytes of a WebSocket's control frames since then; ``unfinished``: told
    what the connection holds of a message that has not ended.
    """

    phase = Phase.HEAD
    received = 0
    sent = 0
    turn = 0
    mark = 0
    control = 0
    _sent_before = 0
    unfinished: MemoryBudget | None = None
    seen: object = None
    """What `cube.web.reaper` saw last, and when it saw that first."""
    seen_at = 0.0
    on_gone: Callable[[Stream], None] | None = None

    def enter(self, phase: Phase) -> None:
        """Begin to wait for something else."""
        self.phase = phase
        self.mark, self.control = self.received, 0
        self._sent_before = self.sent
        self._hold(0)

    @property
    def came(self) -> int:
        """Bytes of the request or message that is awaited now."""
        return self.received - self.mark - self.control

    def set_nodelay(self, value: bool) -> None:
        """Leave it: Nagle's algorithm is off for good, not turned off and on again around every reply."""

    def read_from_fd(self, buf: bytearray | memoryview) -> int | None:
        """Read, and count."""
        count = super().read_from_fd(buf)
        if count:
            self.received += count
            if self.phase is Phase.SOCKET:
                self._hold(self.came)
        return count

    def write_to_fd(self, data: memoryview) -> int:
        """Write, and count."""
        count = super().write_to_fd(data)
        self.sent += count
        return count

    def close(self, exc_info: Any = False) -> None:
        """Close; a head, or a line within a body, that is too long is answered first."""
        if not self.closed():
            if isinstance(exc_info, UnsatisfiableReadError):
                self._refuse_line()
            self._hold(0)
            if self.on_gone is not None:
                self.on_gone(self)
        super().close(exc_info)

    def cut(self) -> bool:
        """Close, and forget what is half read."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:  # another thread than the loop's
            self.io_loop.add_callback(self.cut)
            return True
        self.close()
        self.forget()
        return True

    def forget(self) -> None:
        """Release what was read of a message that will not end: the garbage collector comes seldom."""
        self._read_buffer.clear()
        self._read_buffer_size = 0

    def _hold(self, size: int) -> None:
        if self.unfinished is not None:
            self.unfinished.hold(self, size)

    def _refuse_line(self) -> None:
        # Tornado tells nobody of a line over its limit, so what it holds of it is looked at here.
        if self.phase is Phase.HEAD:
            line = bytes(self._read_buffer[:LAST_READ_BYTES]).lstrip(b"\r\n")
            told = _HEAD_TOO_LONG if b"\n" in line else _URL_TOO_LONG
        elif self.phase is Phase.BODY and self.sent == self._sent_before:
            told = _CHUNK_TOO_LONG
        else:
            return
        status, error = told
        body = b'{"error":"%s"}' % error
        self.say_last(b"HTTP/1.1 %s\r\n" % status + _LAST % (len(body), body))

    def say_last(self, reply: bytes) -> None:
        """Send a reply after which nothing is read or sent; `close` is left to the caller."""
        if self.closed():
            return
        spare = bytearray(2**16)
        try:
            for _ in range(LAST_READ_BYTES // len(spare)):
                if not super().read_from_fd(memoryview(spare)):
                    break
            super().write_to_fd(memoryview(reply))
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            return  # the client has gone, which is all the same


class SecureStream(Stream, SSLIOStream):
    """A connection over TLS."""
