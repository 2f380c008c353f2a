"""Numbers and strings of the expression language: from source text and back.

The normal form of numbers: int where the value is integral and fits 64 bits, else float; there is no
minus zero. So equal numbers have one text, and the text of a number parses to the same number.
"""

from __future__ import annotations

import json
import math
import re

from cube.model.event import MAX_INTEGER, MIN_INTEGER

MAX_DIGITS = len(str(MAX_INTEGER))

_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|(0)(?![0-9])|([^ux0-9]))", re.DOTALL)
_BACKSLASH_RUN = re.compile(r"[^\\]+")
_NAMED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_SURROGATE = re.compile(r"[\ud800-\udfff]")


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


class BadStringError(ValueError):
    """The inside of a string is wrong at `offset` characters from its beginning."""

    def __init__(self, problem: str, offset: int) -> None:
        super().__init__(problem)
        self.problem = problem
        self.offset = offset


def unquote(inside: str) -> str:
    r"""Return what the text between two quotes stands for.

    Escapes: ``\b \f \n \r \t \v \0 \xHH \uHHHH``; before any other character but a digit, a
    backslash stands for that character. Two halves of a surrogate pair join. Raises `BadStringError` for
    another escape and for half a pair alone.
    """
    if "\\" not in inside and not _SURROGATE.search(inside):
        return inside
    parts: list[str] = []
    offset = 0
    while offset < len(inside):
        found = _ESCAPE.match(inside, offset) or _BACKSLASH_RUN.match(inside, offset)
        if found is None:
            raise BadStringError(r"Expected an escape such as \n, \x41 or \u0041", offset)
        parts.append(_unescape(found) if found.re is _ESCAPE else found[0])
        offset = found.end()
    return _join_surrogates("".join(parts))


def quote(text: str) -> str:
    r"""Return the canonical string literal: double quotes; ``"``, ``\`` and below U+0020 escaped.

    Raises ValueError for half a surrogate pair alone, which no store keeps.
    """
    if _SURROGATE.search(text):
        raise ValueError(f"Got half a surrogate pair in {quote_anything(text)}; accepted is Unicode.")
    return json.dumps(text, ensure_ascii=False)


def quote_anything(text: str) -> str:
    """Quote for a message: like `quote`, and half a surrogate pair is shown by its escape."""
    return _SURROGATE.sub(lambda half: f"\\u{ord(half[0]):04x}", json.dumps(text, ensure_ascii=False))


def _unescape(found: re.Match[str]) -> str:
    unit, byte, null, other = found.groups()
    if null:
        return "\0"
    return _NAMED.get(other, other) if other else chr(int(unit or byte, 16))


def _join_surrogates(text: str) -> str:
    try:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
    except UnicodeDecodeError:
        raise BadStringError("Got half a surrogate pair in the string", 0) from None
