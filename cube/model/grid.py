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
altogether is not there. Below a day, a bucket begins whenever they show, or skip, a multiple of the step;
what they show twice makes buckets twice where the step is not longer than that, else one longer bucket.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from cube.errors import InvalidQuery, InvalidRequest, shown
from cube.model import duration
from cube.model.tier import TEN_SECONDS, TIERS, EvenBuckets, Span
from cube.model.zone import DAY, UTC_ZONE, Zone
from cube.model.zoned_grid import EvenWalls, MonthWalls, ZonedGrid

LONGEST: Final = duration.LONGEST
"""No step is longer: the longest year."""

MONTHS: Final = {"month": 1, "quarter": 3, "year": 12}
"""The months of each step of the calendar."""

WEEKDAYS: Final = ("thursday", "friday", "saturday", "sunday", "monday", "tuesday", "wednesday")
"""As 1970 began."""

ACCEPTED: Final = (
    "a whole number of seconds up to 366 days, in milliseconds or as words such as 10s, 15m, 2h, 1d or 1w,"
    " or month, quarter, year"
)

_UTC: Final = ("UTC", "Etc/UTC", "Z")
_WEEK: Final = 7 * DAY


class Grid(Protocol):
    """A division of time into buckets, each named by its start.

    ``text``: what it is, in one way only. ``cached``: whether metrics over it are kept. ``shortest``: no
    bucket is shorter, clocks that are set aside. Spans whose buckets are asked for are aligned.
    """

    def __hash__(self) -> int: ...

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
        """Return these buckets as spans."""

    def places(self, part: Span, whole: Span) -> slice:
        """Return where in an array over the buckets of an aligned span those of a part of it are."""


@dataclass(frozen=True, slots=True)
class FixedGrid(EvenBuckets):
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


def grid_of(step: int | str, zone: str = "UTC", week_start: str = "monday") -> Grid:
    """Return the grid of a step: a tier where it is one.

    ``step``: milliseconds, or words: a duration, ``month``, ``quarter`` or ``year``. ``week_start``: the
    weekday on which weeks begin. Raises `InvalidQuery`, whose ``field`` names the argument.
    """
    if week_start not in WEEKDAYS:
        raise InvalidQuery(
            f"Got the week start {shown(week_start)}; accepted are monday to sunday.", field="week_start"
        )
    place = _zone(zone)
    months = MONTHS.get(step) if isinstance(step, str) else None
    if months is not None:
        return ZonedGrid(f"{step} {place.name}", MonthWalls(months), place)
    length = _length(step)
    origin = 0 if length % _WEEK else WEEKDAYS.index(week_start) * DAY
    fixed = FixedGrid(length, origin)
    if place != UTC_ZONE:
        return ZonedGrid(f"{fixed.text} {place.name}", EvenWalls(length, origin), place)
    tier = TIERS.get(length)
    return tier if tier is not None and tier.origin == origin else fixed


def _zone(name: str) -> Zone:
    try:
        return UTC_ZONE if name in _UTC else Zone.of(name)
    except InvalidRequest as error:
        raise InvalidQuery(error.message, field="timezone") from None


def _length(step: int | str) -> int:
    try:
        length = duration.parse(step) if isinstance(step, str) else step
    except InvalidRequest:
        length = 0
    if not 1_000 <= length <= LONGEST or length % 1_000:
        raise InvalidQuery(f"Got the step {shown(step)}; accepted is {ACCEPTED}.", field="step")
    return length


def step_of(grid: Grid) -> int | str:
    """Return what a question is told to have as its step: milliseconds, or the text of a grid with a zone."""
    return grid.text if isinstance(grid, ZonedGrid) else grid.shortest


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
