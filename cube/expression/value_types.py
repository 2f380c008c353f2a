"""The types of values, and what the parameters of functions take: a table.

Numbers, texts and truths (what a filter says) are told apart where the expression alone tells them; a field
may hold anything. What turns out at an event to be of another type than is taken is no value there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final
from zoneinfo import ZoneInfo

from cube.expression.nodes import Number, Text, Value
from cube.expression.operators import compile_pattern


class ValueType(Enum):
    """What a value is, as an error calls it."""

    NUMBER = "a number"
    TEXT = "a text"
    TRUTH = "a condition"
    ANY = "a field"


@dataclass(frozen=True, slots=True)
class Accepted:
    """What a function takes in one place.

    ``words``: how an error calls it. ``accepts``: the types of what is computed. ``read``: of a constant,
    which is the only thing then taken; returns what the function is called with, and raises ValueError, or
    `InvalidQuery` with the reason, for one that is not accepted.
    """

    words: str
    accepts: frozenset[ValueType] = frozenset()
    read: Callable[[Value], Any] | None = None


TIME_UNITS: Final = {"s": 1e3, "ms": 1.0, "us": 1e-3, "ns": 1e-6}
"""The milliseconds of each unit of a time that is a number."""


def _count(value: Value) -> int:
    if not isinstance(value, Number) or not isinstance(value.value, int) or not 0 <= value.value <= 10_000:
        raise ValueError
    return value.value


def _text(value: Value) -> str:
    if not isinstance(value, Text):
        raise ValueError
    return value.value


def _zone(value: Value) -> ZoneInfo:
    try:
        return ZoneInfo(_text(value))
    except (OSError, LookupError) as error:  # a folder of zones, or an unknown one
        raise ValueError from error


_NUMBERS = frozenset((ValueType.NUMBER, ValueType.TRUTH, ValueType.ANY))
_TEXTS = frozenset((ValueType.TEXT, ValueType.ANY))

NUMBER: Final = Accepted("a number", _NUMBERS)
TEXT: Final = Accepted("a text", _TEXTS)
SCALAR: Final = Accepted("a value", _NUMBERS | _TEXTS)
CONDITION: Final = Accepted("a filter", frozenset((ValueType.TRUTH,)))
COUNT: Final = Accepted("a whole number from 0 to 10000", read=_count)
PATTERN: Final = Accepted("a pattern, as a string", read=lambda value: compile_pattern(_text(value)))
UNIT: Final = Accepted('a unit ("s", "ms", "us", "ns")', read=lambda value: _unit(_text(value)))
ZONE: Final = Accepted('a time zone such as "Europe/Berlin"', read=_zone)


def _unit(text: str) -> float:
    if text not in TIME_UNITS:
        raise ValueError
    return TIME_UNITS[text]
