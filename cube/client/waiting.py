"""Events that wait in memory to be sent: bounded, gathered into batches by number, size and time."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Batching:
    """When a batch is complete: so many events or bytes, or so long after its first event."""

    events: int = 1_000
    bytes: int = 2**20
    seconds: float = 0.5


@dataclass(frozen=True, slots=True)
class TakenBatch:
    """JSON texts of events, in their order; ``last``: the number of the last of them where they wait.

    ``file``: the mark of the file that they wait in; 0 where they wait in memory.
    """

    texts: Sequence[bytes]
    last: int = 0
    file: int = 0
    size: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", sum(map(len, self.texts)))


class WaitingEvents:
    """A queue of JSON texts of at most ``most_events`` and ``most_bytes``, those under way included.

    Any thread may `add`; one takes. The lock can be taken again by the thread that has it: a signal handler,
    or what the garbage collector runs, may emit in the middle of an `add`.
    """

    def __init__(self, most_events: int, most_bytes: int, limits: Batching) -> None:
        self._changed = threading.Condition()
        self._texts: deque[bytes] = deque()
        self._oldest = 0.0
        self._held_events = 0
        self._held_bytes = 0
        self._ready_bytes = 0
        self._most_events = most_events
        self._most_bytes = most_bytes
        self._limits = limits
        self._hurrying = 0
        self._stopped = False

    def __len__(self) -> int:
        return self._held_events

    def add(self, text: bytes) -> bool:
        """Take a text, and tell whether there was room for it."""
        with self._changed:
            if self._stopped or not self._has_room(len(text)):
                return False
            if not self._texts:
                self._oldest = time.monotonic()
            self._texts.append(text)
            self._held_events += 1
            self._held_bytes += len(text)
            self._ready_bytes += len(text)
            if len(self._texts) == 1 or self._is_complete():
                self._changed.notify_all()
            return True

    def wait_for_room(self, size: int, seconds: float | None) -> bool:
        """Wait until a text of so many bytes has room, at most so long; tell whether it has."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or self._has_room(size), seconds)
            return not self._stopped and self._has_room(size)

    def take(self) -> TakenBatch | None:
        """Wait for a batch that is complete, and return it; None when nothing comes any more."""
        with self._changed:
            while not self._stopped and not self._is_complete():
                left = None
                if self._texts:
                    left = self._oldest + self._limits.seconds - time.monotonic()
                    if left <= 0:
                        break
                self._changed.wait(left)
            return None if self._stopped else self._next_batch()

    def settle(self, batch: TakenBatch) -> None:
        """Forget a batch that was taken: it is stored, or given up."""
        with self._changed:
            self._held_events -= len(batch.texts)
            self._held_bytes -= batch.size
            self._changed.notify_all()

    def flush(self, seconds: float | None) -> bool:
        """Complete batches at once until nothing is held, at most so long; tell whether nothing is."""
        with self._changed:
            self._hurrying += 1
            self._changed.notify_all()
            try:
                return self._changed.wait_for(lambda: self._stopped or not self._held_events, seconds)
            finally:
                self._hurrying -= 1

    def stop(self) -> list[bytes]:
        """Take and give nothing more; return what was not taken."""
        with self._changed:
            self._stopped = True
            left = list(self._texts)
            self._texts.clear()
            self._changed.notify_all()
            return left

    def _has_room(self, size: int) -> bool:
        """A text that is larger than the bound has room where nothing else is held."""
        fits = self._held_bytes + size <= self._most_bytes or not self._held_events
        return fits and self._held_events < self._most_events

    def _is_complete(self) -> bool:
        limits = self._limits
        enough = len(self._texts) >= limits.events or self._ready_bytes >= limits.bytes
        return enough or (self._hurrying > 0 and bool(self._texts))

    def _next_batch(self) -> TakenBatch:
        texts = [self._texts.popleft()]
        size = len(texts[0])
        while self._texts and len(texts) < self._limits.events:
            if size + len(self._texts[0]) > self._limits.bytes:
                break
            texts.append(self._texts.popleft())
            size += len(texts[-1])
        self._ready_bytes -= size
        self._oldest = time.monotonic()
        return TakenBatch(texts)
