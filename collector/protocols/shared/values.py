"""Numbers as protocols write them: as text, and beyond 64 bits."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Final

from cube.model.event import MAX_DATA_DEPTH, MAX_INTEGER, MIN_INTEGER

LONGEST: Final = 400
"""Python's clients write large floats without an exponent: up to 309 digits."""

_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?", re.ASCII)
_WHOLE = re.compile(r"[+-]?[0-9]+", re.ASCII)


def decimal(text: str) -> int | float:
    """Read a finite decimal number; whole ones within 64 bits become integers. Raises `ValueError`."""
    if len(text) > LONGEST or not _NUMBER.fullmatch(text):
        raise ValueError
    if _WHOLE.fullmatch(text) and MIN_INTEGER <= int(text) <= MAX_INTEGER:
        return int(text)
    number = float(text)
    if not math.isfinite(number):
        raise ValueError
    return number


def doubled(value: Any, depth: int = MAX_DATA_DEPTH) -> Any:
    """Return a JSON value with a double for each integer beyond 64 bits.

    One beyond the range of a double, and what is deeper than data may be, stays as it is: `Event.parse`
    refuses it.
    """
    if isinstance(value, int):
        return value if MIN_INTEGER <= value <= MAX_INTEGER else _double(value)
    if depth and isinstance(value, Mapping):
        return {name: doubled(item, depth - 1) for name, item in value.items()}
    if depth and isinstance(value, list | tuple):
        return [doubled(item, depth - 1) for item in value]
    return value


def _double(value: int) -> int | float:
    try:
        return float(value)
    except OverflowError:
        return value
