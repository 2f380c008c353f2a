"""What may replace or follow a place in an expression that is being written, the likeliest first.

What may come at a place the grammar itself says; of types, fields and values it is what the store has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, Protocol

from cube.expression.completion import CompletionSpot, Expectation, ItemKind
from cube.expression.functions import FUNCTIONS, Function
from cube.expression.nodes import Field
from cube.expression.operators import CONDITIONS, OPERATORS
from cube.expression.printer import print_literal
from cube.expression.reduce_names import several
from cube.expression.sequence_functions import FUNNEL, RETENTION, SESSION
from cube.expression.sequence_grammar import EVENTS, LENGTH
from cube.expression.series_functions import NONE, PERCENT, PREVIOUS, SERIES_FUNCTIONS, UNITS
from cube.model.reduce import REDUCES
from evaluator.catalog.fields import FieldTally, Path, field_text

MOST: Final = 50
"""Completions of one answer."""

MOST_TOLD: Final = 200
"""Characters of what a name stands for."""


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
