"""Bins: the intervals of a value that the groups of ``.group(floor(…))`` stand for.

``floor(ms / 100)`` makes groups of what is in [0, 100), [100, 200) …, ``floor(log2(ms))`` of what is in
[1, 2), [2, 4) …: so who draws a distribution can say where its bins begin and end.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from cube.expression.nodes import Call, Number, Product, Value

_BASES: Final = {"log2": 2, "log10": 10}


@dataclass(frozen=True, slots=True)
class Bins:
    """Which values of ``value`` a group g holds: from low (included) to high (not included).

    With x = ``step`` * g, low is x and high x + ``width``; with a ``base`` they are the base to the power of
    these. Both are positive.
    """

    value: Value
    base: int | None
    step: float
    width: float


def bins(group: Value) -> Bins | None:
    """Return the bins of a group that is a value rounded down; None where it is another one.

    Around it, within and about a logarithm may stand factors: ``floor(ms / 100) * 100``,
    ``floor(log2(ms) * 4)``.
    """
    rounded, outer = _scaled(group)
    if not isinstance(rounded, Call) or rounded.function != "floor":
        return None
    value, inner = _scaled(rounded.arguments[0])
    try:
        step, width = float(inner * outer), float(inner)
    except OverflowError:
        return None
    if step <= 0 or width <= 0:
        return None
    if isinstance(value, Call) and value.function in _BASES:
        return Bins(value.arguments[0], _BASES[value.function], step, width)
    return Bins(value, None, step, width)


def _scaled(value: Value) -> tuple[Value, Fraction]:
    """Return a value without its constant factors, and what it is divided by in all; 0 by 0."""
    if not isinstance(value, Product):
        return value, Fraction(1)
    others = [(scale, part) for scale, part in value.factors if not isinstance(part, Number)]
    if not others or others[0][0] != "*":
        return value, Fraction(1)
    divisor = Fraction(1)
    for scale, part in value.factors:
        if isinstance(part, Number):
            number = Fraction(part.value)
            divisor = divisor * number if scale == "/" else divisor / number if number else Fraction(0)
    return others[0][1] if len(others) == 1 else Product(tuple(others)), divisor
