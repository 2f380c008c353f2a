"""What a filter on a field looks at in one event, and what passes its operator.

A filter on ``f`` means what MongoDB's query operators mean on ``d.f``; only ``re`` is our own (RE2).
What each operator passes is in `cube.expression.operators`; here is what holds for all of them.
Sources: MongoDB's manual, "Query an Array", "Query for Null or Missing Fields" and "Comparison/Sort
Order"; details as in its matcher (``ElementPath`` and ``ComparisonMatchExpression``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any, Final

from cube.columns.values import Kind, Path, element, kind_of
from cube.expression.nodes import Element, Literal
from cube.expression.operators import Operator, OrderOperator, TextOperator
from cube.model.event import ABSENT


def reached(value: Any, path: Path) -> Iterator[Any]:
    """Yield every value that a filter on a path looks at, `ABSENT` where an object lacks it.

    Arrays on the way are spread: their objects are looked into, and a number in the path is also an
    index. An array at the end yields its elements and itself. Arrays directly in arrays are entered
    by index only, and an element named by a final index is not spread again. A key chooses of the array
    that it stands after.
    """
    if not path:
        if isinstance(value, list):
            yield from value
        yield value
    elif isinstance(value, list):
        yield from _reached_in_array(value, path)
    elif isinstance(value, dict) and not isinstance(path[0], Element):
        yield from reached(value.get(str(path[0]), ABSENT), path[1:])
    else:
        yield ABSENT


def _reached_in_array(items: list[Any], path: Path) -> Iterator[Any]:
    if isinstance(path[0], Element):
        yield from reached(element(items, path[0]), path[1:])
        return
    for index, item in enumerate(items):
        if isinstance(item, dict):
            yield from reached(item, path)
        if index == path[0]:
            yield from _reached_by_index(item, path[1:])


def _reached_by_index(item: Any, rest: Path) -> Iterator[Any]:
    if not rest:
        yield item
    elif isinstance(item, dict):
        yield from reached(item, rest)
    elif isinstance(item, list):
        yield from _reached_in_array(item, rest)


def passes_any(operator: Operator, values: Iterator[Any], literal: Literal) -> bool:
    """Tell whether one of the values that a filter's path reaches passes its operator, or what it negates."""
    return any(compares_one(operator, value, literal) for value in values)


def compares_one(operator: Operator, value: Any, literal: Literal) -> bool:
    """Tell whether one value passes an operator, or what it negates."""
    if isinstance(operator, TextOperator):
        return isinstance(value, str) and isinstance(literal, str) and operator.passes(literal, value)
    if operator.any_of:
        return isinstance(literal, tuple) and any(_ordered(operator, value, each) for each in literal)
    return _ordered(operator, value, literal)


def relates(operator: Operator, left: Any, right: Any) -> bool:
    """Tell whether two values of an event pass an operator: numbers, texts or truths, of one kind.

    Where one is none of these, or is of another kind, they are not equal, and in no order.
    """
    if not isinstance(operator, OrderOperator):
        raise TypeError(f"{operator.name} takes a literal")
    kind = kind_of(left)
    is_one = kind in RELATED and kind is kind_of(right) and left == left and right == right
    found = order(left, right) if is_one else 0
    return operator.negated != (is_one and operator.passes((found > 0) - (found < 0)))


RELATED: Final = (Kind.NUMBER, Kind.STRING, Kind.BOOL)
"""The kinds of which values of an event compare."""


def _ordered(operator: OrderOperator, value: Any, literal: Literal) -> bool:
    kind, wanted = kind_of(value), kind_of(literal)
    if kind is Kind.MISSING and wanted is Kind.NULL:
        return operator.passes(0)
    if kind is not wanted or value != value:  # NaN, which no literal is
        return False
    found = order(value, literal)
    return operator.passes((found > 0) - (found < 0))


def order(left: Any, right: Any) -> int:
    """Return how a stored value stands to a literal: below 0, 0, or above 0.

    By kind, then by content: numbers exactly, whatever their types, with NaN below all; text by code
    points (as UTF-8 bytes are ordered); false before true; arrays element by element.
    """
    kind, wanted = kind_of(left), kind_of(right)
    if kind is not wanted:
        return kind - wanted
    if kind is Kind.ARRAY:
        return _array_order(left, right)
    if kind in (Kind.NUMBER, Kind.STRING, Kind.BOOL):
        return -1 if left != left else (left > right) - (left < right)
    return 0  # nulls: a literal is not of another kind


def _array_order(left: Sequence[Any], right: Sequence[Any]) -> int:
    pairs = zip_longest(left, right, fillvalue=ABSENT)  # which sorts below every value
    return next((result for pair in pairs if (result := order(*pair))), 0)
