"""The texts that an expression's filters search for: whether there are any, and the check of each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

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
from cube.expression.operators import OPERATORS, TextOperator


def check(expression: MetricExpression | EventExpression) -> None:
    """Check the literal of every text operator of an expression: every pattern compiles.

    Raises `InvalidQuery` (``field``: "expression") for the first that is refused, a pattern with RE2's
    reason: a syntax error, look-around, a back-reference, its bound of memory.
    """
    for each in _filters(expression):
        for operator, literal in _searches(each):
            if operator.check is not None:
                operator.check(literal)


def has_patterns(expression: MetricExpression | EventExpression) -> bool:
    """Tell whether an expression searches in texts, which may cost much for a single event."""
    return any(True for each in _filters(expression) for _ in _searches(each))


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


def _searches(filter: Filter) -> Iterator[tuple[TextOperator, str]]:
    match filter:
        case Comparison(name, _, literal):
            operator = OPERATORS[name]
            if isinstance(operator, TextOperator) and isinstance(literal, str):
                yield operator, literal
        case Exists():
            return
        case Or(filters) | And(filters):
            for each in filters:
                yield from _searches(each)
        case Not(inner):
            yield from _searches(inner)
        case _:
            assert_never(filter)
