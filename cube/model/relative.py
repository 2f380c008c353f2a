"""Times of questions: instants, and times relative to now (``now``, ``-6h``, ``now-1d``, ``now+30m``).

This module is the only place that reads the latter. An event's own time is never relative: sent again
later it would be another.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from cube.errors import InvalidQuery, InvalidRequest, shown
from cube.model import duration, instant

ACCEPTED: Final = (
    "ISO 8601 (such as 2011-09-12T21:33:12Z), milliseconds since 1970, or a time relative to now, such as"
    " -6h, now or now-1d, in the years 1 to 9999"
)

YEARS: Final = range(1900, 2200)
"""Numbers that are rather a year than milliseconds."""

_LONGEST: Final = instant.LATEST - instant.EARLIEST
# A blank is a + that was lost in a query string.
_RELATIVE = re.compile(rf"(?:now|(?=[+ -]))(?:([+ -])({duration.PATTERN}))?", re.ASCII)


def parse(value: object, now: int) -> int:
    """Read a time as `instant.parse` does, or as words relative to ``now``, an instant.

    Words are ``now``, and a duration (see `cube.model.duration`) after a sign, with ``now`` before it or
    without. Digits alone are milliseconds since 1970, with a sign as well; but a year, as text or as a
    number, is refused: as milliseconds it would be in the first three seconds of 1970. Raises
    `InvalidRequest`.
    """
    if _is_year(value):
        raise InvalidRequest(_either(int(value)))  # type: ignore[call-overload]  # text or a number, then
    found = _RELATIVE.fullmatch(value) if isinstance(value, str) and len(value) <= 100 else None
    try:
        if found is None:
            return instant.parse(value)
        return instant.parse(now + (_signed(found) if found[2] else 0))
    except InvalidRequest:
        raise InvalidRequest(f"Got the time {shown(value)}; accepted is {ACCEPTED}.") from None


def read_time(raw: Mapping[str, Any], name: str, now: int) -> int | None:
    """Return a time of a request, which may be relative to now; None where it has none.

    Raises `InvalidQuery`.
    """
    if name not in raw:
        return None
    try:
        return parse(raw[name], now)
    except InvalidRequest as error:
        raise InvalidQuery(f"The parameter {name} is not a valid time. {error.message}", field=name) from None


def _is_year(value: object) -> bool:
    if isinstance(value, str):
        return len(value) == 4 and value.isascii() and value.isdigit() and int(value) in YEARS
    return isinstance(value, (int, float)) and value in YEARS


def _either(year: int) -> str:
    moment = instant.format(year)
    return f"Got the time {year}, a year or {moment} as milliseconds; accepted are {year}-01-01 and {moment}."


def _signed(found: re.Match[str]) -> int:
    length = duration.parse(found[2], _LONGEST)
    return -length if found[1] == "-" else length
