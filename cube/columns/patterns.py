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
from cube.shown import shown

SEARCH = 10**8
"""Steps of a pattern times characters of a text, in one search. Where RE2 cannot tabulate a pattern each
costs some 10 ns, and a search cannot be interrupted: this many take a second."""


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
    return compile_pattern(pattern).finds(text)


def has_patterns(expression: MetricExpression | EventExpression) -> bool:
    """Tell whether an expression has a pattern, which may cost much for a single event."""
    return any(True for each in _filters(expression) for _ in _patterns(each))


class Pattern:
    """A compiled pattern; finds itself in texts that are not too long for it."""

    __slots__ = ("_compiled", "_longest", "_text")

    def __init__(self, compiled: Any, text: str) -> None:
        self._compiled = compiled
        self._text = text
        self._longest = SEARCH // max(1, compiled.programsize)

    def finds(self, text: str) -> bool:
        """Tell whether it is found anywhere in a text; raises `InvalidQuery` for one that is too long."""
        if len(text) > self._longest:
            raise InvalidQuery(
                f"The regular expression {shown(self._text)} meets a text of {len(text)} characters;"
                f" accepted for it are {self._longest}: repeat less in it, or filter such events out.",
                field="expression",
            )
        return self._compiled.search(text.encode("utf-8", "surrogatepass")) is not None


@lru_cache(maxsize=256)
def compile_pattern(pattern: str) -> Pattern:
    """Compile a pattern; raises `InvalidQuery` with RE2's reason."""
    options = re2.Options()
    options.log_errors = False
    try:
        compiled = re2.compile(pattern.encode("utf-8", "surrogatepass"), options)
    except re2.error as error:
        reason = error.args[0].decode("utf-8", "replace")
        raise InvalidQuery(
            f"Got the regular expression {shown(pattern)}: {reason}; accepted is RE2's syntax.",
            field="expression",
        ) from None
    return Pattern(compiled, pattern)


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
