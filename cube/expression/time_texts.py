"""Many texts in ISO 8601 at once: those of the common form, all as one array of digits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from cube.expression.logarithms import Floats

Digits: TypeAlias = npt.NDArray[np.int64]

_MARKS: Final = {4: "-", 7: "-", 13: ":", 16: ":"}
_PARTS: Final = (slice(0, 4), slice(5, 7), slice(8, 10), slice(11, 13), slice(14, 16), slice(17, 19))
_FRACTION: Final = slice(20, -1)
_EXACT: Final = 2**53  # microseconds, in the year 2255: a float holds each
_DAY: Final = 86_400 * 10**6


def read_times(texts: Sequence[str]) -> Floats:
    """Return the milliseconds since 1970 that `text_functions.read_time` reads; NaN of what it has to read.

    Of the form ``2011-09-12T21:33:12.123456Z``, with any number of digits in the fraction, or none, in UTC.
    """
    found = np.full(len(texts), np.nan)
    lengths = np.fromiter(map(len, texts), np.intp, len(texts))
    for length in np.unique(lengths).tolist():
        if length == 20 or 22 <= length <= 33:
            rows = np.flatnonzero(lengths == length)
            found[rows] = _read(np.array([texts[row] for row in rows.tolist()]), length)
    return found


def _read(texts: npt.NDArray[np.str_], length: int) -> Floats:
    signs = np.ascontiguousarray(texts.view(np.int32).reshape(len(texts), length).T)  # one row a place
    is_read = (signs[10] == ord("T")) & (signs[-1] == ord("Z"))
    for place, mark in _MARKS.items():
        is_read &= signs[place] == ord(mark)
    if length > 20:
        is_read &= signs[19] == ord(".")
    digits = signs - ord("0")
    for part in (*_PARTS, *([_FRACTION] if length > 20 else [])):
        for place in digits[part]:
            is_read &= (place >= 0) & (place <= 9)
    year, month, day, hour, minute, second = (_number(digits[part]) for part in _PARTS)
    fraction = _number(digits[_FRACTION][:6]) * 10 ** max(0, 6 - max(0, length - 21))
    is_read &= (month >= 1) & (month <= 12) & (day >= 1) & (hour < 24) & (minute < 60) & (second < 60)
    is_read &= (year >= 1) & (day <= _month_length(year, month))
    seconds = (hour * 60 + minute) * 60 + second
    micros = _days(year, month, day) * _DAY + seconds * 10**6 + fraction
    is_read &= np.abs(micros) < _EXACT
    return np.where(is_read, micros / 1000, np.nan)


def _number(digits: npt.NDArray[np.int32]) -> Digits:
    """Return the number of each text, of which row by row one digit is given."""
    number = np.zeros(digits.shape[1], dtype=np.int64)
    for place in digits:
        number = number * 10 + place
    return number


def _month_length(year: Digits, month: Digits) -> Digits:
    is_leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    lengths = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
    found: Digits = lengths[np.clip(month, 0, 12)] + (is_leap & (month == 2))
    return found


def _days(year: Digits, month: Digits, day: Digits) -> Digits:
    """Return the days since 1970 of the Gregorian calendar, whose year here begins in March."""
    year = year - (month <= 2)
    era, of_era = np.divmod(year, 400)
    of_year = (153 * (month + np.where(month > 2, -3, 9)) + 2) // 5 + day - 1
    found: Digits = era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468
    return found
