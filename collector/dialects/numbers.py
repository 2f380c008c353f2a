"""Numbers that protocols write as text."""

from __future__ import annotations

import math
import re
from typing import Final

from cube.event import MAX_INTEGER, MIN_INTEGER

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
