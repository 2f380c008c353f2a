"""One look at every connection a second, instead of a timer for each: those that take too long are cut.

A slow client costs a connection and what it has sent so far, and it could do so forever, with as many
connections as it likes.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable
from dataclasses import dataclass

from cube.web.connection import Phase, Stream

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

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a connection may take for what; see `cube.settings.HttpSettings`."""

    head_seconds: float
    stall_seconds: float
    idle_seconds: float
    connections: int


class Watch:
    """Cuts the connections that outlast a `Patience`, and tells `on_cut`; looks until `stop`."""

    def __init__(self, patience: Patience, on_cut: Callable[[], None]) -> None:
        self._patience = patience
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
        return len(self) >= self._patience.connections

    def add(self, stream: Stream) -> None:
        """Watch a connection until it is closed."""
        home = next(self._homes)
        home[stream] = None
        stream.seen_at = self._loop.time()
        stream.on_gone = lambda gone: home.pop(gone, None)

    def stop(self) -> None:
        """Stop looking."""
        self._timer.cancel()

    def cut_all(self) -> None:
        """Close every connection."""
        for stream in [stream for slot in self._slots for stream in slot]:
            stream.close()

    def _tick(self) -> None:
        self._timer = self._loop.call_later(ROUND_SECONDS / SLOTS, self._tick)
        now = self._loop.time()
        pressed = len(self) > PRESSURE * self._patience.connections
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
        stall = STOPPING_SECONDS if self.stopping else self._patience.stall_seconds
        came = stream.came
        match stream.phase:
            case Phase.HEAD if came or stream.turn <= 1:
                return (Phase.HEAD, stream.turn, True), self._patience.head_seconds
            case Phase.HEAD:
                idle = min(self._patience.idle_seconds, PRESSED_SECONDS if pressed else float("inf"))
                return (Phase.HEAD, stream.turn, False), idle
            case Phase.BODY:
                return (Phase.BODY, stream.turn, stream.received // STEP_BYTES), stall
            case _ if stream.writing():
                return ("writing", stream.turn, stream.sent // STEP_BYTES), stall
            case Phase.SOCKET if came:
                return (Phase.SOCKET, stream.mark, stream.received // STEP_BYTES), stall
            case phase:
                return (phase, stream.turn, stream.mark), None
