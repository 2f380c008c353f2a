"""Numbers and ids as OTLP's JSON writes them.

Sources: the OTLP specification (ids in hex), and the "ProtoJSON Format" page of protobuf: integers of 64 bits
are text, but numbers are accepted, exponents and zero fractions too (``3.0``, ``"1.76e18"``); doubles have
the texts NaN and ±Infinity.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Final, TypeAlias

from collector.protocols.otlp.record import number
from cube.errors import InvalidRequest, described
from cube.model.event import MAX_INTEGER, MIN_INTEGER

Number: TypeAlias = int | float | str
"""A number as it is given; an integer may be of any length."""

_NUMBER = re.compile(r"[+-]?[0-9]{1,400}(?:\.[0-9]{0,400})?(?:[eE][+-]?[0-9]{1,3})?", re.ASCII)
_HEX = re.compile(r"[0-9A-Fa-f]+", re.ASCII)
_NOT_FINITE: Final = frozenset(("nan", "infinity", "-infinity", "inf", "-inf"))


def integer(given: Number, low: int, high: int) -> int:
    """Read an integer from `low` to `high`. Raises `InvalidRequest`."""
    value = _whole(given)
    if not low <= value <= high:
        raise InvalidRequest(f"Got the integer {described(given)}; accepted are those from {low} to {high}.")
    return value


def wide_integer(given: Number) -> int | float:
    """Read an integer; one beyond 64 bits as a double, which is what it most likely was."""
    value = _whole(given)
    return value if MIN_INTEGER <= value <= MAX_INTEGER else float(_decimal(given))


def double(given: Number | None) -> float | str:
    """Read a double; what is not finite as text. Null is NaN: so JavaScript writes it, as JSON."""
    if given is None:
        return number(math.nan)
    if given.__class__ is float or (isinstance(given, str) and given.lower() in _NOT_FINITE):
        return number(float(given))
    return float(_decimal(given))


def enum(given: Number, names: Mapping[str, int]) -> int:
    """Read a value of an enumeration, by its number or its name; an unknown one as its number."""
    if isinstance(given, str) and given in names:
        return names[given]
    return integer(given, -(2**31), 2**31 - 1)


def hexadecimal(given: str | None, digits: int) -> str:
    """Return an id; one that is not valid counts as absent, as the protocol says."""
    if given is None or len(given) != digits or not _HEX.fullmatch(given) or not given.strip("0"):
        return ""
    return given.lower()


def _whole(given: Number) -> int:
    if given.__class__ is int:
        return given
    value = _decimal(given)
    if value != value.to_integral_value():
        raise InvalidRequest(f"Got {described(given)}; accepted is an integer, as text or a number.")
    return int(value)


def _decimal(given: Number) -> Decimal:
    """Read a number that a double can hold."""
    text = given.strip() if isinstance(given, str) else repr(given)
    if not _NUMBER.fullmatch(text) or not math.isfinite(float(text)):
        raise InvalidRequest(f"Got {described(given)}; accepted is a number that a double can hold.")
    return Decimal(text)
