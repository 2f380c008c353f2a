"""The grammar of what selects events and of what is taken of one: fields, values and filters.

Filters hold values, and values hold filters (``if``, or where they stand for true and false).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import is_dataclass
from typing import Any, cast

import pyparsing as pp

from cube.expression import tokens
from cube.expression.arithmetic import arguments, chain, constant, listed, pack
from cube.expression.functions import FUNCTIONS
from cube.expression.nodes import (
    And,
    Call,
    Comparison,
    Element,
    Exists,
    Field,
    Filter,
    Not,
    Number,
    Or,
    Relation,
    Text,
    Value,
)
from cube.expression.operators import OPERATORS, OrderOperator, TextOperator
from cube.expression.printer import normal, print_literal
from cube.expression.source import Source
from cube.expression.tokens import build


class EventRules:
    """The rules of one grammar; ``value``: of what is taken of one event, ``filter``: of one filter.

    They are flat, without an element more than needed between two brackets: 50 levels have to fit into
    Python's stack.
    """

    def __init__(self) -> None:
        self.value = pp.Forward()
        self._compared = pp.Forward()
        self.filter = pp.Forward()
        self._array = _array()
        operand = pp.Forward()
        chained = chain(operand)
        self.value <<= chained
        self._compared <<= chained
        self._compared.add_parse_action(_note_field)
        self.filter <<= pp.MatchFirst(self._filters(tokens.filter_name))
        operand <<= pp.MatchFirst(
            [*self._calls(arguments(operand)), *self._filters(tokens.function_name), *self._plain()]
        )

    def event(self, selection: pp.ParserElement, default: Any) -> pp.ParserElement:
        """Return the rule that leaves the type, what was selected of it, and the filters."""
        return tokens.type_name() + pp.Opt(selection, default=default) + self.filters()

    def filters(self) -> pp.ParserElement:
        """Return the rule of any number of filters, each after a dot, after which others may come."""
        return pp.ZeroOrMore(tokens.mark(".") + self.filter)

    def _calls(self, given: pp.ParserElement) -> list[pp.ParserElement]:
        name, opening, closing = tokens.function_name(*FUNCTIONS), tokens.mark("("), tokens.mark(")")
        return [
            build(tokens.empty_call("time"), lambda name: Call(name, ())),
            build(name - opening - given - closing, lambda name, *values: Call(name, values)),
        ]

    def _plain(self) -> list[pp.ParserElement]:
        text = build(tokens.string(), Text)
        return [field_rule(), constant(), text, tokens.mark("(") - self.value - tokens.mark(")")]

    def _filters(self, name: Callable[..., pp.ParserElement]) -> list[pp.ParserElement]:
        """Return the rules of filters, of which ``name`` makes the token of a name."""
        ordered = [each for each in OPERATORS.values() if isinstance(each, OrderOperator)]
        searching = [each.name for each in OPERATORS.values() if isinstance(each, TextOperator)]
        single = [each.name for each in ordered if not each.any_of]
        several = [each.name for each in ordered if each.any_of]
        opening, closing = tokens.mark("("), tokens.mark(")")
        filters = self.filter + pp.ZeroOrMore(tokens.mark(",") - self.filter)
        return [
            build(name(*single) - self._pair(self._single() | self.value), _compared),
            build(name(*several) - self._pair(self._array), Comparison),
            build(name(*searching) - self._pair(tokens.string()), Comparison),
            build(name("exists") - opening - self._compared - closing, lambda _, value: Exists(value)),
            build(name("or") - opening - filters - closing, lambda _, *filters: Or(filters)),
            build(name("and") - opening - filters - closing, lambda _, *filters: And(filters)),
            build(name("not") - opening - self.filter - closing, lambda _, negated: Not(negated)),
        ]

    def _single(self) -> pp.ParserElement:
        """Return the rule of a literal with which no arithmetic begins: then it is a value."""
        number = tokens.lone_number() | build(tokens.lone_negative(), lambda number: normal(-number))
        return tokens.string() | number | tokens.constant() | self._array

    def _pair(self, literal: pp.ParserElement) -> pp.ParserElement:
        return tokens.mark("(") - self._compared - tokens.mark(",") - literal - tokens.mark(")")


def _compared(operator: str, value: Value, other: Any) -> Filter:
    """Compare a value with a literal, or with another value that is no constant."""
    if isinstance(other, (Number, Text)):
        return Comparison(operator, value, other.value)
    if is_dataclass(other):
        return Relation(operator, value, cast("Value", other))
    return Comparison(operator, value, other)


def _note_field(source: str, place: int, found: pp.ParseResults) -> None:
    """Remember whose values may be compared with; refuse a constant, of which every event has the same."""
    noting = cast("Source", source)
    if isinstance(found[0], (Number, Text)):
        raise noting.expecting(noting.place_of(found[0]), "a field")
    noting.field = found[0] if isinstance(found[0], Field) else None


def forget_field(source: str, _place: int, _found: pp.ParseResults) -> None:
    """What follows is no value of the field that was last compared."""
    cast("Source", source).field = None


def _array() -> pp.ParserElement:
    literal = pp.Forward()
    filled = tokens.mark("[", "an array") - listed(literal) - tokens.mark("]")
    array = tokens.empty_array() | build(filled, pack)
    literal <<= tokens.string() | tokens.number() | _negative() | tokens.constant() | array
    return array


def _negative() -> pp.ParserElement:
    return build(tokens.mark("-") - tokens.number(), lambda number: normal(-number))


def field_rule() -> pp.ParserElement:
    """Return the rule of a path into an event's data."""
    member = tokens.mark(".") - tokens.identifier("a name")
    inside = tokens.index() | _keyed() | _named()
    element = tokens.mark("[") - inside - tokens.mark("]")
    quoted = tokens.mark("[", "a field") - tokens.property_name() - tokens.mark("]")
    first = tokens.identifier("a field") | quoted
    return build(first + pp.ZeroOrMore(member | element), lambda *path: Field(path))


def _keyed() -> pp.ParserElement:
    """Return the rule of what chooses an element of an array, ``key="x"``, where no string begins it."""
    names = tokens.identifier("a name") + pp.ZeroOrMore(tokens.mark(".") - tokens.identifier("a name"))
    return build(build(names, pack) - _wanted(), _element)


def _named() -> pp.ParserElement:
    """Return the rule of a name in quotes: a property, or with a literal what chooses an element."""
    return build(
        tokens.property_name() + pp.Opt(_wanted()),
        lambda name, *literal: _element((name,), *literal) if literal else name,
    )


def _wanted() -> pp.ParserElement:
    scalar = tokens.string() | tokens.number() | _negative() | tokens.truth()
    return tokens.mark("=") - scalar


def _element(key: tuple[str, ...], literal: str | int | float | bool) -> Element:
    return Element(key, print_literal(literal))
