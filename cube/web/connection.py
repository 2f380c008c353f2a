"""Connections that count what came, what went and what they wait for; those that take too long are cut.

A slow client costs a connection and what it has sent so far, and it could do so forever, with as many
connections as it likes. So one look goes over every connection each second, instead of a timer for each.
"""

from __future__ import annotations

import asyncio
import enum
import itertools
import logging
import socket
from collections.abc import Callable
from typing import Any

from tornado.iostream import SSLIOStream, UnsatisfiableReadError

from cube.settings import HttpSettings
from cube.web.memory_budget import MemoryBudget
from cube.web.tornado_private import BufferedStream

LAST_READ_BYTES = 2**20
"""So much of a head that is refused unread is thrown away: closing on unread bytes resets the connection,
and the client may never see the reply."""

SLOTS = 8
"""A round goes over so many parts of the connections, so that no look holds the event loop for long."""

ROUND_SECONDS = 1.0
STEP_BYTES = 1024
"""Less than this does not count as progress."""

PRESSURE = 0.9
"""Above this share of all connections idle ones are kept only for `PRESSED_SECONDS`."""

PRESSED_SECONDS = 2.0
STOPPING_SECONDS = 2.0
"""How long a request that does not move is waited for once the server stops."""

_LAST = b"Content-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s"

_HEAD_TOO_LONG = (b"431 Request Header Fields Too Large", b"The head of the request is too long.")
_URL_TOO_LONG = (b"414 URI Too Long", b"The URL is too long.")
_CHUNK_TOO_LONG = (b"400 Bad Request", b"The line before a chunk of the body is too long.")
_log = logging.getLogger(__name__)


class Phase(enum.Enum):
    """What a connection waits for."""

    HEAD = enum.auto()
    """A request's line and headers, or its first byte."""
    BODY = enum.auto()
    ANSWER = enum.auto()
    """Our answer, or the client's reading of it."""
    SOCKET = enum.auto()
    """It is a WebSocket, between two messages or within one."""
    HANDLING = enum.auto()
    """It is a WebSocket whose message is being handled: nothing is read meanwhile."""


class Stream(BufferedStream):
    """A connection of the server.

    ``received``, ``sent``: bytes so far. ``turn``: requests begun. ``mark``: what had been received when
    the phase began. ``control``: bytes of a WebSocket's control frames since then; ``budget``: told
    what the connection holds of a message that has not ended.
    """

    phase = Phase.HEAD
    received = 0
    sent = 0
    turn = 0
    mark = 0
    control = 0
    _sent_before = 0
    _is_held = False
    budget: MemoryBudget | None = None
    known: object = None
    """What those who serve it know of its client, of which the connection itself needs nothing."""
    seen: object = None
    """What `ConnectionReaper` saw last, and when it saw that first."""
    seen_at = 0.0
    on_gone: Callable[[Stream], None] | None = None

    def enter(self, phase: Phase) -> None:
        """Begin to wait for something else."""
        self.phase = phase
        self.mark, self.control = self.received, 0
        self._sent_before = self.sent
        self.hold(0)

    @property
    def came(self) -> int:
        """Bytes of the request or message that is awaited now."""
        return self.received - self.mark - self.control

    def set_nodelay(self, value: bool) -> None:
        """Leave it: Nagle's algorithm is off for good, not turned off and on again around every reply."""

    def read_from_fd(self, buf: bytearray | memoryview) -> int | None:
        count = super().read_from_fd(buf)
        if count:
            self.received += count
            if self.phase is Phase.SOCKET:
                self.hold(self.came)
        return count

    def write_to_fd(self, data: memoryview) -> int:
        count = super().write_to_fd(data)
        self.sent += count
        return count

    def close(self, exc_info: Any = False) -> None:
        """Close; a head, or a line within a body, that is too long is answered first."""
        if not self.closed():
            if isinstance(exc_info, UnsatisfiableReadError):
                self._refuse_line()
            self.hold(0)
            if self.on_gone is not None:
                self.on_gone(self)
        super().close(exc_info)
        self.resume()
        self.known = None  # it may refer to this: not left to the garbage collector

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

    def hold(self, size: int) -> None:
        """Note that it holds so many bytes of a request or message that has not ended."""
        if self.budget is not None and (size or self._is_held):
            self._is_held = size > 0
            self.budget.hold(self, size)

    def _refuse_line(self) -> None:
        # Tornado tells nobody of a line over its limit, so what it holds of it is looked at here.
        if self.phase is Phase.HEAD:
            line = self.unread(LAST_READ_BYTES).lstrip(b"\r\n")
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


class ConnectionReaper:
    """Cuts the connections that outlast some bounds, and tells `on_cut`; looks until `stop`."""

    def __init__(self, limits: HttpSettings, on_cut: Callable[[], None]) -> None:
        self._limits = limits
        self._on_cut = on_cut
        self._slots: tuple[dict[Stream, None], ...] = tuple({} for _ in range(SLOTS))
        self._next = itertools.cycle(range(SLOTS))
        self._homes = itertools.cycle(self._slots)
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(ROUND_SECONDS / SLOTS, self._tick)
        self.stopping = False

    def __len__(self) -> int:
        return sum(map(len, self._slots))

    @property
    def is_full(self) -> bool:
        """Whether no further connection may be open."""
        return len(self) >= self._limits.connections

    def add(self, stream: Stream) -> None:
        """Watch a connection until it is closed."""
        home = next(self._homes)
        home[stream] = None
        stream.seen_at = self._loop.time()
        stream.on_gone = lambda gone: home.pop(gone, None)

    def stop(self) -> None:
        self._timer.cancel()

    def cut_all(self) -> None:
        for stream in [stream for slot in self._slots for stream in slot]:
            stream.close()

    def _tick(self) -> None:
        self._timer = self._loop.call_later(ROUND_SECONDS / SLOTS, self._tick)
        now = self._loop.time()
        pressed = len(self) > PRESSURE * self._limits.connections
        for stream in list(self._slots[next(self._next)]):
            self._look(stream, now, pressed)

    def _look(self, stream: Stream, now: float, pressed: bool) -> None:
        state, seconds = self._state(stream, pressed)
        if state != stream.seen:
            stream.seen, stream.seen_at = state, now
        elif seconds is not None and now - stream.seen_at >= seconds:
            _log.debug("a connection is cut: %s for %g s", stream.phase.name.lower(), now - stream.seen_at)
            self._on_cut()
            stream.close()

    def _state(self, stream: Stream, pressed: bool) -> tuple[object, float | None]:
        """Return what would have to change, and within how many seconds (None: as long as it likes)."""
        stall = STOPPING_SECONDS if self.stopping else self._limits.stall_seconds
        came = stream.came
        match stream.phase:
            case Phase.HEAD if came or stream.turn <= 1:
                return (Phase.HEAD, stream.turn, True), self._limits.head_seconds
            case Phase.HEAD:
                idle = min(self._limits.idle_seconds, PRESSED_SECONDS if pressed else float("inf"))
                return (Phase.HEAD, stream.turn, False), idle
            case Phase.BODY:
                return (Phase.BODY, stream.turn, stream.received // STEP_BYTES), stall
            case _ if stream.writing():
                return ("writing", stream.turn, stream.sent // STEP_BYTES), stall
            case Phase.SOCKET if came:
                return (Phase.SOCKET, stream.mark, stream.received // STEP_BYTES), stall
            case phase:
                return (phase, stream.turn, stream.mark), None
