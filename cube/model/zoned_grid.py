"""Grids by the clocks of a time zone; see `cube.model.grid`."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from itertools import pairwise
from typing import Final

from cube.model import instant
from cube.model.tier import TEN_SECONDS, Span
from cube.model.zone import DAY, Zone

_CLEAR: Final = 3 * DAY  # clocks have been set by a day at most


@dataclass(frozen=True, slots=True)
class EvenWalls:
    """Wall times at each multiple of a step from an origin."""

    step: int
    origin: int = 0

    @property
    def shortest(self) -> int:
        return self.step

    def between(self, start: int, stop: int) -> Sequence[int]:
        """Return those from the last one before `start` to the first one after `stop`."""
        first = start - (start - self.origin) % self.step - self.step
        return range(first, stop + 2 * self.step, self.step)


@dataclass(frozen=True, slots=True)
class MonthWalls:
    """Wall times at the first midnight of each so many months."""

    months: int

    @property
    def shortest(self) -> int:
        return 28 * self.months * DAY

    def between(self, start: int, stop: int) -> Sequence[int]:
        """Return those from the last one before `start` to the first one after `stop`."""
        first, last = (self._number(wall) for wall in (start, stop))
        return [self._wall(number) for number in range(first - 1, last + 3)]

    def _number(self, wall: int) -> int:
        moment = instant.to_datetime(min(max(wall, instant.EARLIEST), instant.LATEST))
        return (moment.year * 12 + moment.month - 1) // self.months

    def _wall(self, number: int) -> int:
        year, month = divmod(number * self.months, 12)
        cycles = -1 if year > 9_999 else 1 if year < 1 else 0  # the calendar repeats itself after 400 years
        days = date(year + 400 * cycles, month + 1, 1).toordinal() - cycles * 146_097
        return (days - date(1970, 1, 1).toordinal()) * DAY


@dataclass(frozen=True, slots=True)
class ZonedGrid:
    """Buckets that begin at wall times of a zone; see the module."""

    text: str
    walls: EvenWalls | MonthWalls
    zone: Zone

    @property
    def cached(self) -> bool:
        return self.walls.shortest >= TEN_SECONDS.step

    @property
    def shortest(self) -> int:
        return self.walls.shortest

    def floor(self, time: int) -> int:
        starts = _starts(self, time, time)
        return starts[bisect_right(starts, time) - 1]

    def ceil(self, time: int) -> int:
        starts = _starts(self, time, time)
        return starts[bisect_left(starts, time)]

    def after(self, time: int) -> int:
        starts = _starts(self, time, time)
        return starts[bisect_right(starts, time)]

    def back(self, stop: int, count: int) -> int:
        first = max(stop - (count + 2) * 2 * self.shortest - _CLEAR, instant.EARLIEST)
        starts = _starts(self, first, stop)
        return starts[max(0, bisect_left(starts, stop) - count)]

    def cover(self, span: Span) -> Span:
        return Span(self.floor(span.start), self.ceil(span.stop))

    def buckets(self, span: Span) -> Sequence[int]:
        if not span:
            return ()
        starts = _starts(self, span.start, span.stop)
        return starts[bisect_left(starts, span.start) : bisect_left(starts, span.stop)]

    def intervals(self, span: Span) -> Sequence[Span]:
        return [Span(*pair) for pair in pairwise((*self.buckets(span), span.stop))] if span else []

    def places(self, part: Span, whole: Span) -> slice:
        starts = _starts(self, whole.start, whole.stop)
        first, start, stop = (bisect_left(starts, time) for time in (whole.start, part.start, part.stop))
        return slice(start - first, stop - first)


@lru_cache(maxsize=256)
def _starts(grid: ZonedGrid, start: int, stop: int) -> tuple[int, ...]:
    """Return the starts of the buckets around a span, from one at or before it to one after it."""
    zone, walls = grid.zone, grid.walls
    low, high = (time + zone.offset(time) for time in (start, stop))
    offsets = [each.offset for each in zone.regimes(start - _CLEAR, stop + _CLEAR)]
    clear = 2 * (max(offsets) - min(offsets))
    around = walls.between(low - clear, high + clear)
    bounds = around[0] - _CLEAR, around[-1] + _CLEAR
    found = set(zone.first_shown(around, *bounds))
    if walls.shortest < DAY:
        found.update(_repeated(walls.shortest, zone, bounds))
    return tuple(sorted(found))


def _repeated(step: int, zone: Zone, bounds: tuple[int, int]) -> Iterator[int]:
    """Yield the starts of the buckets in what clocks show again, where the step is not longer than that."""
    for time, wall, until in zone.set_back(*bounds):
        if step <= until - wall:
            yield time
            yield from range(time + -wall % step, time + until - wall, step)
