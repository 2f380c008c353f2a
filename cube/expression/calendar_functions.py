"""What a calendar and a clock show of a time, in a zone: of whole columns, each hour's offset looked up once.

Times are milliseconds since 1970; outside the years 1 to 9999 there is no value. An offset holds for a whole
hour of UTC unless it differs at that hour's end: then those times are looked up second by second.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo

import numpy as np

from cube.expression.logarithms import Floats
from cube.model import instant

_HOUR, _DAY = 3_600_000, 86_400_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NARROW = 1_000_000  # hours, which are 114 years


def hours(times: Floats, zone: tzinfo = UTC) -> Floats:
    """Return the hour of the day, from 0 to 23, on a clock of the zone."""
    return np.floor(_local(times, zone) % _DAY / _HOUR)


def weekdays(times: Floats, zone: tzinfo = UTC) -> Floats:
    """Return the day of the week, from 1 (Monday) to 7, in the zone: as in ISO 8601."""
    return (np.floor(_local(times, zone) / _DAY) + 3) % 7 + 1


def hour(time: float, zone: tzinfo = UTC) -> float:
    """Return what `hours` does, of one time; raises ValueError outside the years 1 to 9999."""
    return _moment(time, zone).hour


def weekday(time: float, zone: tzinfo = UTC) -> float:
    """Return what `weekdays` does, of one time; raises ValueError outside the years 1 to 9999."""
    return _moment(time, zone).isoweekday()


def _moment(time: float, zone: tzinfo) -> datetime:
    if not instant.EARLIEST <= time < instant.LATEST + 1:
        raise ValueError(time)
    try:
        return (_EPOCH + timedelta(milliseconds=math.floor(time))).astimezone(zone)
    except OverflowError as error:  # in the first or last hours of these years
        raise ValueError(time) from error


def _local(times: Floats, zone: tzinfo) -> Floats:
    times = np.where((times >= instant.EARLIEST) & (times < instant.LATEST + 1), times, np.nan)
    if zone is UTC:
        return times
    rows = np.flatnonzero(~np.isnan(times))
    local = np.full(len(times), np.nan)
    places, whole = _looked_up(np.floor(times[rows] / _HOUR), lambda hour: _offset(hour * _HOUR, zone))
    _, ends = _looked_up(np.floor(times[rows] / _HOUR), lambda hour: _offset((hour + 1) * _HOUR - 1, zone))
    offsets = whole[places]
    mixed = np.flatnonzero(whole[places] != ends[places])
    if len(mixed):
        inner, found = _looked_up(
            np.floor(times[rows[mixed]] / 1000), lambda second: _offset(second * 1000, zone)
        )
        offsets[mixed] = found[inner]
    local[rows] = times[rows] + offsets
    return local


def _looked_up(
    keys: Floats, look_up: Callable[[int], float]
) -> tuple[np.ndarray[tuple[int], np.dtype[np.intp]], Floats]:
    """Call a function for each different whole number; return the place of each result, and the results."""
    different, places = np.unique(keys, return_inverse=True)
    return places, np.array([look_up(int(key)) for key in different.tolist()], dtype=np.float64)


def _offset(time: int, zone: tzinfo) -> float:
    """Return how far ahead of UTC the zone is, in milliseconds; NaN where its calendar ends."""
    try:
        offset = _moment(time, zone).utcoffset()
    except ValueError:
        return math.nan
    return 0.0 if offset is None else offset / timedelta(milliseconds=1)
