"""The axis of times below a drawing: marks at round times, as many as their labels leave room for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

_SECOND, _MINUTE, _HOUR, _DAY = 1_000, 60_000, 3_600_000, 86_400_000
_MONDAY: Final = 4 * _DAY  # after the first Thursday, which 1970 began with
_BETWEEN: Final = 3
"""Columns that a label leaves free before the next one."""

_EVEN: Final = (
    *(_SECOND * count for count in (1, 2, 5, 10, 15, 30)),
    *(_MINUTE * count for count in (1, 2, 5, 10, 15, 30)),
    *(_HOUR * count for count in (1, 2, 3, 6, 12)),
    *(_DAY, 7 * _DAY),
)
"""What may lie between two marks, in milliseconds; weeks begin on Mondays."""

_MONTHS: Final = (1, 2, 3, 6, 12, 24, 60, 120, 240, 600, 1200)
"""What may lie between them beyond that."""


@dataclass(frozen=True, slots=True)
class TimeAxis:
    """Times from ``first`` to ``last``, milliseconds since 1970, over so many columns."""

    first: int
    last: int
    columns: int

    def lines(self) -> tuple[str, str]:
        """Return the line with the marks, and the one with their labels, in UTC."""
        marks, labels = ["-"] * self.columns, ""
        for time, text in self._labelled():
            column = self._column(time)
            if column >= self.columns:
                break
            marks[column] = "|"
            labels = labels.ljust(column) + text
        return "".join(marks), labels

    def _labelled(self) -> Iterator[tuple[int, str]]:
        for step in _EVEN:
            label = _labels(step, self.last - self.first)
            if self._fits(step, label(self.first)):
                return ((time, label(time)) for time in self._even(step))
        months = next((each for each in _MONTHS if self._fits(28 * _DAY * each, "2026-01")), _MONTHS[-1])
        return ((_millisecond(moment), f"{moment:%Y-%m}") for moment in self._months(months))

    def _fits(self, step: int, label: str) -> bool:
        return step * self.columns >= (len(label) + _BETWEEN) * (self.last - self.first)

    def _even(self, step: int) -> Iterator[int]:
        offset = _MONDAY if step == 7 * _DAY else 0
        time = -(-(self.first - offset) // step) * step + offset
        while time <= self.last:
            yield time
            time += step

    def _months(self, step: int) -> Iterator[datetime]:
        begun = _moment(self.first)
        number = -(-(begun.year * 12 + begun.month - (begun == _month(begun))) // step) * step
        while number < 12 * 10_000 and _millisecond(_numbered(number)) <= self.last:
            yield _numbered(number)
            number += step

    def _column(self, time: int) -> int:
        return (time - self.first) * self.columns // max(1, self.last - self.first)


def _labels(step: int, length: int) -> Callable[[int], str]:
    """Return what writes the labels of marks so far apart; of a span of days midnight is its date."""
    form = "%H:%M:%S" if step < _MINUTE else "%H:%M"

    def label(time: int) -> str:
        is_date = step >= _DAY or (length >= _DAY and time % _DAY == 0)
        return _moment(time).strftime("%m-%d" if is_date else form)

    return label


def _numbered(number: int) -> datetime:
    """Return the beginning of a month: 12 × year + its number, from 0."""
    return datetime(number // 12, number % 12 + 1, 1, tzinfo=UTC)


def _month(moment: datetime) -> datetime:
    return datetime(moment.year, moment.month, 1, tzinfo=UTC)


def _moment(time: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=time)


def _millisecond(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
