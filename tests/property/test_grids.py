"""Grids against plain Python: the clocks of a zone, looked at minute by minute."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cube.model import instant
from cube.model.grid import WEEKDAYS, Grid, grid_of, simplified
from cube.model.tier import Span
from tests.tools import examples

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
ZONES = (
    "Europe/Berlin",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "America/St_Johns",
    "Pacific/Apia",
    "Africa/Casablanca",
    "America/Sao_Paulo",  # skips midnights until 2018
    "America/Havana",  # shows the hour after midnight twice
    "UTC",
)
SET = {zone: [] for zone in ZONES} | {
    "Europe/Berlin": ["2026-03-29T01:00Z", "2026-10-25T01:00Z", "1980-04-06T01:00Z"],
    "Australia/Lord_Howe": ["2026-04-04T15:00Z", "2026-10-03T15:30Z"],
    "America/St_Johns": ["2006-10-29T02:31Z", "2006-04-02T03:31Z"],
    "Pacific/Apia": ["2011-12-30T10:00Z"],
    "Africa/Casablanca": ["2026-02-15T02:00Z", "2026-03-22T02:00Z"],
    "America/Sao_Paulo": ["2018-11-04T03:00Z", "2018-02-18T02:00Z"],
    "America/Havana": ["2026-11-01T05:00Z", "2026-03-08T05:00Z"],
}
"""When the clocks of each were set, at some time."""


@lru_cache(maxsize=50_000)
def wall(zone: str, time: int) -> int:
    """Return what the clocks show, as milliseconds."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=time)
    shown = moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    return (shown - datetime(1970, 1, 1)) // timedelta(milliseconds=1)


def number(step: int | str, origin: int, shown: int) -> int:
    """Return the number of the bucket to which a wall time belongs."""
    months = {"month": 1, "quarter": 3, "year": 12}.get(str(step))
    if months is None:
        return (shown - origin) // int(step)
    moment = datetime(1970, 1, 1) + timedelta(milliseconds=shown)
    return (moment.year * 12 + moment.month - 1) // months


def starts(step: int | str, zone: str, span: Span, origin: int = 0) -> Iterator[int]:
    """Yield when buckets begin, minute by minute; what is before the span's third day may be missed."""
    is_short = not isinstance(step, str) and step < DAY
    before = wall(zone, span.start - MINUTE)
    reached = number(step, origin, before)
    for time in range(span.start, span.stop, MINUTE):
        shown = wall(zone, time)
        bucket = number(step, origin, shown)
        back = before + MINUTE - shown
        if is_short and back > 0 and int(step) <= back:
            if bucket != number(step, origin, before) or (shown - origin) % int(step) == 0:
                yield time
            reached = bucket
        elif bucket > reached:
            yield time
            reached = bucket
        before = shown


STEPS = st.sampled_from([MINUTE, 15 * MINUTE, 30 * MINUTE, 45 * MINUTE, HOUR, 2 * HOUR, 6 * HOUR, 7 * HOUR])
DAYS = st.sampled_from([DAY, 2 * DAY, 3 * DAY, 7 * DAY, "month", "quarter", "year"])


@st.composite
def questions(draw: st.DrawFn, steps: st.SearchStrategy[int | str]) -> tuple[int | str, str, int, str]:
    zone = draw(st.sampled_from(ZONES))
    times = [instant.parse(text) for text in SET[zone]] or [instant.parse("1969-12-31T20:00Z")]
    time = draw(st.sampled_from(times)) + draw(st.integers(-2 * 24 * 60, 2 * 24 * 60)) * MINUTE
    return draw(steps), zone, time, draw(st.sampled_from(WEEKDAYS))


def origin_of(step: int | str, week_start: str) -> int:
    is_weeks = not isinstance(step, str) and step % (7 * DAY) == 0
    return WEEKDAYS.index(week_start) * DAY if is_weeks else 0


@given(questions(STEPS))
@settings(max_examples=examples(30), deadline=None)
def test_buckets_below_a_day_begin_when_the_clocks_show_a_multiple(asked: tuple[int, str, int, str]) -> None:
    step, zone, time, _ = asked
    grid, around = grid_of(step, zone), Span(time - 36 * HOUR, time + 18 * HOUR)
    span = grid.cover(Span(time, time + 9 * HOUR))

    wanted = [each for each in starts(step, zone, around) if each in span]

    assert list(grid.buckets(span)) == wanted
    check(grid, span)


@given(questions(DAYS))
@example((DAY, "Pacific/Apia", instant.parse("2011-12-29T12:00Z"), "monday"))
@example((DAY, "America/Havana", instant.parse("2026-11-01T03:00Z"), "monday"))
@example(("month", "Pacific/Apia", instant.parse("2011-12-30T12:00Z"), "monday"))
@settings(max_examples=examples(30), deadline=None)
def test_days_and_longer_begin_when_the_clocks_first_show_the_date(
    asked: tuple[int | str, str, int, str],
) -> None:
    step, zone, time, week_start = asked
    grid = grid_of(step, zone, week_start)
    around = Span(time - 2 * DAY, time + 2 * DAY)
    wanted = [each for each in starts(step, zone, around, origin_of(step, week_start)) if each >= time - DAY]

    for start, after in pairwise([*wanted, None]):
        assert grid.floor(start) == start == grid.ceil(start)
        assert grid.floor(start - 1) < start == grid.after(start - 1)
        assert after is None or grid.after(start) == after
    reached = [each for each in wanted if each <= time]
    if reached:
        assert grid.floor(time) == reached[-1]
    check(grid, grid.cover(Span(time, time + 3 * DAY)))


def check(grid: Grid, span: Span) -> None:
    """Check that the parts of a grid agree with each other."""
    buckets, intervals = list(grid.buckets(span)), grid.intervals(span)
    assert [each.start for each in intervals] == buckets
    assert [each.stop for each in intervals] == [*buckets[1:], span.stop]
    assert grid.back(span.stop, len(buckets)) == span.start
    assert list(simplified(grid, span).buckets(span)) == buckets
    for place, interval in enumerate(intervals):
        assert grid.places(Span(interval.start, span.stop), span) == slice(place, len(buckets))
        assert grid.floor(interval.start) == grid.floor(interval.stop - 1) == interval.start
        assert grid.after(interval.start) == grid.ceil(interval.start + 1) == interval.stop


@pytest.mark.parametrize("time", [instant.EARLIEST, instant.LATEST])
@pytest.mark.parametrize("step", [HOUR, DAY, 7 * DAY, "month", "year", 366 * DAY])
def test_there_are_buckets_at_the_ends_of_time(time: int, step: int | str) -> None:
    grid = grid_of(step, "Europe/Berlin")

    assert grid.floor(time) <= time < grid.after(time)
