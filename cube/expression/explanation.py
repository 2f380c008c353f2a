"""Expressions in plain words: what a tree asks, as a person would say it.

``mean(request(ms).ge(status,500)).group(host)`` is "the mean of ms over the request events where status is at
least 500, for each host". How a reduce, an operator and a function are said stands with them, in `REDUCES`,
`OPERATORS` and `FUNCTIONS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeGuard, assert_never

from cube.expression.bins import bins
from cube.expression.functions import FUNCTIONS
from cube.expression.nodes import (
    FILTERS,
    And,
    Call,
    Cohorts,
    Comparison,
    EventExpression,
    Exists,
    Field,
    Filter,
    Funnel,
    GroupPart,
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
from cube.expression.operators import OPERATORS
from cube.expression.printer import Operand, print_expression, print_literal, print_number, quote
from cube.expression.series_functions import SERIES_FUNCTIONS
from cube.model import duration as durations
from cube.model.reduce import REDUCES

_LONG = (
    Sum,
    Product,
    Call,
    SeriesCall,
    Funnel,
    Cohorts,
    SessionReduction,
    Comparison,
    Relation,
    Exists,
    Or,
    And,
    Not,
)
"""What stands in brackets where it is part of something larger."""

_SIGNS = {"+": "plus", "-": "minus", "*": "times", "/": "divided by"}


def explain(expression: MetricExpression | EventExpression) -> str:
    """Return what an expression asks, as one phrase without a full stop; its names are as they are written.

    Its length is bounded as the expression's is, times a small number.
    """
    if not isinstance(expression, EventExpression):
        return _operand(expression)
    match expression.fields:
        case None:
            told = "all data"
        case ():
            told = "the times"
        case fields:
            told = _listed([print_expression(each) for each in fields], "and")
    return f"{told} of the {expression.type} events{_where(expression.filters)}"


def _operand(node: Operand) -> str:
    match node:
        case Number() | Field() | Text():
            return print_expression(node)
        case Call():
            return _call(node)
        case Reduction() | Funnel() | Cohorts() | SessionReduction() | SeriesCall():
            return _measured(node)
        case Negation() | Sum() | Product():
            return _chain(node)
        case Comparison() | Relation() | Exists() | Or() | And() | Not():
            return f"whether {_filter(node)}"
        case _:
            assert_never(node)


def _measured(node: Reduction | SequenceExpression | SeriesCall) -> str:
    match node:
        case Reduction():
            return _reduction(node)
        case SeriesCall():
            return _series_call(node)
        case Funnel(key, window, steps):
            told = ", then ".join(map(_events, steps))
            within = durations.format(window)
            return f"how many values of {_operand(key)} have {told}, all within {within} of the first"
        case Cohorts(key, period, periods, first, returning):
            back = _events(first if returning is None else returning)
            later = f"each of the {print_number(periods)} later periods of {durations.format(period)}"
            begun = f"how many values of {_operand(key)} have their first {_events(first)}"
            return f"{begun}, and how many of them have {back} in {later}"
        case SessionReduction(key, gap, events, reduction):
            joined = f"{_events(events)} of one {_operand(key)}, at most {durations.format(gap)} apart"
            return _reduction(reduction, f"sessions ({joined})")
        case _:
            assert_never(node)


def _call(node: Call) -> str:
    function = FUNCTIONS[node.function]
    if not node.arguments:
        return "the time of the event"
    told = [_filter(each) if _is_filter(each) else _bracketed(each) for each in node.arguments]
    if function.repeats:
        told = [", ".join(told)]
    more = function.more if len(told) == len(function.parameters) else ""
    return (function.words + more).format(*told)


def _is_filter(value: Operand) -> TypeGuard[Filter]:
    return isinstance(value, FILTERS)


def _chain(node: Negation[Any] | Sum[Any] | Product[Any]) -> str:
    if isinstance(node, Negation):
        return f"minus {_bracketed(node.operand)}"
    (_, first), *parts = node.terms if isinstance(node, Sum) else node.factors
    return " ".join([_bracketed(first), *(f"{_SIGNS[sign]} {_bracketed(part)}" for sign, part in parts)])


def _bracketed(node: Operand) -> str:
    """Return what is part of something larger: in brackets, where it could be read as more or less."""
    is_long = isinstance(node, _LONG) or (
        isinstance(node, Reduction) and (bool(node.filters) or node.group is not None)
    )
    return f"({_operand(node)})" if is_long else _operand(node)


def _events(selection: EventExpression) -> str:
    return f"{selection.type} events{_where(selection.filters)}"


def _reduction(node: Reduction, what: str = "") -> str:
    """Say a reduction; ``what``: of what, unless of events of its type."""
    what = what or f"{node.type} events"
    reduce = REDUCES[node.reduce]
    given = node.arguments or (() if node.argument is None else (node.argument,))
    argument = _listed([print_number(each) for each in given if not isinstance(each, tuple)], "and")
    words = reduce.words if node.value is not None or not reduce.of_events else reduce.of_events
    name = reduce.name if node.arguments is None else f"{reduce.name}s"
    measured = words.format(name=name.replace("_", " "), argument=argument)
    if argument and "{argument}" not in words:
        measured = f"{measured.removesuffix(' of')} ({argument}) of"
    value = "1" if node.value is None else _bracketed(node.value)
    over = "" if node.value is None and reduce.of_events else f"{value} over the "
    group = "" if node.group is None else _grouping(node)
    return f"{measured} {over}{what}{_where(node.filters)}{group}"


def _series_call(node: SeriesCall) -> str:
    duration = None if node.duration is None else durations.format(node.duration)
    return SERIES_FUNCTIONS[node.function].say(_bracketed(node.operand), duration, node.option)


def _grouping(node: Reduction) -> str:
    group = node.group
    if group is None:
        return ""
    each = f", for each {_listed([_part(part) for part in group.parts], 'and')}"
    if group.ranking is None:
        return each
    extreme = "largest" if group.ranking.end == "top" else "smallest"
    by = "" if group.ranking.by is None else f" by {_operand(group.ranking.by)}"
    return f"{each}; of the whole time only the {group.ranking.count} {extreme}{by}, and the rest as one"


def _part(part: GroupPart) -> str:
    otherwise = "" if part.otherwise is None else f" ({quote(part.otherwise)} where there is none)"
    return (f"element of {_operand(part.value)}" if part.each else _group(part.value)) + otherwise


def _group(group: Value) -> str:
    found = bins(group)
    if found is not None and found.base is None:
        return f"bin of {_bracketed(found.value)} that is {print_number(found.width)} wide"
    if found is not None and found.width == 1:
        return f"bin of {_bracketed(found.value)} between powers of {found.base}"
    return _operand(group) if isinstance(group, Field) else f"value of {_operand(group)}"


def _where(filters: Sequence[Filter]) -> str:
    conditions = _listed([_filter(each) for each in filters], "and")
    return f" where {conditions}" if conditions else ""


def _filter(filter: Filter) -> str:
    match filter:
        case Comparison(name, value, literal):
            words = OPERATORS[name].words.format(name=name.replace("_", " "))
            return f"{_bracketed(value)} {words} {print_literal(literal)}"
        case Relation(name, value, other):
            words = OPERATORS[name].words.format(name=name)
            return f"{_bracketed(value)} {words} {_bracketed(other)}"
        case Exists(value):
            return f"{_bracketed(value)} exists"
        case Or(filters):
            return _listed([_filter(each) for each in filters], "or", bracketed=True)
        case And(filters):
            return _listed([_filter(each) for each in filters], "and", bracketed=True)
        case Not(negated):
            return f"not ({_filter(negated)})"
        case _:
            assert_never(filter)


def _listed(items: Sequence[str], last: str, *, bracketed: bool = False) -> str:
    if len(items) < 2:
        return "".join(items)
    text = f" {last} ".join(items)
    return f"({text})" if bracketed else text
