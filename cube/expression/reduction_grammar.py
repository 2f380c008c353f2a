"""The grammar of reductions: one value of many events, ``quantile(0.95, hit(ms))``; and of shares of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pyparsing as pp

from cube.expression import tokens
from cube.expression.arithmetic import bracketed
from cube.expression.event_grammar import EventRules
from cube.expression.nodes import Filter, Grouping, Product, Reduction, SessionReduction
from cube.expression.reduce_names import several
from cube.expression.sequence_grammar import SessionBuild
from cube.expression.source import Source
from cube.expression.tokens import build
from cube.model.reduce import REDUCES


def reduction_rule(rules: EventRules, session: pp.ParserElement, group: pp.ParserElement) -> pp.ParserElement:
    """Return the rule of a reduction; ``session``, ``group``: of what may follow, or of nothing."""
    event = build(_event(rules), lambda name, value, *filters: (name, value, filters))
    opening, ending = tokens.mark("("), event + session - tokens.mark(")") - group
    plain = [each.name for each in REDUCES.values() if not each.takes_probability]
    single = [each.name for each in REDUCES.values() if each.takes_probability]
    one = tokens.probability() - tokens.mark(",")
    each = build(one - pp.ZeroOrMore(tokens.probability() - tokens.mark(",")), _probabilities)
    return (
        build(tokens.reduce_name(*plain) - opening - ending, _build_reduction)
        | build(tokens.reduce_name(*single) - opening - one - ending, _build_quantile)
        | build(tokens.reduce_name(*map(several, single)) - opening - each - ending, _build_quantile)
        | _share_rule(rules, group)
    )


def _event(rules: EventRules) -> pp.ParserElement:
    return rules.event(bracketed(rules.value), default=None)


def _build_reduction(
    reduce: str,
    event: tuple[Any, ...],
    session: SessionBuild | None,
    group: Grouping | None,
    argument: Any = None,
) -> Reduction | SessionReduction:
    name, value, filters = event
    reduction = Reduction(reduce, name, value, filters, group, argument)
    return reduction if session is None else session(reduction)


def _build_quantile(
    name: str, argument: Any, event: Any, session: SessionBuild | None, group: Grouping | None
) -> Reduction | SessionReduction:
    reduce = next(each for each in REDUCES if name in (each, several(each)))
    return _build_reduction(reduce, event, session, group, argument)


def _probabilities(*found: float) -> tuple[float, ...]:
    return found


def _share_rule(rules: EventRules, group: pp.ParserElement) -> pp.ParserElement:
    """Return the rule of ``share(hit.ge(status,500))``, and of ``share(hit.eq(host,"a"),ge(status,500))``.

    It leaves what it stands for: the sum over the events that pass, by the sum over all of them, which also
    ranks the groups.
    """
    event = build(_event(rules), lambda name, value, *filters: (name, value, filters))
    condition = pp.Opt(tokens.mark(",") - rules.filter, default=None)
    rule = tokens.reduce_name("share") - tokens.mark("(") - event + condition - tokens.mark(")") - group

    def act(source: Any, place: int, found: pp.ParseResults) -> list[Product[Reduction]]:
        _, event, condition, group = found
        return [source.noted(_build_share(source, place, event, condition, group), place)]

    return rule.add_parse_action(act)


def _build_share(
    source: Source, place: int, event: tuple[Any, ...], condition: Filter | None, group: Grouping | None
) -> Product[Reduction]:
    name, value, filters = event
    if condition is None and not filters:
        problem = "Got a share without a condition; accepted is one such as share(hit.ge(status,500))"
        raise source.refusal(place, problem)
    passing, every = (filters, ()) if condition is None else ((*filters, condition), filters)
    unranked = None if group is None else replace(group, ranking=None)
    part = Reduction("sum", name, value, passing, unranked)
    return Product((("*", part), ("/", Reduction("sum", name, value, every, group))))
