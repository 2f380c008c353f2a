"""Exact sums of many floats: cut into whole numbers that add up without an error."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from cube.columns.column import Rows
from cube.columns.values import Floats
from cube.model.reduce import exact_sum

_FEWEST = 64  # fewer values are added sooner one by one
_MOST_VALUES = 2**22  # so many numbers of 31 bits add up below 2**53
_MOST_LIMBS, _LIMB_BITS = 6, 31
_WIDEST_EXPONENT = 700  # beyond it a sum, or a part of a value, might be no float


def exact_sums(values: Floats, edges: Rows) -> list[tuple[float, float]]:
    """Return `exact_sum` of each run of finite values; ``edges``: where each begins, the first at 0."""
    limbs = _limbs(values)
    if limbs is None:
        listed = values.tolist()
        return [exact_sum(listed[start:stop]) for start, stop in pairwise([*edges.tolist(), len(listed)])]
    totals = [np.ldexp(np.add.reduceat(limb, edges), exponent).tolist() for limb, exponent in limbs]
    return [exact_sum(parts) for parts in zip(*totals, strict=True)]


def _limbs(values: Floats) -> list[tuple[Floats, int]] | None:
    """Cut floats into (whole numbers of 31 bits, exponent of two), until nothing is left of them.

    None where few values, or values of very different sizes, make that dearer than to add one by one.
    """
    if not _FEWEST <= len(values) < _MOST_VALUES:
        return None
    exponent = int(np.frexp(np.abs(values).max())[1]) - _LIMB_BITS
    if abs(exponent) > _WIDEST_EXPONENT:
        return None
    limbs: list[tuple[Floats, int]] = []
    rest = values
    while len(limbs) < _MOST_LIMBS:
        limb: Floats = np.rint(np.ldexp(rest, -exponent))
        limbs.append((limb, exponent))
        rest = rest - np.ldexp(limb, exponent)
        if not rest.any():
            return limbs
        exponent -= _LIMB_BITS
    return None
