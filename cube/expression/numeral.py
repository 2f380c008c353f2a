"""Numbers of the expression language: from source text and back.

Their normal form: int where the value is integral and fits 64 bits, else float; there is no
minus zero. So equal numbers have one text, and the text of a number parses to the same number.
"""

from __future__ import annotations

import math

MIN_INTEGER = -(2**63)
MAX_INTEGER = 2**63 - 1
MAX_DIGITS = len(str(MAX_INTEGER))


def parse_number(text: str) -> int | float:
    """Return the number that an unsigned JavaScript literal stands for; infinite if it is too large.

    Digits alone are exact up to 64 bits; anything else is the nearest float, as in JavaScript.
    """
    return normal(int(text) if text.isdigit() and len(text) <= MAX_DIGITS else float(text))


def normal(number: int | float) -> int | float:
    """Return the normal form of a number, infinite ones included."""
    if isinstance(number, int):
        return number if MIN_INTEGER <= number <= MAX_INTEGER else float(number)
    return int(number) if number.is_integer() and MIN_INTEGER <= number <= MAX_INTEGER else number


def print_number(number: int | float) -> str:
    """Return the canonical text: the normal form's ``repr`` without "+".

    Raises ValueError for a number that is not finite.
    """
    try:
        number = normal(number)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"Got the number {number}; accepted are finite ones.")
    return repr(number).replace("+", "").removesuffix(".0")
