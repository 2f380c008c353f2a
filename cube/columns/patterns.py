"""Regular expressions: RE2's syntax, in linear time, and the check that they compile."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, assert_never

import re2

from cube.errors import InvalidQuery
from cube.expression.nodes import (
    And,
    Comparison,
    EventExpression,
    Exists,
    Filter,
    MetricExpression,
    Negation,
    Not,
    Number,
    Or,
    Product,
    Reduction,
    Sum,
)


def check(expression: MetricExpression | EventExpression) -> None:
    """Compile every pattern of an expression.

    Raises `InvalidQuery` (``field``: "expression") with RE2's reason for the first that it refuses:
    a syntax error, look-around, a back-reference, a pattern over its bound of memory.
    """
    for each in _filters(expression):
        for pattern in _patterns(each):
            compile_pattern(pattern)


def finds(pattern: str, text: str) -> bool:
    """Tell whether a pattern is found anywhere in a text."""
    return compile_pattern(pattern).search(text.encode("utf-8", "surrogatepass")) is not None


@lru_cache(maxsize=256)
def compile_pattern(pattern: str) -> Any:
    """Compile a pattern; raises `InvalidQuery` with RE2's reason."""
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern.encode("utf-8", "surrogatepass"), options)
    except re2.error as error:
        reason = error.args[0].decode("utf-8", "replace")
        raise InvalidQuery(
            f"Got the regular expression {pattern!r}: {reason}; accepted is RE2's syntax.",
            field="expression",
        ) from None


def _filters(expression: MetricExpression | EventExpression) -> Iterator[Filter]:
    match expression:
        case EventExpression(filters=filters) | Reduction(filters=filters):
            yield from filters
        case Number():
            return
        case Negation(operand):
            yield from _filters(operand)
        case Sum(parts) | Product(parts):
            for _, part in parts:
                yield from _filters(part)
        case _:
            assert_never(expression)


def _patterns(filter: Filter) -> Iterator[str]:
    match filter:
        case Comparison(operator, _, literal):
            if operator == "re" and isinstance(literal, str):
                yield literal
        case Exists():
            return
        case Or(filters) | And(filters):
            for each in filters:
                yield from _patterns(each)
        case Not(inner):
            yield from _patterns(inner)
        case _:
            assert_never(filter)
