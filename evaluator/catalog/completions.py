"""Completions of an expression: what the grammar accepts at a place, and what the store has of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any, Final, Protocol

from cube.expression.completion import CompletionSpot, Expectation, ItemKind
from cube.expression.functions import FUNCTIONS
from cube.expression.nodes import Field
from cube.expression.operators import OPERATORS
from cube.expression.printer import print_literal
from cube.expression.tokens import CONDITIONS
from cube.model.reduce import REDUCES
from evaluator.catalog.fields import FieldTally, Path, field_text

MOST: Final = 50
"""Completions of one answer."""


class Known(Protocol):
    """What there is in the store, as far as the one who asks may know."""

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
                for item in await _OFFERS[kind](expectation, known):
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


async def _types(_: Expectation, known: Known) -> Iterator[dict[str, Any]]:
    return (_item(ItemKind.TYPE, name) for name in await known.types())


async def _fields(expectation: Expectation, known: Known) -> Iterator[dict[str, Any]]:
    fields = {} if expectation.type is None else await known.fields(expectation.type)
    ranked = sorted(fields.items(), key=lambda each: (-each[1].events, each[0]))
    return (_item(ItemKind.FIELD, field_text(path), ", ".join(tally.kind_names)) for path, tally in ranked)


async def _values(expectation: Expectation, known: Known) -> list[dict[str, Any]]:
    path = _names(expectation.field)
    tally = None if path is None or expectation.type is None else await known.values(expectation.type, path)
    if tally is None:
        return []
    return [
        _item(ItemKind.VALUE, print_literal(value), f"{events} events") for value, events in tally.literals()
    ]


async def _reduces(_: Expectation, __: Known) -> Iterator[dict[str, Any]]:
    return (
        _item(ItemKind.REDUCE, f"{each.name}(", each.words.format(name=each.name, argument="q"))
        for each in REDUCES.values()
    )


async def _filters(_: Expectation, __: Known) -> list[dict[str, Any]]:
    operators = [
        _item(ItemKind.FILTER, f"{each.name}(", each.words.format(name=each.name))
        for each in OPERATORS.values()
    ]
    return operators + [_item(ItemKind.FILTER, f"{name}(") for name in CONDITIONS]


async def _functions(_: Expectation, __: Known) -> Iterator[dict[str, Any]]:
    return (_item(ItemKind.FUNCTION, f"{each.name}(", each.words.format("…")) for each in FUNCTIONS.values())


async def _group(_: Expectation, __: Known) -> list[dict[str, Any]]:
    return [_item(ItemKind.GROUP, "group(", "for each value of a field, or of what is computed of fields")]


_OFFERS: Final[dict[ItemKind, Callable[[Expectation, Known], Awaitable[Iterable[dict[str, Any]]]]]] = {
    ItemKind.TYPE: _types,
    ItemKind.FIELD: _fields,
    ItemKind.REDUCE: _reduces,
    ItemKind.FILTER: _filters,
    ItemKind.FUNCTION: _functions,
    ItemKind.GROUP: _group,
    ItemKind.VALUE: _values,
}


def _names(field: Field | None) -> Path | None:
    """Return a field's path where it has names only."""
    if field is None:
        return None
    names = tuple(part for part in field.path if isinstance(part, str))
    return names if len(names) == len(field.path) else None
