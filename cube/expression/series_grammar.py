"""The part of the grammar that is about functions of series: ``rolling(expression, 7d)``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, cast

import pyparsing as pp

from cube.expression import tokens
from cube.expression.nodes import MetricExpression, SeriesCall
from cube.expression.printer import normal
from cube.expression.series_functions import NONE, PERCENT, PREVIOUS, UNITS, refused_within
from cube.expression.source import Source
from cube.expression.tokens import build

_Sorted: TypeAlias = "tuple[MetricExpression, int | None, str | int | float | None]"
"""The operand, the duration and the option of a call."""


def series_call_rule(metric: pp.ParserElement) -> pp.ParserElement:
    """Return the rule of the call of a function of series; ``metric``: the rule of what it is applied to."""
    comma, duration = tokens.mark(","), tokens.duration()
    unit = tokens.keyword(*UNITS, name=f"a unit ({', '.join(UNITS)})")
    percent = build(tokens.keyword(PERCENT), lambda each: each)
    number = tokens.number() | build(tokens.mark("-") - tokens.number(), lambda each: normal(-each))
    lag = duration - pp.Opt(comma - percent) | percent
    return (
        _call(("shift", "rolling"), metric - comma - duration, lambda node, length: (node, length, None))
        | _call(("cumulative",), metric, lambda node: (node, None, None))
        | _call(("per",), unit - comma - metric, lambda per, node: (node, None, per))
        | _call(("change",), metric - pp.Opt(comma - lag), _sort_change)
        | _call(
            ("fill",),
            metric - comma - (tokens.keyword(PREVIOUS, NONE) | number),
            lambda node, option: (node, None, option),
        )
    )


def _call(names: tuple[str, ...], inside: pp.ParserElement, sort: Callable[..., _Sorted]) -> pp.ParserElement:
    rule = tokens.series_name(*names) - tokens.mark("(") - inside - tokens.mark(")")

    def act(source: str, _place: int, found: pp.ParseResults) -> list[SeriesCall]:
        (name, place), *parts = found
        call = SeriesCall(name, *sort(*parts))
        _check(call, place, cast("Source", source))
        return [call]

    return rule.add_parse_action(act)


def _sort_change(operand: MetricExpression, *rest: Any) -> _Sorted:
    duration = rest[0] if rest and isinstance(rest[0], int) else None
    return operand, duration, PERCENT if PERCENT in rest else None


def _check(call: SeriesCall, place: int, source: Source) -> None:
    """Refuse a call around one that it cannot be around, at the place of that."""
    refused = refused_within(call.function, call.operand)
    if refused is not None:
        accepted = (
            "per(…) directly around it"
            if call.function == "per"
            else "reductions, arithmetic, shift(…) and per(…)"
        )
        problem = f"Got {refused.function}(…) within {call.function}(…), accepted: {accepted};"
        raise source.refusal(source.calls.get(id(refused), place), problem + " what is refused begins")
    source.calls[id(call)] = place
