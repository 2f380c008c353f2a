"""The grammar of what selects events and of what is taken of one: fields, values and filters."""

from __future__ import annotations

from typing import Any, cast

import pyparsing as pp

from cube.expression import tokens
from cube.expression.arithmetic import bracketed, chain, constant, listed, pack
from cube.expression.nodes import And, Call, Comparison, Exists, Field, Not, Or
from cube.expression.operators import OPERATORS, OrderOperator, TextOperator
from cube.expression.printer import normal
from cube.expression.tokens import Source, build


def event_rule(selection: pp.ParserElement, default: Any) -> pp.ParserElement:
    """Return the rule that leaves the type, what was selected of it, and the filters."""
    return tokens.type_name() + pp.Opt(selection, default=default) + filters_rule()


def filters_rule() -> pp.ParserElement:
    """Return the rule of any number of filters, each after a dot; something else may follow after a dot."""
    return pp.ZeroOrMore(tokens.mark(".") + _filter())


def _filter() -> pp.ParserElement:
    any_filter = pp.Forward()
    literal, array = _literal_and_array()
    ordered = [each for each in OPERATORS.values() if isinstance(each, OrderOperator)]
    searching = [each.name for each in OPERATORS.values() if isinstance(each, TextOperator)]
    comparison = tokens.filter_name(*(each.name for each in ordered if not each.any_of)) - _pair(literal)
    membership = tokens.filter_name(*(each.name for each in ordered if each.any_of)) - _pair(array)
    search = tokens.filter_name(*searching) - _pair(tokens.string())
    existence = tokens.filter_name("exists") - bracketed(field_rule())
    disjunction = tokens.filter_name("or") - bracketed(listed(any_filter))
    conjunction = tokens.filter_name("and") - bracketed(listed(any_filter))
    negation = tokens.filter_name("not") - bracketed(any_filter)
    any_filter <<= (
        build(comparison | membership | search, Comparison)
        | build(existence, lambda _, field: Exists(field))
        | build(disjunction, lambda _, *filters: Or(filters))
        | build(conjunction, lambda _, *filters: And(filters))
        | build(negation, lambda _, negated: Not(negated))
    )
    return any_filter


def _pair(literal: pp.ParserElement) -> pp.ParserElement:
    compared = field_rule().add_parse_action(_note_field)
    return tokens.mark("(") - compared - tokens.mark(",") - literal - tokens.mark(")")


def _note_field(source: str, _place: int, found: pp.ParseResults) -> None:
    cast("Source", source).field = found[0]


def forget_field(source: str, _place: int, _found: pp.ParseResults) -> None:
    """What follows is no value of the field that was last compared."""
    cast("Source", source).field = None


def _literal_and_array() -> tuple[pp.ParserElement, pp.ParserElement]:
    literal = pp.Forward()
    filled = tokens.mark("[", "an array") - listed(literal) - tokens.mark("]")
    array = tokens.empty_array() | build(filled, pack)
    negative = build(tokens.mark("-") - tokens.number(), lambda number: normal(-number))
    literal <<= tokens.string() | tokens.number() | negative | tokens.constant() | array
    return literal, array


def value_rule() -> pp.ParserElement:
    """Return the rule of what is taken of one event."""
    value = pp.Forward()
    call = build(tokens.function_name() - bracketed(value), lambda name, *values: Call(name, values))
    value <<= chain(call | field_rule() | constant() | bracketed(value))
    return value


def field_rule() -> pp.ParserElement:
    """Return the rule of a path into an event's data."""
    member = tokens.mark(".") - tokens.identifier("a name")
    element = tokens.mark("[") - (tokens.index() | tokens.property_name()) - tokens.mark("]")
    quoted = tokens.mark("[", "a field") - tokens.property_name() - tokens.mark("]")
    first = tokens.identifier("a field") | quoted
    return build(first + pp.ZeroOrMore(member | element), lambda *path: Field(path))
