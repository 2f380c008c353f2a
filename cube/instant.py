"""Instants: whole milliseconds since 1970-01-01T00:00Z, years 1 to 9999.

Inside Cube every time is such an ``int``. This module is the only place that reads and writes
their text forms (ISO 8601).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from dateutil.parser import isoparser

from cube.errors import InvalidRequest

EARLIEST = -62_135_596_800_000  # 0001-01-01T00:00:00.000Z
LATEST = 253_402_300_799_999  # 9999-12-31T23:59:59.999Z

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_DIGITS = re.compile(r"-?[0-9]{1,20}", re.ASCII)
_DASHED_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?![0-9])|[0-9]{4}-[0-9]{2}$", re.ASCII)
_LOST_PLUS = re.compile(r"(:[0-9]{2}(?:[.,][0-9]+)?) ([0-9]{2}:?[0-9]{2})$", re.ASCII)
_LONG_FRACTION = re.compile(r"([.,][0-9]{6})[0-9]+", re.ASCII)
_ISO = isoparser()

ACCEPTED = "ISO 8601 (such as 2011-09-12T21:33:12Z) or milliseconds since 1970, in the years 1 to 9999"


def parse(value: object) -> int:
    """Read an instant from text or a number.

    Text is ISO 8601 with ``T`` or a blank, any length of fraction (cut to milliseconds), ``Z``,
    ``±HH:MM``, ``±HHMM``, ``±HH`` or no zone (UTC), or a date alone (midnight UTC); or digits
    alone: milliseconds since 1970, like a number. A blank before a final ``HH:MM`` is a ``+``
    that was lost in a query string.

    Raises `InvalidRequest`, whose message shows the text.
    """
    if isinstance(value, str):
        return _in_range(_from_text(value), value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if value != value or value in (float("inf"), float("-inf")):
            raise _refused(value)
        return _in_range(int(value // 1), value)
    raise _refused(value)


def format(time: int) -> str:
    """Write an instant as ``2011-09-12T21:33:12.000Z``."""
    moment = _EPOCH + time * _MILLISECOND
    return f"{moment.year:04}-{moment:%m-%dT%H:%M:%S}.{time % 1000:03}Z"


def from_datetime(moment: datetime) -> int:
    """Turn a datetime (without zone: UTC) into an instant, cutting to milliseconds."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // _MILLISECOND


def to_datetime(time: int) -> datetime:
    """Turn an instant into a datetime with zone UTC."""
    return _EPOCH + time * _MILLISECOND


def _from_text(text: str) -> int:
    if _DIGITS.fullmatch(text):
        return int(text)
    restored = _LONG_FRACTION.sub(r"\1", _LOST_PLUS.sub(r"\1+\2", text))
    if not _DASHED_DATE.match(restored):
        raise _refused(text)
    try:
        return from_datetime(datetime.fromisoformat(restored))
    except (ValueError, OverflowError):
        pass  # forms that fromisoformat refuses, such as 24:00
    try:
        return from_datetime(_ISO.isoparse(restored.replace(" ", "T", 1)))
    except (ValueError, OverflowError):
        raise _refused(text) from None


def _in_range(time: int, shown: object) -> int:
    if EARLIEST <= time <= LATEST:
        return time
    raise _refused(shown)


def _refused(value: object) -> InvalidRequest:
    shown = repr(value)
    return InvalidRequest(f"Got the time {shown[:80]}; accepted is {ACCEPTED}.")
