"""Adds floats up exactly: sums that do not depend on the order in which they were added."""

from __future__ import annotations

import math
from collections.abc import Iterable

_SCALE = 2.0**-64  # exact to multiply with; no count of floats so scaled adds up to infinity


def two_sum(a: float, b: float) -> tuple[float, float]:
    """Add exactly: the rounded sum and its error (Knuth, TAOCP 2, 4.2.2, theorem B)."""
    total = a + b
    shadow = total - a
    return total, (a - (total - shadow)) + (b - shadow)


def exact_sum(parts: Iterable[float]) -> tuple[float, float]:
    """Add floats exactly: the rounded sum and what rounding left over, whatever their order.

    A sum that no float can hold is infinite, or NaN where infinities cancel.
    """
    kept = list(parts)
    try:
        high = math.fsum(kept)
        return high, math.fsum([*kept, -high])
    except (OverflowError, ValueError):  # something on the way is beyond the largest float
        return _wide_sum(kept)


def _wide_sum(parts: list[float]) -> tuple[float, float]:
    if not all(map(math.isfinite, parts)):
        return sum(parts), 0.0
    scaled = [part * _SCALE for part in parts]
    high = math.fsum(scaled)
    return high / _SCALE, math.fsum([*scaled, -high]) / _SCALE
