"""The canonical text of a tree: what parses to that tree, and the key under which metrics are cached.

Single spaces around binary operators and nowhere else, parentheses only where the tree would differ
without them. Numbers have a normal form: int where the value is integral and fits 64 bits, else float; there
is no minus zero. So equal numbers have one text, and the text of a number parses to the same number.
"""

from __future__ import annotations

import json
import math
import re
from functools import lru_cache
from typing import TypeAlias, assert_never

from cube.expression.nodes import (
    And,
    Call,
    Cohorts,
    Comparison,
    Element,
    EventExpression,
    Exists,
    Field,
    Filter,
    Funnel,
    Grouping,
    GroupPart,
    Literal,
    MetricExpression,
    Negation,
    Not,
    Number,
    Or,
    Product,
    Reduction,
    Relation,
    SequenceExpression,
    SeriesCall,
    SessionReduction,
    Sum,
    Text,
    Value,
)
from cube.expression.reduce_names import several
from cube.model import duration as durations
from cube.model.event import MAX_INTEGER, MIN_INTEGER
from cube.model.property import is_identifier

Operand: TypeAlias = Value | MetricExpression
Node: TypeAlias = Operand | EventExpression

_LITERAL_START = re.compile(r'["\[]|(?:true|false|null)(?![\w$])')
REMEMBERED, REMEMBERED_CHARACTERS = 512, 1_000
"""So many texts are kept of trees that are printed again and again, of so many characters at most."""

SURROGATE = re.compile(r"[\ud800-\udfff]")


class _Same:
    """A tree as a key: trees that differ can compare equal (1 and true), so it is the very object."""

    __slots__ = ("tree",)

    def __init__(self, tree: Node) -> None:
        self.tree = tree

    def __hash__(self) -> int:
        return id(self.tree)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.tree is other.tree


def canonical_text(tree: Node) -> str:
    """Return what `print_expression` does, once for each tree that is asked about again and again."""
    try:
        return _printed(_Same(tree))
    except _Long as long:
        return long.text


class _Long(Exception):
    """Keeps a text from being kept: the cache does not keep what was raised."""

    def __init__(self, text: str) -> None:
        self.text = text


@lru_cache(maxsize=REMEMBERED)
def _printed(same: _Same) -> str:
    text = print_expression(same.tree)
    if len(text) > REMEMBERED_CHARACTERS:
        raise _Long(text)
    return text


def print_expression(node: Node) -> str:
    """Return the canonical text of an expression or of a part of one.

    Raises ValueError for what no text stands for: an infinite number, half a surrogate pair.
    """
    match node:
        case EventExpression(type, fields, filters):
            return _event(type, "*" if fields is None else ",".join(map(_field, fields)), filters)
        case Comparison() | Relation() | Exists() | Or() | And() | Not():
            return _filter(node)
        case _:
            return _arithmetic(node)


def normal(number: int | float) -> int | float:
    """Return the normal form of a number, infinite ones included."""
    if isinstance(number, int):
        return number if MIN_INTEGER <= number <= MAX_INTEGER else float(number)
    return int(number) if number.is_integer() and MIN_INTEGER <= number <= MAX_INTEGER else number


def print_number(number: int | float) -> str:
    """Return the canonical text: the normal form's ``repr`` without "+".

    Raises ValueError for a number that is not finite.
    """
    try:
        number = normal(number)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"Got the number {number}; accepted are finite ones.")
    return repr(number).replace("+", "").removesuffix(".0")


def print_literal(literal: Literal) -> str:
    """Return the canonical text of a filter's literal; raises ValueError as `print_expression` does."""
    match literal:
        case None:
            return "null"
        case bool():
            return "true" if literal else "false"
        case str():
            return quote(literal)
        case tuple():
            return f"[{','.join(map(print_literal, literal))}]"
        case _:
            return print_number(literal)


def quote(text: str) -> str:
    r"""Return the canonical string literal: double quotes; ``"``, ``\`` and below U+0020 escaped.

    Raises ValueError for half a surrogate pair alone, which no store keeps.
    """
    if SURROGATE.search(text):
        raise ValueError(f"Got half a surrogate pair in {quote_anything(text)}; accepted is Unicode.")
    return json.dumps(text, ensure_ascii=False)


def quote_anything(text: str) -> str:
    """Quote for a message: like `quote`, and half a surrogate pair is shown by its escape."""
    return SURROGATE.sub(lambda half: f"\\u{ord(half[0]):04x}", json.dumps(text, ensure_ascii=False))


def _arithmetic(node: Operand) -> str:
    match node:
        case Reduction() | Funnel() | Cohorts() | SessionReduction() | SeriesCall():
            return _measured(node)
        case Negation(operand):
            return f"-{_operand(operand, Sum, Product)}"
        case Sum(terms):
            return _chain([(sign, _operand(term, Sum)) for sign, term in terms])
        case Product(factors):
            return _chain([(scale, _operand(factor, Sum, Product)) for scale, factor in factors])
        case Comparison() | Relation() | Exists() | Or() | And() | Not():
            return _filter(node)
        case _:
            return _value(node)


def _value(node: Field | Number | Text | Call) -> str:
    match node:
        case Number(value):
            return print_number(value)
        case Field():
            return _field(node)
        case Text(text):
            return quote(text)
        case Call(function, arguments):
            return f"{function}({','.join(map(_arithmetic, arguments))})"
        case _:
            assert_never(node)


def _chain(parts: list[tuple[str, str]]) -> str:
    """Join operands, each with the operator before it; the first one's is not written."""
    return " ".join(f"{operator} {text}" for operator, text in parts)[2:]


def _operand(node: Operand, *bracketed: type[Operand]) -> str:
    text = _arithmetic(node)
    return f"({text})" if isinstance(node, bracketed) else text


def _measured(node: Reduction | SequenceExpression | SeriesCall) -> str:
    match node:
        case SeriesCall():
            return _series_call(node)
        case Reduction():
            return _reduction(node)
        case Funnel(key, window, steps):
            return _listed(
                "funnel", _arithmetic(key), durations.format(window), *map(print_expression, steps)
            )
        case Cohorts(key, period, periods, first, returning):
            events = [first] if returning is None else [first, returning]
            length, count = durations.format(period), print_number(periods)
            return _listed("retention", _arithmetic(key), length, count, *map(print_expression, events))
        case SessionReduction(key, gap, events, reduction):
            each = () if reduction.value is None else (_arithmetic(reduction.value),)
            joined = _listed(".session", _arithmetic(key), durations.format(gap), *each)
            return _reduction(reduction, _event(events.type, "", events.filters) + joined)
        case _:
            assert_never(node)


def _listed(name: str, *parts: str) -> str:
    return f"{name}({','.join(parts)})"


def _reduction(node: Reduction, source: str = "") -> str:
    """Return the text of a reduction; ``source``: that of what it reduces, unless its type and value tell."""
    argument = "".join(f"{print_number(each)}," for each in _arguments(node))
    name = node.reduce if node.arguments is None else several(node.reduce)
    selection = "" if node.value is None or source else _arithmetic(node.value)
    group = "" if node.group is None else _grouping(node.group)
    return f"{name}({argument}{_event(source or node.type, selection, node.filters)}){group}"


def _arguments(node: Reduction) -> tuple[int | float, ...]:
    if isinstance(node.argument, tuple):
        return node.argument
    return () if node.argument is None else (node.argument,)


def _series_call(node: SeriesCall) -> str:
    option = node.option if isinstance(node.option, str) or node.option is None else print_number(node.option)
    duration = None if node.duration is None else durations.format(node.duration)
    parts = [_arithmetic(node.operand), duration, option]
    if node.function == "per":
        parts.reverse()
    return f"{node.function}({','.join(part for part in parts if part is not None)})"


def _grouping(node: Grouping) -> str:
    text = f".group({','.join(map(print_part, node.parts))})"
    if node.chosen is not None:
        text += f".among({','.join(map(print_literal, node.chosen))})"
    if node.ranking is None:
        return text
    by = "" if node.ranking.by is None else f",{_arithmetic(node.ranking.by)}"
    return f"{text}.{node.ranking.end}({node.ranking.count}{by})"


def print_part(part: GroupPart) -> str:
    """Return the canonical text of one part of a group, as it stands in the brackets of ``.group(…)``."""
    value = _arithmetic(part.value)
    otherwise = "" if part.otherwise is None else f",{quote(part.otherwise)}"
    return (f"each({value})" if part.each else value) + otherwise


def _event(type: str, selection: str, filters: tuple[Filter, ...]) -> str:
    selected = f"({selection})" if selection else ""
    return "".join([type, selected, *(f".{_filter(part)}" for part in filters)])


def _filter(filter: Filter) -> str:
    match filter:
        case Comparison(operator, value, literal):
            return f"{operator}({_arithmetic(value)},{print_literal(literal)})"
        case Relation(operator, value, other):
            return f"{operator}({_arithmetic(value)},{_other(other)})"
        case Exists(value):
            return f"exists({_arithmetic(value)})"
        case Or(filters):
            return f"or({','.join(map(_filter, filters))})"
        case And(filters):
            return f"and({','.join(map(_filter, filters))})"
        case Not(negated):
            return f"not({_filter(negated)})"
        case _:
            assert_never(filter)


def _other(value: Value) -> str:
    """Return the text of what is compared with; in brackets where it would begin as a literal does."""
    text = _arithmetic(value)
    return f"({text})" if _LITERAL_START.match(text) else text


def _field(field: Field) -> str:
    return "".join(map(_step, field.path)).removeprefix(".")


def _step(part: str | int | Element) -> str:
    """Return how a path goes on: after a dot where a name may stand so, else in brackets."""
    if isinstance(part, int):
        return f"[{part}]"
    if isinstance(part, Element):
        is_quoted = len(part.key) == 1 and not _is_plain(part.key[0])
        key = quote(part.key[0]) if is_quoted else ".".join(part.key)
        return f"[{key}={part.text}]"
    return f".{part}" if _is_plain(part) else f"[{quote(part)}]"


def _is_plain(name: str) -> bool:
    return (name.isascii() and name.isidentifier()) or is_identifier(name)  # nearly all are the first
