"""The grammar of the expression language: `parse_metric` and `parse_event`.

The rules of ``docs/language.md``, in pyparsing, one alternative per first token: after it a rule
commits itself ("-" instead of "+"), so nothing is parsed twice and time is linear in the text.
Of one event: `cube.expression.event_grammar`; of groups: `cube.expression.group_grammar`; operators:
`cube.expression.arithmetic`.
Few parser elements nest per bracket, so that 50 levels stay within Python's recursion limit.
Length and levels are checked before the grammar runs, nodes after.
"""

from __future__ import annotations

from functools import cache
from typing import Any, cast

import pyparsing as pp

from cube.errors import InvalidExpression
from cube.expression import tokens
from cube.expression.arithmetic import bracketed, chain, constant, listed, pack
from cube.expression.bounds import check_nodes, check_text
from cube.expression.event_grammar import EventRules, field_rule
from cube.expression.group_grammar import group_rule
from cube.expression.grouping import check_groups
from cube.expression.name_grammar import defined_name, plain_name
from cube.expression.nodes import (
    EventExpression,
    Filter,
    MetricExpression,
)
from cube.expression.printer import print_expression
from cube.expression.reduction_grammar import reduction_rule
from cube.expression.sequence_grammar import sequence_rule, session_rule
from cube.expression.series_grammar import series_call_rule
from cube.expression.source import Named, Source
from cube.expression.tokens import build
from cube.expression.type_check import check_types


def parse_metric(text: str, definitions: Named | None = None) -> MetricExpression:
    """Parse a metric expression, such as ``sum(request(ms).ge(status,500)) / 60``.

    ``definitions``: the names that may stand in it; the tree has what they stand for. Bounds, also of that:
    those of `cube.expression.bounds`. Raises `InvalidExpression`, with the place and what was expected there,
    for anything that is not valid.
    """
    return cast("MetricExpression", _parse(_metric_grammar(), text, definitions))


def parse_event(text: str) -> EventExpression:
    """Parse an event expression, such as ``request(path,ms).ge(status,500)``.

    Bounds and errors are those of `parse_metric`.
    """
    return cast("EventExpression", _parse(_event_grammar(), text))


def parse_filters(text: str) -> tuple[Filter, ...]:
    """Parse filters joined by dots, such as ``eq(customer,"acme").ge(n,1)``.

    Bounds and errors are those of `parse_event` for these filters of a type ``any``.
    """
    return parse_event(f"any.{text}").filters


def tried(text: str, definitions: Named | None = None) -> list[Source]:
    """Try both grammars on a text; return what each has noted, of a metric expression first.

    A text that is too long or deep, or has a token that is refused, is left out: nothing can continue it.
    """
    sources: list[Source] = []
    for grammar in (_metric_grammar(), _event_grammar()):
        source = Source(text, definitions)
        try:
            check_text(source)
            grammar.parse_string(source)
        except InvalidExpression:
            continue
        except pp.ParseBaseException:
            pass
        sources.append(source)
    return sources


def prepare() -> None:
    """Build the grammars, 0.1 s, so that the first question need not wait for that."""
    _metric_grammar()
    _event_grammar()


def rebuild() -> None:
    """Have the next parse take in what the tables of reduces and operators hold by then."""
    _metric_grammar.cache_clear()
    _event_grammar.cache_clear()


def _parse(grammar: pp.ParserElement, text: str, definitions: Named | None = None) -> Any:
    source = Source(text, definitions)
    check_text(source)
    try:
        tree = grammar.parse_string(source)[0]
    except pp.ParseBaseException:
        raise source.unexpected() from None
    check_nodes(tree, source)
    check_types(tree, source)
    if source.used:
        check_text(Source(print_expression(tree)))
    check_groups(tree, source)
    return tree


@cache
def _metric_grammar() -> pp.ParserElement:
    rules = EventRules()
    compared = _metric(rules, _nothing(), with_sequences=False)
    return _whole(_metric(rules, group_rule(rules, compared), with_sequences=True))


def _metric(rules: EventRules, group: pp.ParserElement, *, with_sequences: bool) -> pp.ParserElement:
    """Return the rule of arithmetic over reductions, after each of which may stand a group.

    ``with_sequences``: whether what looks at several events may stand in it.
    """
    metric = pp.Forward()
    session = pp.Opt(session_rule(rules), default=None) if with_sequences else _nothing()
    reduction = reduction_rule(rules, session, group)
    calls = series_call_rule(metric)
    operand = reduction | sequence_rule(rules) | calls if with_sequences else reduction | calls
    name = defined_name() if with_sequences else plain_name()
    others = constant() | bracketed(metric)
    # What may stand in thousands comes first: each alternative before it is tried in vain.
    metric <<= chain(others | operand | name)
    return metric


@cache
def _event_grammar() -> pp.ParserElement:
    everything = build(tokens.operator("*"), lambda _: None)
    fields = build(listed(field_rule()), pack)
    event = EventRules().event(bracketed(everything | fields), default=())
    return _whole(build(event, lambda name, fields, *filters: EventExpression(name, fields, filters)))


def _whole(expression: pp.ParserElement) -> pp.ParserElement:
    # Streamlined here: pyparsing would do it in the first parse, where threads may meet.
    return (expression + tokens.token(r"\Z", "the end")).parse_with_tabs().streamline()


def _nothing() -> pp.ParserElement:
    """Return the rule of what is not there; it leaves None."""
    return pp.Empty().add_parse_action(lambda _source, _place, _found: [None])
