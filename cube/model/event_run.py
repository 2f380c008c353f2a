"""Events that came together, whose data are still the JSON text that they came in.

Whoever stores such text needs neither the values in it nor an object for each event; for everybody else a run
is a sequence of events, which are made when they are asked for.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate, chain
from typing import Any, Final, overload

import msgspec

from cube.model.event import Event
from cube.model.made_id import COUNTER_BYTES, MADE_ID_BYTES

RUN_MS: Final = 1_000
"""The times of a run are within so many milliseconds, aligned, as all buckets begin."""

_PREFIX: Final = MADE_ID_BYTES - COUNTER_BYTES
_decode = msgspec.json.Decoder(list[Any]).decode


class EventRun(Sequence[Event]):
    """Events of one type and second, ordered by their times; their ids are made, and consecutive.

    ``data``: a JSON array, without blanks, of what `Event.parse` accepts. ``last_id``: the last one's.
    ``timed``: whether they had their times, or have that of their arrival.
    """

    __slots__ = ("data", "last_id", "timed", "times", "type")

    def __init__(
        self, type: str, times: Sequence[int], last_id: bytes, data: bytes, *, timed: bool = True
    ) -> None:
        self.type = type
        self.times = times
        self.last_id = last_id
        self.data = data
        self.timed = timed

    @property
    def second(self) -> int:
        """When its second begins."""
        return self.times[0] // RUN_MS * RUN_MS

    @property
    def prefix(self) -> bytes:
        """What all its ids begin with."""
        return self.last_id[:_PREFIX]

    @property
    def numbers(self) -> range:
        """What its ids end with."""
        end = int.from_bytes(self.last_id[_PREFIX:], "big") + 1
        return range(end - len(self.times), end)

    @property
    def edges(self) -> tuple[bytes, bytes]:
        """Its least and its greatest id."""
        return self.prefix + self.numbers[0].to_bytes(COUNTER_BYTES, "big"), self.last_id

    def ids(self) -> list[bytes]:
        """Return the ids of its events."""
        prefix = self.prefix
        return [prefix + number.to_bytes(COUNTER_BYTES, "big") for number in self.numbers]

    def __len__(self) -> int:
        return len(self.times)

    def __iter__(self) -> Iterator[Event]:
        type, timed = self.type, self.timed
        for time, id, data in zip(self.times, self.ids(), _decode(self.data), strict=True):
            yield Event(type, time, id, data, timed)

    @overload
    def __getitem__(self, place: int) -> Event: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Event]: ...
    def __getitem__(self, place: int | slice) -> Event | Sequence[Event]:
        return list(self)[place]


class EventRuns(Sequence[Event]):
    """Events of one type, one part after another: runs, and what is none."""

    __slots__ = ("_ends", "parts", "type")

    def __init__(self, type: str, parts: Sequence[Sequence[Event]]) -> None:
        self.type = type
        self.parts = parts
        self._ends = list(accumulate(map(len, parts)))

    def __len__(self) -> int:
        return self._ends[-1]

    def __iter__(self) -> Iterator[Event]:
        return chain.from_iterable(self.parts)

    @overload
    def __getitem__(self, place: int) -> Event: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Event]: ...
    def __getitem__(self, place: int | slice) -> Event | Sequence[Event]:
        if isinstance(place, slice):
            return list(self)[place]
        number = range(len(self))[place]  # raises for one beyond the end
        part = bisect_right(self._ends, number)
        return self.parts[part][number - (self._ends[part - 1] if part else 0)]


def joined(parts: Sequence[Sequence[Event]]) -> Sequence[Event]:
    """Return the events of some sequences, not empty and of one type, as one."""
    if len(parts) == 1:
        return parts[0]
    if not any(isinstance(part, (EventRun, EventRuns)) for part in parts):
        return [event for part in parts for event in part]
    type = next(part.type for part in parts if isinstance(part, (EventRun, EventRuns)))
    return EventRuns(type, [run for part in parts for run in parts_of(part)])


def parts_of(events: Sequence[Event]) -> Sequence[Sequence[Event]]:
    """Return the runs that events consist of, and what is none."""
    return events.parts if isinstance(events, EventRuns) else (events,)


def times_of(events: Sequence[Event]) -> list[int]:
    """Return the times of events, without making those of a run."""
    times: list[int] = []
    for part in parts_of(events):
        times += part.times if isinstance(part, EventRun) else [event.time for event in part]
    return times


def type_of(events: Sequence[Event]) -> str | None:
    """Return the one type of events that are known to have one, without making any."""
    return events.type if isinstance(events, (EventRun, EventRuns)) else None
