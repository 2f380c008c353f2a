"""An expression that is being written: its canonical text and its words, or what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cube.columns import check, reductions
from cube.columns.key_filter import Restriction
from cube.errors import AccessDenied, CubeError, InvalidExpression, InvalidRequest
from cube.expression import parse_event, parse_metric, print_expression
from cube.expression.bins import bins
from cube.expression.explanation import explain
from cube.expression.nodes import EventExpression, Field, MetricExpression, Reduction, Value


@dataclass(slots=True)
class _Readings:
    """What a text is: its readings by kind, and the errors of the others."""

    readings: dict[str, MetricExpression | EventExpression] = field(default_factory=dict)
    errors: list[InvalidExpression] = field(default_factory=list)


def described(text: str, restriction: Restriction | None) -> dict[str, Any]:
    """Return what a text is, as an answer tells it; CPU-bound, some milliseconds for a long one.

    ``readings``: as a metric or an event expression, as both or as neither; the canonical text and the words
    of each, and the reductions of a metric. ``error``: of a text that is neither, of the reading that got
    further; or why it cannot be evaluated.
    """
    read = _Readings()
    for kind, parse in _PARSERS.items():
        try:
            read.readings[kind] = parse(text)
        except InvalidExpression as error:
            read.errors.append(error)
    readings = [_reading(kind, tree) for kind, tree in read.readings.items()]
    return {"readings": readings, "error": _error(text, read, restriction)}


def _reading(kind: str, tree: MetricExpression | EventExpression) -> dict[str, Any]:
    told = {"kind": kind, "expression": print_expression(tree), "explanation": explain(tree)}
    if isinstance(tree, EventExpression):
        return told
    return {**told, "reductions": [_reduction(each) for each in dict.fromkeys(reductions(tree))]}


def _reduction(reduction: Reduction) -> dict[str, Any]:
    """Return which events a reduction is made of, and what of them."""
    type, value, filters, group = reduction.type, reduction.value, reduction.filters, reduction.group
    return {
        "expression": print_expression(reduction),
        "reduce": reduction.reduce,
        "type": type,
        "value": None if value is None else print_expression(value),
        "filters": [print_expression(each) for each in filters],
        "group": print_expression(group) if isinstance(group, Field) else None,
        "bins": None if group is None else _bins(group),
        "events": print_expression(EventExpression(type, None, filters)),
    }


def _bins(group: Value) -> dict[str, Any] | None:
    found = bins(group)
    if found is None:
        return None
    return {
        "value": print_expression(found.value),
        "is_field": isinstance(found.value, Field),
        "base": found.base,
        "step": found.step,
        "width": found.width,
    }


def _error(text: str, read: _Readings, restriction: Restriction | None) -> dict[str, Any] | None:
    if not read.readings:
        return _told(text, max(read.errors, key=lambda each: (each.line, each.column)))
    refusals = [refusal for tree in read.readings.values() if (refusal := _refusal(text, tree, restriction))]
    return _told(text, refusals[0]) if len(refusals) == len(read.readings) else None


def _refusal(
    text: str, tree: MetricExpression | EventExpression, restriction: Restriction | None
) -> CubeError | None:
    """Return why an expression that parses is refused: a bad pattern, or a type that is not allowed."""
    try:
        check(tree, text)
        if restriction is not None and isinstance(tree, EventExpression):
            restriction.event(tree)
        elif restriction is not None and not isinstance(tree, EventExpression):
            restriction.metric(tree)
    except (InvalidRequest, AccessDenied) as error:
        return error
    return None


def _told(text: str, error: CubeError) -> dict[str, Any]:
    """Return an error with its place, which one of the whole text has not."""
    placed = error if isinstance(error, InvalidExpression) else None
    return {
        "error": error.message,
        "line": None if placed is None else placed.line,
        "column": None if placed is None else placed.column,
        "position": None if placed is None else _position(text, placed),
    }


def _position(text: str, error: InvalidExpression) -> int:
    """Return the place of an error as an index into the text."""
    before = text.split("\n", error.line - 1)[: error.line - 1]
    return sum(len(line) + 1 for line in before) + error.column - 1


_PARSERS: dict[str, Callable[[str], MetricExpression | EventExpression]] = {
    "metric": parse_metric,
    "event": parse_event,
}
