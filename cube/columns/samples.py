"""What a reduction takes of a block: rows, and one number or key for each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import assert_never

import numpy as np
import numpy.typing as npt

from cube.columns.block import Block
from cube.columns.column import Booleans, Rows, factorise, finite, stored
from cube.columns.functions import FUNCTIONS, Floats
from cube.columns.kinds import Kind
from cube.columns.values import canonical
from cube.expression.nodes import Call, Field, Negation, Number, Product, Sum, Value

_SUM: dict[str, Callable[[Floats, Floats], Floats]] = {"+": np.add, "-": np.subtract}
_PRODUCT: dict[str, Callable[[Floats, Floats], Floats]] = {"*": np.multiply, "/": np.divide}


def numbers(value: Value | None, block: Block) -> Floats:
    """Evaluate a value for every row, as `values.compute` defines it; NaN for nothing, shape (n,)."""
    if value is None:
        return np.ones(len(block))
    with np.errstate(all="ignore"):
        return _numbers(value, block)


def present(value: Value | None, block: Block) -> Booleans:
    """Tell which rows have what "count" and "distinct" take: a field that is there and not null, or a number.

    Without a value every row has.
    """
    if isinstance(value, Field):
        return ~np.isin(stored(block, value.path).kinds, (Kind.MISSING, Kind.NULL))
    return ~np.isnan(numbers(value, block))


def keys(value: Value | None, block: Block, rows: Rows) -> tuple[npt.NDArray[np.int64], list[bytes]]:
    """Return the canonical keys of what "distinct" takes of some rows: codes, and the key of each code."""
    if isinstance(value, Field):
        return stored(block, value.path).factorised(rows, canonical)
    return factorise(numbers(value, block)[rows].tolist(), canonical)


def _numbers(value: Value, block: Block) -> Floats:
    match value:
        case Field(path):
            return stored(block, path).numbers
        case Number(constant):
            return np.full(len(block), float(constant))
        case Call(function, argument):
            return finite(FUNCTIONS[function](_numbers(argument, block)))
        case Negation(operand):
            return -_numbers(operand, block)
        case Sum(terms):
            return _folded(terms, _SUM, block)
        case Product(factors):
            return _folded(factors, _PRODUCT, block)
        case _:
            assert_never(value)


def _folded(
    parts: Sequence[tuple[str, Value]], steps: dict[str, Callable[[Floats, Floats], Floats]], block: Block
) -> Floats:
    total = _numbers(parts[0][1], block)
    for sign, part in parts[1:]:
        total = finite(steps[sign](total, _numbers(part, block)))
    return total
