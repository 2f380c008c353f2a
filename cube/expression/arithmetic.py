"""Chains of operators to trees: precedence, left to right, and the folding of minus into numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cube.expression.nodes import Negation, Number, Product, Sum
from cube.expression.numeral import normal

Signed = tuple[Any, Any]


def build_arithmetic(tokens: Sequence[Any]) -> Any:
    """Return the tree of operands and operators as they stand in the text, such as ``- a * b + c``.

    Operators are str, operands are nodes; the tokens are those of one chain
    ``"-"* operand (operator "-"* operand)*``.
    """
    terms: list[Signed] = []
    factors: list[Signed] = []
    sign: str = "+"
    scale: str | None = "*"  # the operator before the next operand; None just after an operand
    minuses = 0
    for token in tokens:
        if not isinstance(token, str):
            factors.append((scale, _negate(token, minuses)))
            scale, minuses = None, 0
        elif scale is not None:
            minuses += 1
        elif token in ("*", "/"):
            scale = token
        else:
            terms.append((sign, _chain(Product, factors)))
            sign, scale, factors = token, "*", []
    terms.append((sign, _chain(Product, factors)))
    return _chain(Sum, terms)


def fold_minus(number: Number) -> Number:
    """Return the number with a minus before it."""
    return Number(normal(-number.value))


def _negate(node: Any, minuses: int) -> Any:
    for _ in range(minuses):
        node = fold_minus(node) if isinstance(node, Number) else Negation(node)
    return node


def _chain(make: type[Sum[Any]] | type[Product[Any]], parts: list[Signed]) -> Any:
    return make(tuple(parts)) if len(parts) > 1 else parts[0][1]
