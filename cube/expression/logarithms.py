"""Logarithms that are exact where it matters: at the powers of their base, and on either side of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Logarithm:
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

LOG2: Final = Logarithm(np.log2, math.log2, np.append(np.ldexp(1.0, np.arange(-1075, 1024)), np.inf), -1075)
LOG10: Final = Logarithm(
    np.log10, math.log10, np.array([float(f"1e{power}") for power in range(-325, 310)]), -325
)
