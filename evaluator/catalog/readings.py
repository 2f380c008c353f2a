"""What a text is that may be an expression: each of its readings in words and in parts, or what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import starmap
from typing import Any

from cube.columns import check, reductions
from cube.columns.key_filter import Restriction
from cube.errors import AccessDenied, CubeError, InvalidExpression, InvalidRequest
from cube.expression import parse_event, parse_metric, print_expression
from cube.expression.bins import bins
from cube.expression.definitions import Definitions
from cube.expression.explanation import explain
from cube.expression.nodes import (
    EventExpression,
    Field,
    Grouping,
    GroupPart,
    MetricExpression,
    Reduction,
    Value,
)
from cube.expression.printer import print_part
from cube.expression.reduce_names import several
from cube.expression.sequence_functions import funnel_steps


def described(
    text: str, restriction: Restriction | None, definitions: Definitions | None = None
) -> dict[str, Any]:
    """Return what a text is, as an answer tells it; CPU-bound, some milliseconds for a long one.

    ``readings``: as a metric or an event expression, as both or as neither; the canonical text and the words
    of each, and the reductions of a metric. ``error``: of a text that is neither, of the reading that got
    further; or why it cannot be evaluated. ``has_names``: whether saved names are in it, so that all of
    this may change.
    """
    trees: dict[str, MetricExpression | EventExpression] = {}
    errors: list[InvalidExpression] = []
    parsers: dict[str, Callable[[], MetricExpression | EventExpression]] = {
        "metric": lambda: parse_metric(text, definitions),
        "event": lambda: parse_event(text),
    }
    for kind, parse in parsers.items():
        try:
            trees[kind] = parse()
        except InvalidExpression as error:
            errors.append(error)
    has_names = "metric" in trees and _has_names(text, definitions)
    refusals = {kind: _refusal(text, tree, restriction, has_names) for kind, tree in trees.items()}
    refused: CubeError | None = None
    if not trees:
        refused = max(errors, key=lambda each: (each.line, each.column))
    elif all(refusals.values()):
        refused = next(iter(refusals.values()))
    if has_names and isinstance(refusals["metric"], AccessDenied):
        del trees["metric"]  # what a name stands for is not told to who may not see it
    told = None if refused is None else _told(text, refused)
    return {"readings": list(starmap(_reading, trees.items())), "error": told, "has_names": has_names}


def parsed(
    text: str, restriction: Restriction | None, definitions: Definitions | None
) -> MetricExpression | EventExpression:
    """Return what a text, which is an expression, is first of all: a metric where it may be asked as one."""
    try:
        tree = parse_metric(text, definitions)
        return tree if _refusal(text, tree, restriction, has_names=True) is None else parse_event(text)
    except InvalidExpression:
        return parse_event(text)


def _has_names(text: str, definitions: Definitions | None) -> bool:
    if definitions is None or not definitions.texts:
        return False
    try:
        parse_metric(text)
    except InvalidExpression:
        return True
    return False


def _reading(kind: str, tree: MetricExpression | EventExpression) -> dict[str, Any]:
    told = {"kind": kind, "expression": print_expression(tree), "explanation": explain(tree)}
    if isinstance(tree, EventExpression):
        return told
    read = [_reduction(each) for each in dict.fromkeys(reductions(tree))]
    return {**told, "reductions": read, "steps": funnel_steps(tree)}


def _reduction(reduction: Reduction) -> dict[str, Any]:
    """Return which events a reduction is made of, and what of them."""
    type, value, filters, group = reduction.type, reduction.value, reduction.filters, reduction.group
    return {
        "expression": print_expression(reduction),
        "reduce": reduction.reduce if reduction.arguments is None else several(reduction.reduce),
        "type": type,
        "value": None if value is None else print_expression(value),
        "filters": [print_expression(each) for each in filters],
        **_grouped(group),
        "events": print_expression(EventExpression(type, None, filters)),
    }


def _grouped(group: Grouping | None) -> dict[str, Any]:
    """Return what the groups are: of a single part what it is, and of each of them."""
    parts = () if group is None else group.parts
    shown = [_part(part) for part in parts]
    single = shown[0] if len(shown) == 1 else {"field": None, "otherwise": None, "bins": None}
    ranking = None if group is None or group.ranking is None else group.ranking
    return {
        "group": single["field"],
        "otherwise": single["otherwise"],
        "bins": single["bins"],
        "groups": shown,
        "ranking": None if ranking is None else {"end": ranking.end, "count": ranking.count},
    }


def _part(part: GroupPart) -> dict[str, Any]:
    return {
        "text": print_part(replace(part, otherwise=None)),
        "field": print_expression(part.value) if isinstance(part.value, Field) else None,
        "each": part.each,
        "otherwise": part.otherwise,
        "bins": _bins(part.value),
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


def _refusal(
    text: str, tree: MetricExpression | EventExpression, restriction: Restriction | None, has_names: bool
) -> CubeError | None:
    """Return why an expression that parses is refused: a bad pattern, or a type that is not allowed."""
    try:
        check(tree, text)
        if restriction is not None and isinstance(tree, EventExpression):
            restriction.event(tree)
        elif restriction is not None and not isinstance(tree, EventExpression):
            (restriction.named if has_names else restriction.metric)(tree)
    except (InvalidRequest, AccessDenied) as error:
        return error
    return None


def _told(text: str, error: CubeError) -> dict[str, Any]:
    """Return an error with its place, also as an index into the text; one of the whole text has none."""
    told: dict[str, Any] = {"error": error.message, "line": None, "column": None, "position": None}
    if isinstance(error, InvalidExpression):
        before = text.split("\n", error.line - 1)[: error.line - 1]
        position = sum(len(line) + 1 for line in before) + error.column - 1
        told |= {"line": error.line, "column": error.column, "position": position}
    return told


def askable(definitions: Definitions, restriction: Restriction | None) -> dict[str, str]:
    """Return the names that stand for something that one may ask for, each with what that is."""
    found: dict[str, str] = {}
    for name in definitions:
        try:
            tree = definitions.tree(name)
            if restriction is not None:
                restriction.metric(tree)
        except (InvalidRequest, AccessDenied):
            continue
        found[name] = print_expression(tree)
    return found
