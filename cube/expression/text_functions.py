"""What functions make of one text: of each different text of a column once."""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime
from typing import Any

from cube.expression.operators import Pattern
from cube.model import instant

_NUMBER = re.compile(
    r"[ \t\r\n]*([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,9})?)[ \t\r\n]*", re.ASCII
)


def read_number(text: str) -> float:
    """Return the number that a text is, in decimal digits with a point or an exponent; NaN for none.

    Blanks around it do not matter. Hexadecimal, thousands in groups, "inf" and "nan" are none.
    """
    found = _NUMBER.fullmatch(text)
    number = math.nan if found is None else float(found[1])
    return number if math.isfinite(number) else math.nan


def read_time(text: str, milliseconds: float | None = None) -> float:
    """Return the milliseconds since 1970 of a time in ISO 8601, with their fractions; NaN for none.

    ``milliseconds``: those of the unit that a text of digits is in; without them such a text is none.
    """
    number = read_number(text)
    if number == number:
        return math.nan if milliseconds is None else number * milliseconds
    return instant.parse_exact(text)


def time_of(value: Any, _milliseconds: float | None = None) -> float:
    """Return the milliseconds since 1970 of a stored date; NaN for anything else."""
    if isinstance(value, datetime):
        moment = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
        return instant.exact(moment)
    return (
        instant.exact(datetime(value.year, value.month, value.day, tzinfo=UTC))
        if isinstance(value, date)
        else math.nan
    )


def length_of(value: Any) -> float:
    """Return the number of elements of an array; NaN for anything else."""
    return float(len(value)) if isinstance(value, list) else math.nan


def prefix(text: str, count: int) -> str:
    """Return the first characters of a text, at most so many."""
    return text[:count]


def matched(text: str, pattern: Pattern) -> str | None:
    """Return what the first group of a pattern captures where it is found first, or all that it finds.

    None where it is not found, or the group is not part of what it finds.
    """
    return pattern.captured(text)
