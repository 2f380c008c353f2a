"""Where a stream of events is, so that a lost connection costs no event: what came, and what is missing."""

from __future__ import annotations

from collections import Counter, deque
from typing import Any, Final, Protocol

import msgspec

from cube.model.event import ABSENT

LATE_MS: Final = 600_000
"""An event that comes so late while there is no connection comes all the same; a later one does not."""

MOST: Final = 100_000
"""So many of the latest events that came are known again."""

MOST_ROWS: Final = 10_000
"""As many events as an evaluator gives at the beginning of a stream."""


class Came(Protocol):
    """An event of a stream."""

    @property
    def time(self) -> int: ...
    @property
    def id(self) -> str | int | float | None: ...
    @property
    def data(self) -> Any: ...


class StreamPlace:
    """What came of one stream. ``started``: from when on, while nothing came yet. ``most``: as `MOST`."""

    def __init__(self, started: Any, *, late_ms: int = LATE_MS, most: int = MOST) -> None:
        self._started = started
        self._late_ms = late_ms
        self._most = most
        self._first: int | None = None
        self._newest = 0
        self._came: Counter[int] = Counter()
        self._order: deque[int] = deque()
        self._repeated: Counter[int] = Counter()

    @property
    def start(self) -> Any:
        """From when on events may be missing: what is before the first that came was not asked for."""
        return self._started if self._first is None else max(self._first, self._newest - self._late_ms)

    def resume(self) -> None:
        """Expect what came to come again."""
        self._repeated = self._came.copy()

    def is_new(self, event: Came) -> bool:
        """Tell whether an event did not come yet, and note that it has now."""
        key = _digest(event)
        if self._repeated[key] > 0:
            self._repeated[key] -= 1
            return False
        if self._first is None:
            self._first = self._newest = event.time
        self._newest = max(event.time, self._newest)
        self._came[key] += 1
        self._order.append(key)
        if len(self._order) > self._most:
            self._forget(self._order.popleft())
        return True

    def _forget(self, key: int) -> None:
        self._came[key] -= 1
        if not self._came[key]:
            del self._came[key]


def _digest(event: Came) -> int:
    data = None if event.data is ABSENT else event.data
    return hash(msgspec.msgpack.encode((event.time, event.id, data)))
