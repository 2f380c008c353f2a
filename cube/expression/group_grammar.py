"""The grammar of groups: ``.group(host, each(tags), "none")`` and what may follow, ``.top(10, sum(hit))``."""

from __future__ import annotations

from typing import Any

import pyparsing as pp

from cube.expression import tokens
from cube.expression.arithmetic import bracketed
from cube.expression.event_grammar import EventRules, field_rule, forget_field
from cube.expression.nodes import Grouping, GroupPart, Ranking, SeriesCall
from cube.expression.series_functions import PREVIOUS
from cube.expression.tokens import build
from cube.expression.traversal import walk

MAX_RANKED = 10_000


def group_rule(rules: EventRules, compared: pp.ParserElement) -> pp.ParserElement:
    """Return the rule that leaves a `Grouping`, or None where there is none.

    ``compared``: the rule of what a ranking may go by, a metric without groups.
    """
    part = _part(rules)
    parts = part + pp.ZeroOrMore(_comma() + part)
    found = tokens.mark(".") - tokens.word("group") - bracketed(build(parts, lambda *parts: parts))
    group = build(
        found + pp.Opt(_ranking(compared), default=None), lambda _, parts, rank: Grouping(parts, rank)
    )
    return pp.Opt(group, default=None)


def _part(rules: EventRules) -> pp.ParserElement:
    """Return the rule of a value with what an event without it is in; after it may come another part."""
    otherwise = pp.Opt(_comma() + tokens.string(), default=None)
    each = build(
        tokens.each() - bracketed(field_rule()) + otherwise,
        lambda _, field, otherwise: GroupPart(field, otherwise, each=True),
    )
    return each | build(rules.value + otherwise, GroupPart)


def _comma() -> pp.ParserElement:
    return tokens.mark(",").add_parse_action(forget_field)


def _ranking(compared: pp.ParserElement) -> pp.ParserElement:
    count = tokens.whole_number(MAX_RANKED)
    by = pp.Opt(tokens.mark(",") - compared.copy().add_parse_action(_refuse_neighbours), default=None)
    inside = build(count + by, lambda *arguments: arguments)
    found = tokens.mark(".") - tokens.either_word("top", "bottom") - bracketed(inside)
    return build(found, lambda end, arguments: Ranking(end, *arguments))


def _refuse_neighbours(source: Any, place: int, found: pp.ParseResults) -> None:
    """Refuse what looks at many buckets before: of a span as a whole there is one."""
    for call in walk(found[0]):
        if isinstance(call, SeriesCall) and call.option == PREVIOUS:
            problem = (
                "Got fill(…, previous) in a ranking, which is about the span as a whole; accepted is a number"
            )
            raise source.refusal(source.calls.get(id(call), place), problem)
