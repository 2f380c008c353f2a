"""Fields as a sample of events shows them: their paths, kinds, and how often each value is there."""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, TypeAlias

from cube.columns.values import Kind, kind_of
from cube.expression import print_expression
from cube.expression.nodes import Field
from cube.expression.printer import normal
from cube.model import instant
from cube.model.property import is_property

MAX_FIELDS: Final = 1_000
"""So many paths are told apart; of a type that has more, the first that were met."""

MAX_VALUES: Final = 1_000
"""So many different values of a field are counted."""

MAX_TEXT: Final = 256
"""A longer text counts as a value, but is not shown."""

KINDS: Final = {
    Kind.NULL: "null",
    Kind.NUMBER: "number",
    Kind.STRING: "string",
    Kind.OBJECT: "object",
    Kind.ARRAY: "array",
    Kind.OTHER: "other",
    Kind.BOOL: "boolean",
    Kind.DATE: "date",
}
"""How the kinds of values are called in answers."""

Scalar: TypeAlias = "str | int | float | bool | None"
Path: TypeAlias = tuple[str, ...]
_Shown: TypeAlias = "tuple[Kind | None, Scalar, int]"
_Key: TypeAlias = "str | int | float | tuple[Kind, Any]"
"""What a value is counted as: strings and numbers as they are (1 = 1.0), others by their kind."""


@dataclass(slots=True)
class FieldTally:
    """What a sample has of one field.

    ``events``: those that have it. ``kinds``: in how many of them it has each kind. ``in_array``: it was met
    in objects in arrays, where filters reach it and values do not. ``values``: in how many events each value
    is that is not an object or an array, at most `MAX_VALUES`; ``is_cut``: there are more.
    """

    events: int = 0
    kinds: Counter[Kind] = field(default_factory=Counter)
    in_array: bool = False
    values: dict[_Key, int] = field(default_factory=dict)
    is_cut: bool = False

    def add(self, value: Any, kind: Kind) -> None:
        """Count the one value that an event has of it."""
        self.events += 1
        self.kinds[kind] += 1
        if kind is not Kind.OBJECT and kind is not Kind.ARRAY:
            self.count(_key(value, kind))

    def add_all(self, found: list[Any]) -> None:
        """Count the values that an event has of it, in objects in arrays: each different one once."""
        self.events += 1
        self.in_array = True
        self.kinds.update({kind_of(value) for value in found})
        for key in {_key(value, kind_of(value)) for value in found}:
            self.count(key)

    def count(self, key: _Key | None) -> None:
        """Count a value that an event has; None is one that is not counted."""
        if key is None:
            return
        known = self.values.get(key)
        if known is not None:
            self.values[key] = known + 1
        elif len(self.values) < MAX_VALUES:
            self.values[key] = 1
        else:
            self.is_cut = True

    @property
    def kind_names(self) -> list[str]:
        """The kinds as answers call them, the most frequent first."""
        return [KINDS[kind] for kind, _ in self.kinds.most_common()]

    def top(self, limit: int, prefix: str = "") -> list[tuple[Scalar, int]]:
        """Return the most frequent values that can be shown, and in how many events each is.

        Only those whose text begins with a prefix, in capitals or not; equally frequent ones by their text.
        """
        wanted = prefix.casefold()
        found = [each for each in self._shown() if text_of(each[1]).casefold().startswith(wanted)]
        return [(value, count) for _, value, count in heapq.nsmallest(limit, found, key=_by_frequency)]

    def literals(self) -> list[tuple[Scalar, int]]:
        """Return the values that a filter can compare with, in the same order: no dates."""
        shown = sorted(self._shown(), key=_by_frequency)
        return [(value, count) for kind, value, count in shown if kind is not Kind.DATE]

    def _shown(self) -> list[_Shown]:
        found: list[_Shown] = []
        for key, count in self.values.items():
            match key:
                case (Kind.OTHER, _):
                    continue
                case (kind, value):
                    found.append((kind, value, count))
                case str():
                    found.append((None, key, count))
                case _:
                    found.append((None, normal(key if isinstance(key, int) else float(key)), count))
        return found


class FieldTallies:
    """Counts the fields of events, one event after another.

    ``only``: the one path that is counted; None counts all. ``is_cut``: there are more than `MAX_FIELDS`.
    """

    def __init__(self, only: Path | None = None) -> None:
        self.is_cut = False
        self._only = only
        self._root = _Node(())
        self._nodes: list[_Node] = []

    @property
    def fields(self) -> dict[Path, FieldTally]:
        return {node.path: node.tally for node in self._nodes if self._only in (None, node.path)}

    @property
    def needed(self) -> tuple[str, ...] | None:
        """The top-level names of the data that are counted; None is all of them."""
        return None if self._only is None else self._only[:1]

    def add(self, data: Any) -> None:
        """Count what one event's data has; nothing of data that is not an object."""
        if isinstance(data, dict):
            self._add(self._root, data)

    def _add(self, node: _Node, data: dict[str, Any]) -> None:
        """Count an object that is in no array: its paths are met once in an event."""
        children = node.children
        for name, value in data.items():
            child = children.get(name) or self._child(node, name)
            if child is None:
                continue
            kind = kind_of(value)
            child.tally.add(value, kind)
            if kind is Kind.OBJECT:
                self._add(child, value)
            elif kind is Kind.ARRAY:
                self._add_array(child, value)

    def _add_array(self, node: _Node, items: list[Any]) -> None:
        met: dict[_Node, list[Any]] = {}
        for key in {_key(item, kind_of(item)) for item in self._gather(node, items, met)}:
            node.tally.count(key)
        for inner, found in met.items():
            inner.tally.add_all(found)

    def _gather(self, node: _Node, items: list[Any], met: dict[_Node, list[Any]]) -> Iterator[Any]:
        """Give the elements of an array, and gather what the objects among them have, by path."""
        for item in items:
            if isinstance(item, dict):
                for name, value in item.items():
                    child = node.children.get(name) or self._child(node, name)
                    if child is None:
                        continue
                    values = met.setdefault(child, [])
                    values.append(value)
                    if isinstance(value, (dict, list)):
                        inside = value if isinstance(value, list) else [value]
                        values.extend(self._gather(child, inside, met))
            elif not isinstance(item, list):
                yield item

    def _child(self, node: _Node, name: str) -> _Node | None:
        """Make the place of a path; None where it is not counted."""
        path = (*node.path, name)
        if not is_property(name) or (self._only is not None and path != self._only[: len(path)]):
            return None
        if len(self._nodes) >= MAX_FIELDS:
            self.is_cut = True
            return None
        child = node.children[name] = _Node(path)
        self._nodes.append(child)
        return child


class _Node:
    """A path, and those that lead on from it."""

    __slots__ = ("children", "path", "tally")

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tally = FieldTally()
        self.children: dict[str, _Node] = {}


def _by_frequency(each: _Shown) -> tuple[int, str]:
    return -each[2], text_of(each[1])


def text_of(value: Scalar) -> str:
    """Return the text of a value as a prefix is compared with it: a string as it is, others as in JSON."""
    match value:
        case str():
            return value
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case _:
            return repr(value)


def field_text(path: Path) -> str:
    """Return a path as the expression language writes it."""
    return print_expression(Field(path))


def _key(value: Any, kind: Kind) -> _Key | None:
    """Return what a value is counted as; None where it is not."""
    match kind:
        case Kind.STRING:
            return str(value) if len(value) <= MAX_TEXT else (Kind.OTHER, hash(value))
        case Kind.NUMBER:
            return value if math.isfinite(value) else None
        case Kind.NULL | Kind.BOOL:
            return kind, value
        case Kind.DATE if isinstance(value, datetime):
            return kind, instant.format(instant.from_datetime(value))
        case _:
            return None
