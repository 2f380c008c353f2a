"""Instants: whole milliseconds since 1970-01-01T00:00Z, years 1 to 9999.

Inside Cube every time is such an ``int``. This module is the only place that reads and writes
their text forms (ISO 8601), and that tells the unit of a number by its magnitude.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from dateutil.parser import isoparser

from cube.errors import InvalidRequest, shown

EARLIEST = -62_135_596_800_000  # 0001-01-01T00:00:00.000Z
LATEST = 253_402_300_799_999  # 9999-12-31T23:59:59.999Z
EARLIEST_PLAUSIBLE: Final = 10**11
"""As milliseconds in 1973, as seconds in 5138: what lies below is seconds, or a mistake."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_DAY: Final = 86_400_000
_CYCLE: Final = 146_097 * _DAY  # the calendar repeats itself after 400 years
_DIGITS = re.compile(r"-?[0-9]{1,20}", re.ASCII)
_NUMBER = re.compile(r"-?[0-9]{1,20}(?:\.[0-9]{0,20})?", re.ASCII)
_LOST_PLUS = re.compile(r"(:[0-9]{2}(?:[.,][0-9]+)?) ([0-9]{2}:?[0-9]{2})$", re.ASCII)
_LONG_FRACTION = re.compile(r"([.,][0-9]{6})[0-9]+", re.ASCII)
_TEXT = re.compile(
    r"""(?xi) [0-9]{4}-[0-9]{2} (?: -[0-9]{2} (?:
          (?P<zone> Z | [+-][0-9]{2}:[0-9]{2} )
        | [T ] (?P<hour>[0-9]{2}) (?: (?P<colon>:?) (?P<minute>[0-9]{2})
            (?: (?P=colon) (?: (?P<leap>60(?:[.,][0-9]+)?) | [0-9]{2}(?:[.,][0-9]+)? ) )? )?
          (?: Z | [+-][0-9]{2} (?: :?[0-9]{2} )? )?
    )? )?""",
    re.ASCII,
)
_COMMON = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,12})?"
    r"(?:Z|[+-][0-9]{2}:[0-9]{2})?",
    re.ASCII,
)
_ISO = isoparser()
_UNITS: Final = {
    "seconds": (10**11, Decimal(1000)),
    "milliseconds": (10**14, Decimal(1)),
    "microseconds": (10**17, Decimal("1e-3")),
    "nanoseconds": (10**20, Decimal("1e-6")),
}
"""Units of time since 1970: the number that one stays below until the year 5138, and its milliseconds."""

ACCEPTED = "ISO 8601 (such as 2011-09-12T21:33:12Z) or milliseconds since 1970, in the years 1 to 9999"


def parse(value: object) -> int:
    """Read an instant from text or a number.

    Text is ISO 8601 with ``T`` or a blank, any length of fraction (cut to milliseconds), ``Z``,
    ``±HH:MM``, ``±HHMM``, ``±HH`` or no zone (UTC), or a date alone, with XML's zone or without one
    (midnight there, or UTC); or digits alone: milliseconds since 1970, like a number. A leap second
    (``23:59:60``) is the last millisecond of its minute. A blank before a final ``HH:MM`` is a ``+``
    that was lost in a query string.

    Raises `InvalidRequest`, whose message shows the value.
    """
    if isinstance(value, str):
        return _in_range(_from_text(value), value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if value != value or value in (float("inf"), float("-inf")):
            raise _refused(value)
        return _in_range(int(value // 1), value)
    raise _refused(value)


def parse_exact(text: str) -> float:
    """Read text in ISO 8601 as `parse` does, with the fraction of its milliseconds; NaN where it is none.

    Of a fraction of a second six digits count; a float holds them to within 0.2 microseconds. Digits alone
    are no ISO 8601.
    """
    if _COMMON.fullmatch(text):
        try:
            found = exact(datetime.fromisoformat(_LONG_FRACTION.sub(r"\1", text)))
            return found if EARLIEST <= found < LATEST + 1 else math.nan
        except (ValueError, OverflowError):
            pass  # forms that fromisoformat refuses, such as 24:00
    try:
        return math.nan if _DIGITS.fullmatch(text) else float(parse(text))
    except InvalidRequest:
        return math.nan


def exact(moment: datetime) -> float:
    """Return the milliseconds since 1970 of a datetime (without zone: UTC), with their fraction."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) / _MILLISECOND


def parse_plausible(value: object) -> int:
    """Read an instant as `parse` does, but of numbers (and digits alone) only what milliseconds may be.

    Those are the ones from 1973 on, or as long before 1970, to the year 9999: below are seconds, above
    microseconds or nanoseconds, which the message of the `InvalidRequest` says.
    """
    number = _number(value) if not isinstance(value, str) or _DIGITS.fullmatch(value) else None
    if number is not None and (abs(number) < EARLIEST_PLAUSIBLE or not EARLIEST <= number <= LATEST):
        raise InvalidRequest(
            f"Got the time {shown(value)}, which {_as_units(number)}; accepted are milliseconds since 1970,"
            " from 1973 to 9999, or ISO 8601 (such as 2011-09-12T21:33:12Z)."
        )
    return parse(value)


def parse_any_unit(value: object) -> int:
    """Read an instant as `parse` does, but numbers in the unit that their magnitude tells.

    For protocols that leave the unit open, and clients that get it wrong: below 10^11 a number is
    seconds, below 10^14 milliseconds, below 10^17 microseconds, else nanoseconds; text of digits may have
    a fraction. Raises `InvalidRequest`.
    """
    number = _number(value)
    if number is None:
        return parse(value)
    for below, milliseconds in _UNITS.values():
        if abs(number) < below:
            return _in_range(math.floor(number * milliseconds), value)
    raise _refused(value)


def format(time: int) -> str:
    """Write an instant as ``2011-09-12T21:33:12.000Z``.

    A bucket may begin or end just outside the years 1 to 9999: such a year is written as ECMAScript does,
    ``+010000`` or ``-000001``, the year 0 as ``0000``.
    """
    cycles, rest = divmod(time, _CYCLE)
    moment = _EPOCH + rest * _MILLISECOND
    year = moment.year + cycles * 400
    shown_year = f"{year:04}" if 0 <= year <= 9999 else f"{year:+07}"
    return f"{shown_year}-{moment:%m-%dT%H:%M:%S}.{time % 1000:03}Z"


def from_datetime(moment: datetime) -> int:
    """Turn a datetime (without zone: UTC) into an instant, cutting to milliseconds."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // _MILLISECOND


def to_datetime(time: int) -> datetime:
    """Turn an instant into a datetime with zone UTC."""
    return _EPOCH + time * _MILLISECOND


def _from_text(text: str) -> int:
    if _COMMON.fullmatch(text):
        try:
            return from_datetime(datetime.fromisoformat(text))
        except (ValueError, OverflowError):
            pass  # refused below, or one of the forms that fromisoformat refuses
    if _DIGITS.fullmatch(text):
        return int(text)
    restored = _LONG_FRACTION.sub(r"\1", _LOST_PLUS.sub(r"\1+\2", text))
    found = _TEXT.fullmatch(restored)
    if found is None:
        raise _refused(text)
    if found["leap"]:
        return _leap_second(found, text)
    if found["zone"]:
        place = found.start("zone")
        restored = f"{restored[:place]}T00:00{restored[place:]}"
    return _from_iso(restored.upper(), text)


def _from_iso(restored: str, text: str) -> int:
    try:
        return from_datetime(datetime.fromisoformat(restored))
    except (ValueError, OverflowError):
        pass  # forms that fromisoformat refuses, such as 24:00
    try:
        return from_datetime(_ISO.isoparse(restored.replace(" ", "T", 1)))
    except (ValueError, OverflowError):
        raise _refused(text) from None


def _leap_second(found: re.Match[str], text: str) -> int:
    """Read a second 60, which only the last minute of a day has: of one in UTC, or where no zone says so."""
    start, end = found.span("leap")
    time = _from_iso(f"{found.string[:start]}59.999{found.string[end:]}".upper(), text)
    if (found["hour"], found["minute"]) != ("23", "59") and (time + 1) % _DAY:
        raise _refused(text)
    return time


def _number(value: object) -> Decimal | None:
    """Return a finite number, or text that is one; None for anything else."""
    if isinstance(value, str):
        return Decimal(value) if _NUMBER.fullmatch(value) else None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    number = Decimal(value) if isinstance(value, int) else Decimal(float.__repr__(value))  # as it was written
    return number if number.is_finite() else None


def _as_units(number: Decimal) -> str:
    """Say what a number is as milliseconds, and in which other unit it is a likely time."""
    times = {unit: math.floor(number * milliseconds) for unit, (_, milliseconds) in _UNITS.items()}
    own = times.pop("milliseconds")
    told = [f"is {format(own) if _is_instant(own) else 'beyond the years 1 to 9999'} as milliseconds"]
    likely = {unit: time for unit, time in times.items() if EARLIEST_PLAUSIBLE <= abs(time) <= LATEST}
    told += [f"{format(time)} as {unit}" for unit, time in (likely or times).items() if _is_instant(time)]
    return ", ".join(told[:2])


def _is_instant(time: int) -> bool:
    return EARLIEST <= time <= LATEST


def _in_range(time: int, shown_as: object) -> int:
    if _is_instant(time):
        return time
    raise _refused(shown_as)


def _refused(value: object) -> InvalidRequest:
    return InvalidRequest(f"Got the time {shown(value)}; accepted is {ACCEPTED}.")
