"""Where ``cube tail`` is, so that a lost connection costs no event: what was shown, and what is missing."""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from cube.cli.event_stream import StreamedEvent, type_of
from cube.client.evaluator import Evaluator, event_of
from cube.model.event import ABSENT

LATE_MS: Final = 600_000
"""An event that comes so late while there is no connection is shown all the same; a later one is not."""

MOST: Final = 100_000
"""So many of the latest events that were shown are known again."""


class TailPlace:
    """What was shown of some expressions; ``started``: when, for those of which nothing was yet."""

    def __init__(self, expressions: Sequence[str], started: int) -> None:
        self._expressions = expressions
        self._started = started
        self._first: dict[int, int] = {}
        self._newest: dict[int, int] = {}
        self._shown: Counter[int] = Counter()
        self._order: deque[int] = deque()
        self._repeated: Counter[int] = Counter()

    @property
    def starts(self) -> list[int]:
        """For each expression from when on its events may be missing: what came before was not asked for."""
        return [self._start(place) for place in range(len(self._expressions))]

    def resume(self) -> None:
        """Expect what was shown to come again."""
        self._repeated = self._shown.copy()

    def is_new(self, found: StreamedEvent) -> bool:
        """Tell whether an event was not shown yet, and note that it is now."""
        key = _digest(found)
        if self._repeated[key] > 0:
            self._repeated[key] -= 1
            return False
        self._first.setdefault(found.place, found.time)
        self._newest[found.place] = max(found.time, self._newest.get(found.place, found.time))
        self._shown[key] += 1
        self._order.append(key)
        if len(self._order) > MOST:
            self._forget(self._order.popleft())
        return True

    def missed(self, evaluator: Evaluator) -> Iterator[StreamedEvent]:
        """Read all events up to now from where some may be missing, ascending, any number of them."""
        self.resume()
        walks = [self._walk(evaluator, place, start) for place, start in enumerate(self.starts)]
        return filter(self.is_new, heapq.merge(*walks, key=lambda found: found.time))

    def _forget(self, key: int) -> None:
        self._shown[key] -= 1
        if not self._shown[key]:
            del self._shown[key]

    def _start(self, place: int) -> int:
        if place not in self._newest:
            return self._started
        return max(self._first[place], self._newest[place] - LATE_MS)

    def _walk(self, evaluator: Evaluator, place: int, start: int) -> Iterator[StreamedEvent]:
        expression = self._expressions[place]
        type = type_of(expression)
        for page in evaluator.event_pages(expression, start=start, stop="now"):
            for row in msgspec.json.decode(page.content):
                found = event_of(row)
                yield StreamedEvent(type, found.time, found.id, found.data, place)


def _digest(found: StreamedEvent) -> int:
    data = None if found.data is ABSENT else found.data
    return hash(msgspec.msgpack.encode((found.place, found.time, found.id, data)))
