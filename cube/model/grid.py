"""Grids: what divides time into buckets. Tiers are grids; here are all others that can be asked for.

========================  ===================================================================================
step                      a bucket begins
========================  ===================================================================================
``15m``, ``90s``, ``3d``  at each multiple of the step since 1970-01-01T00:00
``1w``, ``2w``, ``14d``   (whole weeks) so many weeks from the first Monday of 1970, or another weekday
``month``, ``quarter``,   on the first day of one
``year``
========================  ===================================================================================

Without a zone all of it is UTC's. With one, all is by the clocks of the zone: a bucket of days, weeks or
months begins at the first instant at which they show its first date, or a later one. So a day has 23 or 25
hours where they are set; one whose midnight they skip begins when they are set forward; one that they skip
altogether is not there. Below a day, a bucket begins whenever they show, or skip, a multiple of the step; what
they show twice makes buckets twice where the step is not longer than what is repeated, else one longer bucket.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from itertools import pairwise
from typing import Final, Protocol

from cube.errors import InvalidRequest, shown
from cube.model import duration, instant
from cube.model.tier import TEN_SECONDS, TIERS, Span
from cube.model.zone import DAY, UTC_ZONE, Zone

LONGEST: Final = duration.LONGEST
"""No step is longer: the longest year."""

MONTHS: Final = {"month": 1, "quarter": 3, "year": 12}
"""The months of each step of the calendar."""

WEEKDAYS: Final = ("thursday", "friday", "saturday", "sunday", "monday", "tuesday", "wednesday")
"""As 1970 began."""

ACCEPTED: Final = (
    "a whole number of seconds up to 366 days, in milliseconds or as words such as 10s, 15m, 2h, 1d or 1w,"
    " and month, quarter, year"
)

_WEEK: Final = 7 * DAY
_CLEAR: Final = 3 * DAY  # clocks have been set by a day at most


class Grid(Protocol):
    """A division of time into buckets, each named by its start.

    ``text``: what it is, in one way only. ``cached``: whether metrics over it are kept. ``shortest``: no
    bucket is shorter, clocks that are set aside. Spans whose buckets are asked for are aligned.
    """

    @property
    def text(self) -> str: ...

    @property
    def cached(self) -> bool: ...

    @property
    def shortest(self) -> int: ...

    def floor(self, time: int) -> int:
        """Return the start of the bucket that holds `time`."""

    def ceil(self, time: int) -> int:
        """Return the first bucket start that is not before `time`."""

    def after(self, time: int) -> int:
        """Return the first bucket start after `time`."""

    def back(self, stop: int, count: int) -> int:
        """Return the start of the bucket so many before the one that begins at `stop`."""

    def cover(self, span: Span) -> Span:
        """Return the span ``[floor(start), ceil(stop))``."""

    def buckets(self, span: Span) -> Sequence[int]:
        """Return the starts of the buckets of an aligned span."""

    def intervals(self, span: Span) -> Sequence[Span]:
        """Return what each of these buckets is about."""

    def places(self, part: Span, whole: Span) -> slice:
        """Return where in an array over the buckets of an aligned span those of a part of it are."""


@dataclass(frozen=True, slots=True)
class FixedGrid:
    """Buckets that are all of one length; ``origin``: where one of them begins."""

    step: int
    origin: int = 0

    @property
    def text(self) -> str:
        weekday = "" if self.step % _WEEK else f" from {WEEKDAYS[self.origin % _WEEK // DAY]}"
        return duration.format(self.step) + weekday

    @property
    def cached(self) -> bool:
        return self.step >= TEN_SECONDS.step

    @property
    def shortest(self) -> int:
        return self.step

    def floor(self, time: int) -> int:
        return time - (time - self.origin) % self.step

    def ceil(self, time: int) -> int:
        return time + (self.origin - time) % self.step

    def after(self, time: int) -> int:
        return self.floor(time) + self.step

    def back(self, stop: int, count: int) -> int:
        return stop - count * self.step

    def cover(self, span: Span) -> Span:
        return Span(self.floor(span.start), self.ceil(span.stop))

    def buckets(self, span: Span) -> range:
        return range(span.start, span.stop, self.step)

    def intervals(self, span: Span) -> Sequence[Span]:
        return [Span(start, start + self.step) for start in self.buckets(span)]

    def places(self, part: Span, whole: Span) -> slice:
        return slice((part.start - whole.start) // self.step, (part.stop - whole.start) // self.step)


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


def grid_of(step: int | str, zone: str | None = None, week_start: str = "monday") -> Grid:
    """Return the grid of a step: a tier where it is one.

    ``step``: milliseconds, or words: a duration, ``month``, ``quarter`` or ``year``. ``week_start``: the
    weekday on which weeks begin. Raises `InvalidRequest`.
    """
    if week_start not in WEEKDAYS:
        raise InvalidRequest(f"Got the week start {shown(week_start)}; accepted are monday to sunday.")
    place = UTC_ZONE if zone is None else Zone.of(zone)
    months = MONTHS.get(step) if isinstance(step, str) else None
    if months is not None:
        return ZonedGrid(f"{step} {place.name}", MonthWalls(months), place)
    length = _length(step)
    origin = 0 if length % _WEEK else WEEKDAYS.index(week_start) * DAY
    fixed = FixedGrid(length, origin)
    if zone is not None and zone not in ("UTC", "Etc/UTC"):
        return ZonedGrid(f"{fixed.text} {place.name}", EvenWalls(length, origin), place)
    tier = TIERS.get(length)
    return tier if tier is not None and tier.origin == origin else fixed


def _length(step: int | str) -> int:
    try:
        length = duration.parse(step) if isinstance(step, str) else step
    except InvalidRequest:
        length = 0
    if not 1_000 <= length <= LONGEST or length % 1_000:
        raise InvalidRequest(f"Got the step {shown(step)}; accepted are {ACCEPTED}.")
    return length


def simplified(grid: Grid, span: Span) -> Grid:
    """Return a grid that has the same buckets in a span, and is a tier or even where there is one.

    So quarters of an hour in Berlin share what is kept of those in UTC.
    """
    if not isinstance(grid, ZonedGrid) or not isinstance(grid.walls, EvenWalls):
        return grid
    even = grid_of(grid.walls.step) if grid.walls.step < DAY else None
    if even is None or DAY % grid.walls.step:
        return grid
    first, *changes = grid.zone.regimes(span.start, span.stop)
    times = [first.offset, *(time for change in changes for time in change)]
    fits = all(time % grid.walls.step == 0 for time in times)
    return even if fits else grid
