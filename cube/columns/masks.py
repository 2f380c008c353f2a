"""Operators of filters over whole columns: which rows pass.

Numbers are compared as one array, text once for each different text, null and missing once, and the
elements of arrays as one column. Rows whose path may meet an array on the way, and numbers that floats
cannot tell apart, go through the plain definition in `matching`, row by row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from itertools import chain
from typing import Any

import numpy as np

from cube.columns.column import Booleans, Column, Rows
from cube.columns.matching import compares_one, passes_any, reached
from cube.columns.values import EXACT_BOUND, Floats, Kind, kind_of
from cube.expression.nodes import Literal
from cube.expression.operators import Operator, OrderOperator, TextOperator
from cube.model.event import ABSENT

_EQUALITY = (False, True, False)
_COMPARE: dict[tuple[bool, ...], Callable[[Floats, float], Booleans]] = {
    _EQUALITY: np.equal,
    (False, False, True): np.greater,
    (False, True, True): np.greater_equal,
    (True, False, False): np.less,
    (True, True, False): np.less_equal,
    (True, False, True): lambda numbers, literal: (numbers < literal) | (numbers > literal),
    (True, True, True): lambda numbers, _: ~np.isnan(numbers),
    (False, False, False): lambda numbers, _: np.zeros(numbers.shape, dtype=np.bool_),
}
"""By whether an operator passes for what is below, equal to, and above its literal; NaN is neither."""

_NO_ROWS = np.zeros(0, dtype=np.intp)
_LONE = ((Kind.MISSING, ABSENT), (Kind.NULL, None))


def existing(column: Column) -> Booleans:
    """Tell which rows of a column, as filters look at it, have something; null counts."""
    passed: Booleans = column.kinds != Kind.MISSING
    _judge_arrays(passed, column, lambda values: any(value is not ABSENT for value in values))
    return passed


def compared(column: Column, operator: Operator, literal: Literal) -> Booleans:
    """Tell which rows of a column, as filters look at it, pass an operator.

    Raises `InvalidQuery` for a pattern that RE2 refuses.
    """
    passed = _compared_singly(column, operator, literal)
    if column.whole:
        _judge_whole_arrays(passed, column, operator, literal)
    else:
        _judge_arrays(passed, column, lambda values: passes_any(operator, values, literal))
    return ~passed if operator.negated else passed


def _compared_singly(column: Column, operator: Operator, literal: Literal) -> Booleans:
    passed = np.zeros(len(column.values), dtype=np.bool_)
    for kind, lone in _LONE:
        if compares_one(operator, lone, literal):
            passed |= column.kinds == kind
    kinds = {kind_of(each) for each in _alternatives(operator, literal)}
    only = column.kind
    for kind in kinds & _JUDGES.keys() if only is None else kinds & _JUDGES.keys() & {only}:
        _JUDGES[kind](passed, column, operator, literal)
    return passed


def _judge_booleans(passed: Booleans, column: Column, operator: Operator, literal: Literal) -> None:
    for value in (False, True):
        if compares_one(operator, value, literal):
            passed |= (column.kinds == Kind.BOOL) & (column.numbers == value)


def _judge_arrays_alone(passed: Booleans, column: Column, operator: Operator, literal: Literal) -> None:
    for row in _arrays(column).tolist():
        passed[row] = compares_one(operator, column.values[row], literal)


def _judge_whole_arrays(passed: Booleans, column: Column, operator: Operator, literal: Literal) -> None:
    """Let an array pass, too, if any of its elements does: all elements as one column."""
    rows = _arrays(column)
    if not len(rows):
        return
    arrays = column.at(rows)
    owners = np.repeat(rows, np.fromiter(map(len, arrays), np.intp, len(rows)))
    elements = Column(list(chain.from_iterable(arrays)))
    passed[owners[_compared_singly(elements, operator, literal)]] = True


def _arrays(column: Column) -> Rows:
    if column.kind not in (None, Kind.ARRAY):
        return _NO_ROWS
    return np.flatnonzero(column.kinds == Kind.ARRAY)


def _alternatives(operator: Operator, literal: Literal) -> tuple[Literal, ...]:
    is_list = isinstance(operator, OrderOperator) and operator.any_of
    return literal if is_list and isinstance(literal, tuple) else (literal,)


def _truths(operator: Operator) -> tuple[bool, ...]:
    if isinstance(operator, TextOperator):
        return False, False, False
    return tuple(map(operator.passes, (-1, 0, 1)))


def _judge_numbers(passed: Booleans, column: Column, operator: Operator, literal: Literal) -> None:
    truths = _truths(operator)
    wanted = [
        float(each)  # type: ignore[arg-type]  # a number
        for each in _alternatives(operator, literal)
        if kind_of(each) is Kind.NUMBER
    ]
    is_told = max(map(abs, wanted)) < EXACT_BOUND  # a literal that no two numbers as one float are around
    if is_told and column.is_exact:
        passed |= _passing(truths, column.numbers, wanted)
        return
    numbers = column.kinds == Kind.NUMBER
    if is_told:
        exact = numbers & ~np.isnan(column.numbers)
    else:
        exact = numbers & (np.abs(column.numbers) < EXACT_BOUND)
    passed |= exact & _passing(truths, column.numbers, wanted)
    for row in np.flatnonzero(numbers & ~exact).tolist():
        passed[row] = compares_one(operator, column.values[row], literal)


def _passing(truths: tuple[bool, ...], numbers: Floats, wanted: Sequence[float]) -> Booleans:
    if truths == _EQUALITY and len(wanted) > 1:
        return np.isin(numbers, wanted)
    return reduce(np.logical_or, (_COMPARE[truths](numbers, number) for number in wanted))


def _judge_strings(passed: Booleans, column: Column, operator: Operator, literal: Literal) -> None:
    if _truths(operator) == _EQUALITY:
        wanted = frozenset(each for each in _alternatives(operator, literal) if isinstance(each, str))
        passed |= column.has_text_of(wanted)
        return
    rows = np.flatnonzero(column.kinds == Kind.STRING)
    if not len(rows):
        return
    codes, texts = column.text_codes(rows)
    used = np.bincount(codes, minlength=len(texts)).tolist()
    judged = [
        bool(count) and compares_one(operator, text, literal) for text, count in zip(texts, used, strict=True)
    ]
    passed[rows] = np.array(judged, dtype=np.bool_)[codes]


def _judge_arrays(passed: Booleans, column: Column, judge: Callable[[Any], bool]) -> None:
    for row in _arrays(column).tolist():
        passed[row] = judge(reached(column.origin[row], column.rest))


_JUDGES: dict[Kind, Callable[[Booleans, Column, Operator, Literal], None]] = {
    Kind.NUMBER: _judge_numbers,
    Kind.BOOL: _judge_booleans,
    Kind.STRING: _judge_strings,
    Kind.ARRAY: _judge_arrays_alone,
}
