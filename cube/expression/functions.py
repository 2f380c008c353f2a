"""The functions of values: ``function(value, …)``. A new one is one entry of `FUNCTIONS`.

Grammar, errors, completions, explanation, the plain definition and whole columns read the entry. A result
that is not a finite number is no value, and so is that of a function with an argument that is none.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Function:
    """Computes a number from numbers.

    ``columns``: called with a column for each argument, all of shape (n,), NaN where there is no value;
    returns the results, shape (n,), each of its own row alone. ``plain``: the same of one event, by
    definition; called with finite numbers only; raises ArithmeticError or ValueError where there is no
    result. ``words``: what an explanation says, "{}" for each argument.
    """

    name: str
    columns: Callable[..., Floats]
    plain: Callable[..., float]
    words: str


@dataclass(frozen=True, slots=True)
class _Logarithm:
    """A logarithm to a whole base that no rounding brings to the other side of a power of the base.

    So ``floor`` of it is exact for every number, and it is a whole number for the powers alone: neither C's
    library nor a vectorised one promises that. ``powers``: the floats nearest to the base's powers from
    ``first`` on; beyond them lie 0 and infinity.
    """

    columns_log: Callable[[Floats], Floats]
    plain_log: Callable[[float], float]
    powers: Floats
    first: int

    def columns(self, numbers: Floats) -> Floats:
        found = self.columns_log(numbers)
        whole = np.rint(found)
        near = np.flatnonzero(np.abs(found - whole) < _NEAR)  # not where it is infinite, or NaN
        if len(near):
            exponents, given = whole[near], numbers[near]
            powers = self.powers[exponents.astype(np.intp) - self.first]
            found[near] = np.where(
                given == powers,
                exponents,
                np.where(
                    given < powers,
                    np.minimum(found[near], np.nextafter(exponents, -np.inf)),
                    np.maximum(found[near], np.nextafter(exponents, np.inf)),
                ),
            )
        return found

    def plain(self, number: float) -> float:
        found = self.plain_log(number)
        whole = round(found)
        if abs(found - whole) >= _NEAR:
            return found
        power = float(self.powers[whole - self.first])
        if number == power:
            return float(whole)
        if number < power:
            return min(found, math.nextafter(whole, -math.inf))
        return max(found, math.nextafter(whole, math.inf))


_NEAR: Final = 1e-9
"""A logarithm that is farther from a whole number is on the right side of it, whoever computes it."""

_LOG2 = _Logarithm(np.log2, math.log2, np.append(np.ldexp(1.0, np.arange(-1075, 1024)), np.inf), -1075)
_LOG10 = _Logarithm(np.log10, math.log10, np.array([float(f"1e{power}") for power in range(-325, 310)]), -325)

FUNCTIONS: dict[str, Function] = {
    each.name: each
    for each in (
        Function("abs", np.abs, abs, "the absolute value of {}"),
        Function("ceil", np.ceil, math.ceil, "the next whole number up from {}"),
        Function("floor", np.floor, math.floor, "the next whole number down from {}"),
        # Halves go to the even neighbour, as in IEEE 754 and in MongoDB's $round.
        Function("round", np.rint, round, "the nearest whole number to {}"),
        Function("sqrt", np.sqrt, math.sqrt, "the square root of {}"),
        Function("exp", np.exp, math.exp, "e to the power of {}"),
        Function("ln", np.log, math.log, "the natural logarithm of {}"),
        Function("log2", _LOG2.columns, _LOG2.plain, "the logarithm to base 2 of {}"),
        Function("log10", _LOG10.columns, _LOG10.plain, "the logarithm to base 10 of {}"),
    )
}
"""Every function by its name in the expression language."""
