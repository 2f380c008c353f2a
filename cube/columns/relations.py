"""Comparisons of two columns, row by row, as `cube.columns.matching.relates` defines them."""

from __future__ import annotations

import numpy as np

from cube.columns.column import Booleans, Column, Rows, of_rows
from cube.columns.matching import relates
from cube.columns.packed_column import Codes
from cube.columns.values import EXACT_BOUND, Kind
from cube.expression.operators import Operator, OrderOperator


def related(left: Column, right: Column, operator: Operator) -> Booleans:
    """Tell which rows pass an operator that is asked of one column's value and of another's."""
    if not isinstance(operator, OrderOperator):
        raise TypeError(f"{operator.name} takes a literal")
    passed = np.zeros(len(left.kinds), dtype=np.bool_)
    same = left.kinds == right.kinds
    table = np.array([operator.passes(sign) for sign in (-1, 0, 1)])
    for kind, orders in ((Kind.NUMBER, _of_numbers), (Kind.BOOL, _of_numbers), (Kind.STRING, _of_texts)):
        rows = np.flatnonzero(same & (left.kinds == kind))
        if len(rows):
            passed[rows] = table[orders(left, right, rows) + 1]
    if operator.negated:
        passed = ~passed
    _judge_inexact(passed, left, right, same, operator)
    return passed


def _judge_inexact(
    passed: Booleans, left: Column, right: Column, same: Booleans, operator: OrderOperator
) -> None:
    """Compare as they are stored the numbers that floats do not tell apart, or cannot hold."""
    rows = np.flatnonzero(same & (left.kinds == Kind.NUMBER))
    if not len(rows):
        return
    ones, others = of_rows(left.numbers, rows), of_rows(right.numbers, rows)
    alike = (ones == others) & (np.abs(ones) >= EXACT_BOUND)
    rows = rows[alike | np.isnan(ones) | np.isnan(others)]
    for row, one, other in zip(rows.tolist(), left.at(rows), right.at(rows), strict=True):
        passed[row] = relates(operator, one, other)


def _of_numbers(left: Column, right: Column, rows: Rows) -> Codes:
    with np.errstate(invalid="ignore"):
        ones, others = of_rows(left.numbers, rows), of_rows(right.numbers, rows)
        return (ones > others).astype(np.int32) - (ones < others)


def _of_texts(left: Column, right: Column, rows: Rows) -> Codes:
    """Compare texts by their places among all that are there: by code points, as Python sorts them."""
    (ones, some), (others, more) = left.text_codes(rows), right.text_codes(rows)
    used = {
        *(some[code] for code in np.flatnonzero(np.bincount(ones)).tolist()),
        *(more[code] for code in np.flatnonzero(np.bincount(others)).tolist()),
    }
    places = {text: place for place, text in enumerate(sorted(used))}
    ours, theirs = (
        np.array([places.get(text, -1) for text in texts], dtype=np.int32)[codes]
        for texts, codes in ((some, ones), (more, others))
    )
    return (ours > theirs).astype(np.int32) - (ours < theirs)
