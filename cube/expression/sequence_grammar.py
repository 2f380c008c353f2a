"""The grammar of what looks at several events of a key: funnels, retention, sessions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, cast

import pyparsing as pp

from cube.expression import tokens
from cube.expression.arithmetic import bracketed
from cube.expression.event_grammar import EventRules, forget_field
from cube.expression.nodes import Cohorts, EventExpression, Field, Funnel, Reduction, SessionReduction
from cube.expression.printer import print_expression
from cube.expression.source import Source
from cube.expression.tokens import build
from cube.expression.traversal import walk
from cube.model.reduce import REDUCES

MOST_STEPS: Final = 32
"""Steps of a funnel; which of them an event passes is told by the bits of a number."""

MOST_PERIODS: Final = 366
"""Periods of a retention: each is a group of the answer."""

LENGTH: Final = "length"
"""The field of a session that is the milliseconds from its first event to its last one."""

EVENTS: Final = "events"
"""The field of a session that tells how many events it has."""


def sequence_rule(rules: EventRules) -> pp.ParserElement:
    """Return the rule of a funnel or a retention."""
    step = _selection(rules)
    funnel = _head(rules, "funnel") - step - tokens.mark(",") - step + pp.ZeroOrMore(tokens.mark(",") - step)
    periods = tokens.token("[0-9]+", f"a number of periods from 1 to {MOST_PERIODS}", _periods)
    returning = pp.Opt(tokens.mark(",") - step, default=None)
    retention = _head(rules, "retention") - periods - tokens.mark(",") - step - returning
    closing = tokens.mark(")")
    return build(funnel - closing, _build_funnel) | build(retention - closing, _build_retention)


def session_rule(rules: EventRules) -> pp.ParserElement:
    """Return the rule of ``.session(key, gap, value)`` and the filters after it.

    It leaves a function that makes the reduction of sessions of that of the events; raises as the grammar
    does.
    """
    comma = tokens.mark(",").add_parse_action(forget_field)
    value = pp.Opt(tokens.mark(",") - rules.value, default=None)
    gap = tokens.duration(multiple_of=1).add_parse_action(_note_sessions)
    arguments = bracketed(rules.value - comma - gap - value)
    session = tokens.mark(".") + tokens.token(r"session(?![\w$])", "session", _placed) - arguments
    return build(session - rules.filters(), _build_session)


def _note_sessions(source: str, _place: int, _found: pp.ParseResults) -> None:
    """Note that the fields that come are those of sessions."""
    cast("Source", source).of_sessions = True


SessionBuild = Callable[[Reduction], SessionReduction]


def _head(rules: EventRules, name: str) -> pp.ParserElement:
    """Return the rule of a name, a key and a length of time, up to the comma."""
    word = tokens.token(rf"{name}(?![\w$])", "a function of several events (funnel, retention)", _placed)
    comma = tokens.mark(",").add_parse_action(forget_field)
    return word - tokens.mark("(") - rules.value - comma - tokens.duration(multiple_of=1) - tokens.mark(",")


def _selection(rules: EventRules) -> pp.ParserElement:
    """Return the rule of events without fields."""
    rule = tokens.type_name() + rules.filters()
    return build(rule, lambda name, *filters: EventExpression(name, (), filters))


def _placed(source: Source, place: int, _found: str) -> Any:
    return source, place


def _periods(source: Source, place: int, found: str) -> Any:
    if len(found) > len(str(MOST_PERIODS)) or not 1 <= int(found) <= MOST_PERIODS:
        raise source.expecting(place, f"a number of periods from 1 to {MOST_PERIODS}")
    return int(found)


def _build_funnel(at: tuple[Source, int], key: Any, window: int, *steps: EventExpression) -> Funnel:
    if len(steps) > MOST_STEPS:
        source, place = at
        raise source.refusal(place, f"Got {len(steps)} steps, accepted are at most {MOST_STEPS}")
    return Funnel(key, window, steps)


def _build_retention(
    _at: tuple[Source, int],
    key: Any,
    period: int,
    periods: int,
    first: EventExpression,
    returning: EventExpression | None,
) -> Cohorts:
    return Cohorts(key, period, periods, first, returning)


def _build_session(at: tuple[Source, int], key: Any, gap: int, value: Any, *filters: Any) -> SessionBuild:
    source, place = at

    def make(of_events: Reduction) -> SessionReduction:
        if of_events.value is not None:
            problem = "Got a value of events before a session; of sessions it is session(user,30m,length)"
            raise source.refusal(place, problem)
        if REDUCES[of_events.reduce].ordered:
            raise source.refusal(place, f"Got sessions in {of_events.reduce}; accepted is any other reduce")
        events = EventExpression(of_events.type, (), of_events.filters)
        reduction = replace(of_events, value=value, filters=filters)
        if reduction.group is not None and reduction.group.ranking is not None:
            raise source.refusal(place, "Got a ranking of sessions; accepted are groups without one")
        for field in walk(reduction):
            if isinstance(field, Field) and field.path not in ((LENGTH,), (EVENTS,)):
                problem = f"Got the field {print_expression(field)} of a session"
                raise source.refusal(place, f"{problem}; accepted are {LENGTH} and {EVENTS}")
        return SessionReduction(key, gap, events, reduction)

    return make
