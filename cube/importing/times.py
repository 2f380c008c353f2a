"""Times as files have them: texts in any form that is described, numbers in any unit."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from typing import Any, Final

from cube.errors import InvalidRequest, shown
from cube.model import instant

UNITS: Final[Mapping[str, Decimal]] = {
    "s": Decimal(1000),
    "ms": Decimal(1),
    "us": Decimal("1e-3"),
    "ns": Decimal("1e-6"),
}
"""The milliseconds of each unit that a number may have."""

AUTO: Final = "auto"
"""The unit is told by a number's magnitude."""

NAMES: Final = (
    "time", "timestamp", "@timestamp", "ts", "datetime", "date_time", "date", "created_at", "createdat",
    "created", "event_time", "eventtime", "occurred_at", "isodate",
)  # fmt: skip
"""Where a time is looked for that nobody has named, in this order, in upper or lower case."""

_SUGGESTED: Final = (
    "%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M", "%Y/%m/%d", "%d/%b/%Y:%H:%M:%S %z", "%a, %d %b %Y %H:%M:%S %z",
    "%b %d %Y", "%b %d, %Y", "%b-%d-%Y", "%d %b %Y", "%d-%b-%Y", "%a %b %d %H:%M:%S %Y", "%d.%m.%Y",
    "%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S", "%Y%m%d", "%Y%m%d%H%M%S", "%Y",
    *(
        f"{day}{clock}"
        for day in ("%m/%d/%Y", "%d/%m/%Y", "%m/%d/%y", "%d/%m/%y", "%m-%d-%Y", "%d-%m-%Y")
        for clock in ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
    ),
)  # fmt: skip
"""What is suggested to whoever has not named a format that a time has."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_MILLISECONDS: Final = instant.EARLIEST_PLAUSIBLE
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]*)?", re.ASCII)
_COMMON_TEXT: Final = (
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?(?:Z|[+-][0-9]{2}:[0-9]{2})?)?"
)
_COMMON = re.compile(_COMMON_TEXT, re.ASCII)
_ALL_COMMON = re.compile(rf"(?:{_COMMON_TEXT}\n)*+", re.ASCII)
"""What is read several times as fast as any other ISO 8601."""

_ZONED = re.compile(
    r".*(?:Z|:[0-9]{2}(?:[.,][0-9]+)? ?[+-][0-9]{2}(?::?[0-9]{2})?)", re.ASCII | re.IGNORECASE
)


@dataclass(slots=True)
class TimeReading:
    """How times are read.

    ``unit``: of numbers, and texts that are numbers: one of `UNITS`, or `AUTO`. ``format``: of texts and
    numbers, as `datetime.strptime` has it; None is ISO 8601. ``zone``: of texts that name none.
    """

    unit: str = AUTO
    format: str | None = None
    zone: tzinfo = UTC
    _last: tuple[str, int] = field(default=("", 0), init=False)

    def read(self, value: Any) -> int:
        """Return milliseconds since 1970, cut to whole ones; raises `InvalidRequest`."""
        if value.__class__ is int and self.unit == AUTO and self.format is None:
            if _MILLISECONDS <= value < _MILLISECONDS * 1000:
                return int(value)
        elif isinstance(value, str):
            if value != self._last[0]:  # lines of a log come many to a second
                self._last = (value, self._text(value))
            return self._last[1]
        if isinstance(value, datetime):
            return instant.from_datetime(self._zoned(value))
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InvalidRequest(f"Got the time {shown(value)}; accepted is a text or a number.")
        if self.format is not None:
            return self._formatted(str(int(value) if float(value).is_integer() else value), self.format)
        return self._number(value)

    def read_all(self, values: Sequence[Any]) -> list[int]:
        """Do what `read` does for many values, most of them at once."""
        kinds = set(map(type, values))
        if self.format is None and kinds == {str} and _ALL_COMMON.fullmatch("\n".join([*values, ""])):
            with suppress(ValueError, OverflowError):
                return [self._exact(moment) for moment in map(datetime.fromisoformat, values)]
        is_plain = self.unit == AUTO and self.format is None and kinds == {int}
        if is_plain and min(values) >= _MILLISECONDS and max(values) < _MILLISECONDS * 1000:
            return list(values)
        return [*map(self.read, values)]

    def _exact(self, moment: datetime) -> int:
        zoned = moment if moment.tzinfo is not None else moment.replace(tzinfo=self.zone)
        return (zoned - _EPOCH) // _MILLISECOND

    def _text(self, text: str) -> int:
        if self.format is not None:
            return self._formatted(text, self.format)
        if _NUMBER.fullmatch(text):
            return self._number(float(text) if "." in text else int(text))
        if _COMMON.fullmatch(text):
            with suppress(ValueError, OverflowError):  # 24:00, which is read below, or no time
                return instant.from_datetime(self._zoned(datetime.fromisoformat(text)))
        try:
            time = instant.parse(text)
        except InvalidRequest:
            raise InvalidRequest(
                f"Got the time {shown(text)}; accepted is ISO 8601 (such as 2011-09-12T21:33:12Z), a number"
                f" since 1970, or what --time-format describes.{_suggestion(text)}"
            ) from None
        if self.zone is UTC or _ZONED.fullmatch(text):
            return time
        return instant.from_datetime(instant.to_datetime(time).replace(tzinfo=self.zone))

    def _formatted(self, text: str, form: str) -> int:
        try:
            return instant.from_datetime(self._zoned(datetime.strptime(text, form)))
        except (ValueError, OverflowError):
            raise InvalidRequest(
                f"Got the time {shown(text)}; accepted is the format {form}.{_suggestion(text)}"
            ) from None

    def _zoned(self, moment: datetime) -> datetime:
        return moment if moment.tzinfo is not None else moment.replace(tzinfo=self.zone)

    def _number(self, value: float) -> int:
        if self.unit == AUTO:
            return _plausible(value)
        if isinstance(value, float) and not math.isfinite(value):
            raise InvalidRequest(f"Got the time {shown(value)}; accepted are finite numbers.")
        time = math.floor(Decimal(value if isinstance(value, int) else repr(value)) * UNITS[self.unit])
        return instant.parse(time)


def reading(unit: str, form: str | None, zone: tzinfo) -> TimeReading:
    """Return how times are read; raises `InvalidRequest` for what is no format."""
    if form is not None and "%" not in form:
        raise InvalidRequest(
            f"Got the time format {shown(form)}; accepted is one of strftime's, such as"
            f" {_suggested(form) or '%d/%b/%Y:%H:%M:%S %z'}."
        )
    return TimeReading(unit, form, zone)


def name_of(record: Mapping[str, Any]) -> str | None:
    """Return which field of a record has its time, by the fields' names; None where none does."""
    lower = {name.lower(): name for name in reversed(list(record)) if record[name] is not None}
    return next((lower[name] for name in NAMES if name in lower), None)


def likely(record: Mapping[str, Any]) -> str | None:
    """Return the first field whose value is a time by its form; None where there is none."""
    for name, value in record.items():
        if isinstance(value, str) and not _NUMBER.fullmatch(value):
            try:
                instant.parse(value)
            except InvalidRequest:
                if _suggested(value) is None:
                    continue
            return name
    return None


def _plausible(value: float) -> int:
    """Read a number in the unit that its magnitude tells: from 1973 on, for a year is a number as well."""
    time = instant.parse_any_unit(value)
    if abs(time) < instant.EARLIEST_PLAUSIBLE:
        raise InvalidRequest(
            f"Got the time {shown(value)}, which is {instant.format(time)} as seconds since 1970; accepted"
            " are times from 1973 on, or any in the unit that --unit names." + _suggestion(str(value))
        )
    return time


def _suggestion(text: str) -> str:
    form = _suggested(text.removesuffix(".0"))
    if form is None:
        return ""
    other = _swapped(form)
    if other not in _SUGGESTED or not _has(text, other, datetime.strptime):
        return f" It may be --time-format '{form}'."
    return f" It may be --time-format '{form}', or '{other}' if days come before months."


def _swapped(form: str) -> str:
    """Return a format that begins with months and days with these the other way round."""
    return f"{form[3:5]}{form[2:3]}{form[:2]}{form[5:]}"


def _suggested(text: str) -> str | None:
    """Return a format that a text has and that is likely to be meant."""
    return next((form for form in _SUGGESTED if _has(text, form, datetime.strptime)), None)


def _has(text: str, form: str, parse: Callable[[str, str], datetime]) -> bool:
    if form.isalnum() or form.startswith("%Y%m"):
        digits = {"%Y": 4, "%Y%m%d": 8, "%Y%m%d%H%M%S": 14}[form]
        if not (text.isascii() and text.isdigit() and len(text) == digits):
            return False
    try:
        return parse(text, form).year >= 1000
    except (ValueError, OverflowError):
        return False
