"""Exact sums of many floats: cut into parts that add up without an error."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise
from math import ldexp

import numpy as np

from cube.columns.column import Rows
from cube.columns.segments import Cells
from cube.columns.values import Floats
from cube.model.exact_sums import exact_sum

_FEWEST = 64  # fewer values are added sooner one by one
_MOST_LIMBS, _FEWEST_BITS, _MOST_BITS, _MANTISSA_BITS = 6, 31, 50, 53
_WIDEST_EXPONENT = 700  # beyond it a sum, or a part of a value, might be no float


def exact_sums(values: Floats, edges: Rows) -> tuple[Floats, Floats]:
    """Return `exact_sum` of each run of finite values, as arrays of its two parts.

    ``edges``: where each run begins, the first at 0.
    """
    longest = int(np.diff(edges, append=len(values)).max(initial=0))
    totals = _totals(values, longest, lambda limb: np.add.reduceat(limb, edges))
    if totals is None:
        listed = values.tolist()
        return _columns(
            exact_sum(listed[start:stop]) for start, stop in pairwise([*edges.tolist(), len(listed)])
        )
    if len(totals) > 3:
        return _columns(map(exact_sum, zip(*(total.tolist() for total in totals), strict=True)))
    return _rounded(*totals)


def exact_totals(values: Floats, cells: Cells) -> Floats | None:
    """Return the exact sum, rounded, of the values in each cell in use; None where `exact_sums` is cheaper.

    What values are cut into adds up without an error in any order, so that no value need be put in one.
    """

    def add(limb: Floats) -> Floats:
        sums: Floats = np.bincount(cells.of_rows, limb, cells.count)[cells.used].astype(np.float64)
        return sums

    totals = _totals(values, int(cells.lengths.max(initial=0)), add)
    if totals is None or len(totals) > 3:
        return None
    high, low = _rounded(*totals)
    with np.errstate(all="ignore"):
        sums: Floats = high + low
    return sums


def _columns(sums: Iterable[tuple[float, float]]) -> tuple[Floats, Floats]:
    high, low = zip(*sums, strict=True)
    return np.array(high), np.array(low)


def _rounded(
    first: Floats, second: Floats | None = None, third: Floats | None = None
) -> tuple[Floats, Floats]:
    """Add up to three floats in each row, exactly: what `exact_sum` of each row is.

    After two passes of Knuth's sum, high + low + rest is the sum, and high is it rounded unless low is half
    a unit of high's last place: then the rest decides, and the row is added one by one.
    """
    if second is None:
        return first + 0.0, np.zeros(len(first))
    high, low = _two_sums(first, second)
    if third is None:
        return high + 0.0, low
    middle, rest = _two_sums(low, third)
    high, low = _two_sums(high, middle)
    unit = np.spacing(np.abs(high))
    tied = (rest != 0) & ((2 * np.abs(low) == unit) | (4 * np.abs(low) == unit))
    high, low = high + 0.0, low + rest
    for row in np.flatnonzero(tied).tolist():
        high[row], low[row] = exact_sum((float(first[row]), float(second[row]), float(third[row])))
    return high, low


def _two_sums(left: Floats, right: Floats) -> tuple[Floats, Floats]:
    """Add exactly, row by row: the rounded sums and their errors; see `cube.model.exact_sums.two_sum`."""
    total: Floats = left + right
    shadow = total - left
    return total, (left - (total - shadow)) + (right - shadow)


def _totals(values: Floats, most: int, add: Callable[[Floats], Floats]) -> list[Floats] | None:
    """Cut floats into parts until nothing is left of them; return what each part adds up to.

    ``most``: so many of a part are added up, at most; it has as many bits as then add up to 53, so that there
    are few parts. One is what is left when a constant is added and taken away again, whose last place is the
    part's: it is rounded there, and what is left of the value is exact (Rump, Ogita and Oishi, "Accurate
    floating-point summation", 2008, algorithm 3.2). None where few values, or values of very different sizes,
    make that dearer than to add one by one.
    """
    bits = min(_MOST_BITS, _MANTISSA_BITS - (most - 1).bit_length())
    if len(values) < _FEWEST or bits < _FEWEST_BITS:
        return None
    exponent = int(np.frexp(max(values.max(), -values.min()))[1]) - bits
    if abs(exponent) > _WIDEST_EXPONENT:
        return None
    totals: list[Floats] = []
    limb, left, rest = np.empty_like(values), np.empty_like(values), values
    while len(totals) < _MOST_LIMBS:
        constant = ldexp(1.5, exponent + _MANTISSA_BITS - 1)
        np.add(rest, constant, out=limb)
        np.subtract(limb, constant, out=limb)
        totals.append(add(limb))
        rest = np.subtract(rest, limb, out=left)
        if not rest.any():
            return totals
        exponent -= bits
    return None
