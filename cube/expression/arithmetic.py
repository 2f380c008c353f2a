"""Chains of operators, brackets and lists: what values and metrics have in common in the grammar.

A chain is a flat list until `_build_arithmetic` gives it its form: few parser elements nest per bracket.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pyparsing as pp

from cube.expression import tokens
from cube.expression.nodes import Negation, Number, Product, Sum
from cube.expression.printer import normal
from cube.expression.source import Source
from cube.expression.tokens import build


def constant() -> pp.ParserElement:
    """Return the rule of a number that stands for itself."""
    return build(tokens.number(), Number)


def chain(operand: pp.ParserElement) -> pp.ParserElement:
    """Return the rule of operands with operators between them; it leaves the tree of their arithmetic."""
    minuses = pp.ZeroOrMore(tokens.operator("-"))
    found = minuses + operand + pp.ZeroOrMore(tokens.operator("+", "-", "*", "/") - minuses - operand)
    return build(found, lambda *parts: _build_arithmetic(parts))


def arguments(operand: pp.ParserElement) -> pp.ParserElement:
    """Return the rule of one or more chains with commas between them; it leaves their trees.

    One rule, in which the comma is one more operator: nested lists of chains would be too deep.
    """
    minuses = pp.ZeroOrMore(tokens.operator("-"))
    found = minuses + operand + pp.ZeroOrMore(tokens.operator("+", "-", "*", "/", ",") - minuses - operand)
    return found.add_parse_action(_build_arguments)


def _build_arguments(source: str, _place: int, found: pp.ParseResults) -> list[Any]:
    noting = cast("Source", source)
    parts: list[Any] = list(found)
    commas = [place for place, part in enumerate(parts) if isinstance(part, str) and part == ","]
    built = []
    for start, stop in zip([-1, *commas], [*commas, len(parts)], strict=True):
        chained = parts[start + 1 : stop]
        first = next(part for part in chained if not isinstance(part, str))
        built.append(noting.noted(_build_arithmetic(chained), noting.place_of(first)))
    return built


def bracketed(inside: pp.ParserElement) -> pp.ParserElement:
    """Return the rule of what stands in round brackets."""
    return tokens.mark("(") - inside - tokens.mark(")")


def listed(item: pp.ParserElement) -> pp.ParserElement:
    """Return the rule of one or more items with commas between them."""
    return item + pp.ZeroOrMore(tokens.mark(",") - item)


def pack(*items: Any) -> tuple[Any, ...]:
    """Return items as one result; for `build`."""
    return items


def _build_arithmetic(parts: Sequence[Any]) -> Any:
    """Return the tree of operands and operators as they stand in the text, such as ``- a * b + c``.

    Operators are str, operands are nodes; the parts are those of one chain
    ``"-"* operand (operator "-"* operand)*``.
    """
    terms: list[tuple[Any, Any]] = []
    factors: list[tuple[Any, Any]] = []
    sign: str = "+"
    scale: str | None = "*"  # the operator before the next operand; None just after an operand
    minuses = 0
    for part in parts:
        if not isinstance(part, str):
            factors.append((scale, _negate(part, minuses)))
            scale, minuses = None, 0
        elif scale is not None:
            minuses += 1
        elif part in ("*", "/"):
            scale = part
        else:
            terms.append((sign, _one_or(Product, factors)))
            sign, scale, factors = part, "*", []
    terms.append((sign, _one_or(Product, factors)))
    return _one_or(Sum, terms)


def _negate(node: Any, minuses: int) -> Any:
    for _ in range(minuses):
        node = Number(normal(-node.value)) if isinstance(node, Number) else Negation(node)
    return node


def _one_or(make: type[Sum[Any]] | type[Product[Any]], parts: list[tuple[Any, Any]]) -> Any:
    return make(tuple(parts)) if len(parts) > 1 else parts[0][1]
