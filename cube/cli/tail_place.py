"""Where ``cube tail`` is, so that a lost connection costs no event: what was shown, and what is missing."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence

import msgspec

from cube.cli.event_stream import StreamedEvent, type_of
from cube.client.evaluator import Evaluator, event_of
from cube.client.stream_place import MOST, StreamPlace


class TailPlace:
    """What was shown of some expressions; ``started``: when, for those of which nothing was yet."""

    def __init__(self, expressions: Sequence[str], started: int) -> None:
        self._expressions = expressions
        self._places = [StreamPlace(started, most=MOST // len(expressions)) for _ in expressions]

    @property
    def starts(self) -> list[int]:
        """For each expression from when on its events may be missing."""
        return [place.start for place in self._places]

    def resume(self) -> None:
        """Expect what was shown to come again."""
        for place in self._places:
            place.resume()

    def is_new(self, found: StreamedEvent) -> bool:
        """Tell whether an event was not shown yet, and note that it is now."""
        return self._places[found.place].is_new(found)

    def missed(self, evaluator: Evaluator) -> Iterator[StreamedEvent]:
        """Read all events up to now from where some may be missing, ascending, any number of them."""
        self.resume()
        walks = [self._walk(evaluator, place, start) for place, start in enumerate(self.starts)]
        return filter(self.is_new, heapq.merge(*walks, key=lambda found: found.time))

    def _walk(self, evaluator: Evaluator, place: int, start: int) -> Iterator[StreamedEvent]:
        expression = self._expressions[place]
        type = type_of(expression)
        for page in evaluator.event_pages(expression, start=start, stop="now"):
            for row in msgspec.json.decode(page.content):
                found = event_of(row)
                yield StreamedEvent(type, found.time, found.id, found.data, place)
