"""What a batch says beside its events: keys that no event has, which are counted and, where near, told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from cube.model.event_keys import left_out, meant

_MAX_KEYS = 100  # different ones of one batch that are told apart
_MAX_TOLD = 10


class UnknownKeys:
    """The unknown keys of the events of one batch."""

    def __init__(self) -> None:
        self._events: dict[str, int] = {}
        self._others = 0

    def __bool__(self) -> bool:
        return bool(self._events)

    def add(self, keys: Sequence[str]) -> None:
        """Note those of one event."""
        for key in keys:
            if key in self._events or len(self._events) < _MAX_KEYS:
                self._events[key] = self._events.get(key, 0) + 1
            else:
                self._others += 1

    def warnings(self) -> list[str]:
        """Return a sentence about each key that is nearly one of an event's."""
        told = (left_out(key, events) for key, events in self._events.items())
        return [sentence for sentence in told if sentence is not None][:_MAX_TOLD]

    def counts(self) -> Mapping[str, int]:
        """Return how many there were, by the key that they are near to; ``none`` for the others."""
        counts = Counter({"none": self._others} if self._others else {})
        for key, events in self._events.items():
            counts[meant(key) or "none"] += events
        return counts
