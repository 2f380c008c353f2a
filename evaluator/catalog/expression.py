"""An expression that is being written: its text and words, what is wrong with it, and how it may go on.

What may come at a place the grammar itself says; of types, fields and values it is what the store has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import starmap
from typing import Any, Final, Protocol

from cube.columns import check, reductions
from cube.columns.key_filter import Restriction
from cube.errors import AccessDenied, CubeError, InvalidExpression, InvalidRequest
from cube.expression import parse_event, parse_metric, print_expression
from cube.expression.bins import bins
from cube.expression.completion import CompletionSpot, Expectation, ItemKind
from cube.expression.definitions import Definitions
from cube.expression.explanation import explain
from cube.expression.functions import FUNCTIONS, Function
from cube.expression.nodes import (
    EventExpression,
    Field,
    Grouping,
    GroupPart,
    MetricExpression,
    Reduction,
    Value,
)
from cube.expression.operators import OPERATORS
from cube.expression.printer import print_literal, print_part
from cube.expression.sequence_functions import FUNNEL, RETENTION, SESSION, funnel_steps
from cube.expression.sequence_grammar import EVENTS, LENGTH
from cube.expression.series_functions import NONE, PERCENT, PREVIOUS, SERIES_FUNCTIONS, UNITS
from cube.expression.tokens import CONDITIONS, several
from cube.model.reduce import REDUCES
from evaluator.catalog.fields import FieldTally, Path, field_text

MOST: Final = 50
"""Completions of one answer."""

MOST_TOLD: Final = 200
"""Characters of what a name stands for."""


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


class Known(Protocol):
    """What there is in the store, as far as the one who asks may know."""

    async def named(self) -> dict[str, str]:
        """Return the names of expressions, each with what it stands for."""

    async def types(self) -> list[str]:
        """Return the names of all types, sorted."""

    async def fields(self, type: str) -> dict[Path, FieldTally]:
        """Return the fields of a sample of a type's events."""

    async def values(self, type: str, path: Path) -> FieldTally | None:
        """Return one field of a larger sample."""


async def completions(places: Iterable[CompletionSpot], text: str, known: Known) -> dict[str, Any]:
    """Return what may replace which part of a text: ``start``, ``stop`` and ``items``, the likeliest first.

    Nothing, at the last place, where there is nothing to offer.
    """
    found: dict[str, Any] = {"start": None, "stop": None, "items": []}
    for place in places:
        items = await _items(place, known)
        follows = text[place.stop : place.stop + 1]
        fitting = [item for item in items if _fits(item, place.prefix)][:MOST]
        if fitting:
            shown = [{**item, "text": _without(item["text"], follows)} for item in fitting]
            return {"start": place.start, "stop": place.stop, "items": shown}
    return found


async def _items(place: CompletionSpot, known: Known) -> list[dict[str, Any]]:
    types = await known.types()
    # "sum(" may begin an event expression of a type "sum": only where there is one is it meant.
    wanted = [each for each in place.expectations if each.type is None or each.type in types]
    items: dict[tuple[str, str], dict[str, Any]] = {}
    for expectation in wanted or place.expectations:
        for kind in ItemKind:
            if kind in expectation.kinds:
                for item in await _offered(kind, expectation, known):
                    items.setdefault((item["kind"], item["text"]), item)
    return list(items.values())


def _fits(item: dict[str, Any], prefix: str) -> bool:
    text: str = item["text"].casefold()
    wanted = prefix.casefold().replace("'", '"')
    return text.startswith(wanted) or (item["kind"] == ItemKind.VALUE and text.startswith(f'"{wanted}'))


def _without(text: str, follows: str) -> str:
    """Leave out a bracket that stands there already."""
    return text[:-1] if follows == "(" and text.endswith("(") else text


def _item(kind: ItemKind, text: str, words: str = "") -> dict[str, Any]:
    return {"text": text, "kind": kind.value, "detail": words}


async def _offered(kind: ItemKind, expectation: Expectation, known: Known) -> Iterable[dict[str, Any]]:
    """Return all that is of a kind where one is expected."""
    if kind in LANGUAGE:
        return LANGUAGE[kind]()
    if kind is ItemKind.NAME:
        return [_item(kind, name, words[:MOST_TOLD]) for name, words in (await known.named()).items()]
    if kind is ItemKind.TYPE:
        return [_item(kind, name) for name in await known.types()]
    if expectation.of_sessions:
        return _SESSION_FIELDS if kind is ItemKind.FIELD else []
    if expectation.type is None:
        return []
    if kind is ItemKind.FIELD:
        fields = await known.fields(expectation.type)
        ranked = sorted(fields.items(), key=lambda each: (-each[1].events, each[0]))
        return [_item(kind, field_text(path), ", ".join(tally.kind_names)) for path, tally in ranked]
    path = _names(expectation.field)
    tally = None if path is None else await known.values(expectation.type, path)
    values = [] if tally is None else tally.literals()
    return [_item(kind, print_literal(value), f"{events} events") for value, events in values]


_SESSION_FIELDS: Final = (
    _item(ItemKind.FIELD, LENGTH, "milliseconds from its first event to its last"),
    _item(ItemKind.FIELD, EVENTS, "how many it has"),
)


def _filters() -> Iterator[dict[str, Any]]:
    for each in OPERATORS.values():
        yield _item(ItemKind.FILTER, f"{each.name}(", each.words.format(name=each.name))
    for name, words in CONDITIONS.items():
        yield _item(ItemKind.FILTER, f"{name}(", words)


def _function(each: Function) -> dict[str, Any]:
    return _item(ItemKind.FUNCTION, f"{each.name}(", each.words.format(*"abc"))


LANGUAGE: Final[dict[ItemKind, Callable[[], Iterable[dict[str, Any]]]]] = {
    ItemKind.REDUCE: lambda: (
        [
            _item(ItemKind.REDUCE, f"{each.name}(", each.words.format(name=each.name, argument="q"))
            for each in REDUCES.values()
        ]
        + [
            _item(
                ItemKind.REDUCE,
                f"{several(each.name)}(",
                each.words.format(name=several(each.name), argument="several"),
            )
            for each in REDUCES.values()
            if each.takes_probability
        ]
        + [_item(ItemKind.REDUCE, "share(", "the part of the events, or of a sum, that passes filters")]
    ),
    ItemKind.FILTER: _filters,
    ItemKind.FUNCTION: lambda: [*map(_function, FUNCTIONS.values()), *_filters()],
    ItemKind.SERIES: lambda: [
        _item(ItemKind.SERIES, f"{each.name}(", each.detail) for each in SERIES_FUNCTIONS.values()
    ],
    ItemKind.UNIT: lambda: [_item(ItemKind.UNIT, unit, "a rate per " + unit) for unit in UNITS],
    ItemKind.DURATION: lambda: [_item(ItemKind.DURATION, text) for text in ("1w", "1d", "7d", "1h", "5m")],
    ItemKind.PERCENT: lambda: [_item(ItemKind.PERCENT, PERCENT, "in percent of what was before")],
    ItemKind.STAND_IN: lambda: [
        _item(ItemKind.STAND_IN, PREVIOUS, "the last value before"),
        _item(ItemKind.STAND_IN, "0", "zero, or another number"),
        _item(ItemKind.STAND_IN, NONE, "nothing, also in place of zeros"),
    ],
    ItemKind.EACH: lambda: [_item(ItemKind.EACH, "each(", "for each element of an array")],
    ItemKind.GROUP: lambda: [_item(ItemKind.GROUP, "group(", "for each value of a field")],
    ItemKind.RANKING: lambda: [
        _item(ItemKind.RANKING, "top(", "the largest groups, and the rest as one"),
        _item(ItemKind.RANKING, "bottom(", "the smallest groups, and the rest as one"),
    ],
    ItemKind.SEQUENCE: lambda: [
        _item(ItemKind.SEQUENCE, f"{each.name}(", each.detail) for each in (FUNNEL, RETENTION)
    ],
    ItemKind.SESSION: lambda: [_item(ItemKind.SESSION, f"{SESSION.name}(", SESSION.detail)],
}
"""What the language itself has of some kinds."""


def _names(field: Field | None) -> Path | None:
    """Return a field's path where it has names only."""
    if field is None:
        return None
    names = tuple(part for part in field.path if isinstance(part, str))
    return names if len(names) == len(field.path) else None
