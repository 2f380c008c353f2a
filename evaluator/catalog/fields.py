"""Fields as a sample of events shows them: their paths, kinds, and how often each value is there."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from typing import Any, Final, TypeAlias

from cube.columns.values import Kind, kind_of
from cube.expression import print_expression
from cube.expression.nodes import Field
from cube.expression.printer import normal
from cube.model import instant
from cube.model.event import ABSENT
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
_Key: TypeAlias = tuple[Kind, Any]
_LITERALS: Final = frozenset((Kind.NULL, Kind.BOOL, Kind.NUMBER, Kind.STRING))


@dataclass(slots=True)
class _Met:
    """What one event has at a path: values, and elements of the arrays among them."""

    in_array: bool
    values: list[Any] = field(default_factory=list)
    elements: list[Any] = field(default_factory=list)


@dataclass(slots=True)
class FieldTally:
    """What a sample has of one field.

    ``events``: those that have it. ``kinds``: in how many of them it has each kind. ``in_array``: it was met
    in objects in arrays, where filters reach it and values do not. ``values``: in how many events each value
    is that is not an object or an array, at most `MAX_VALUES`; ``is_cut``: there are more.
    """

    events: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    in_array: bool = False
    values: Counter[_Key] = field(default_factory=Counter)
    is_cut: bool = False

    def add(self, met: _Met) -> None:
        """Count what one event has of it."""
        self.events += 1
        self.in_array = self.in_array or met.in_array
        self.kinds.update({KINDS[kind_of(value)] for value in met.values})
        keys = {_key(kind_of(value), value) for value in chain(met.values, met.elements)}
        for key in keys:
            if key is None:
                continue
            if key in self.values or len(self.values) < MAX_VALUES:
                self.values[key] += 1
            else:
                self.is_cut = True

    def top(self, limit: int, prefix: str = "") -> list[tuple[Scalar, int]]:
        """Return the most frequent values that can be shown, and in how many events each is.

        Only those whose text begins with a prefix, in capitals or not; equally frequent ones by their text.
        """
        wanted = prefix.casefold()
        shown = [
            (-count, text_of(value), value)
            for (kind, value), count in self.values.items()
            if kind is not Kind.OTHER
        ]
        fitting = sorted(
            (each for each in shown if each[1].casefold().startswith(wanted)), key=lambda each: each[:2]
        )
        return [(value, -negated) for negated, _, value in fitting[:limit]]

    def literals(self) -> list[tuple[Scalar, int]]:
        """Return the values that a filter can compare with, the most frequent first: no dates."""
        known = [each for each in self.values.items() if each[0][0] in _LITERALS]
        known.sort(key=lambda each: (-each[1], text_of(each[0][1])))
        return [(value, count) for (_, value), count in known]


class FieldTallies:
    """Counts the fields of events, one event after another.

    ``only``: the one path that is counted; None counts all. ``is_cut``: there are more than `MAX_FIELDS`.
    """

    def __init__(self, only: Path | None = None) -> None:
        self.fields: dict[Path, FieldTally] = {}
        self.is_cut = False
        self._only = only

    @property
    def needed(self) -> tuple[str, ...] | None:
        """The top-level names of the data that are counted; None is all of them."""
        return None if self._only is None else self._only[:1]

    def add(self, data: Any) -> None:
        """Count what one event's data has; nothing of data that is not an object."""
        if data is ABSENT or not isinstance(data, dict):
            return
        met: dict[Path, _Met] = {}
        _walk(data, (), _Met(False), met, self._only)
        for path, its in met.items():
            tally = self._tally(path)
            if tally is not None:
                tally.add(its)

    def _tally(self, path: Path) -> FieldTally | None:
        tally = self.fields.get(path)
        if tally is None:
            if len(self.fields) >= MAX_FIELDS:
                self.is_cut = True
                return None
            tally = self.fields[path] = FieldTally()
        return tally


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


def _walk(data: dict[str, Any], path: Path, outer: _Met, met: dict[Path, _Met], only: Path | None) -> None:
    """Gather what is at each path of an object, those of objects in arrays among them."""
    for name, value in data.items():
        here = (*path, name)
        if not is_property(name) or (only is not None and here != only[: len(here)]):
            continue
        its = met.setdefault(here, _Met(outer.in_array))
        its.values.append(value)
        if isinstance(value, dict):
            _walk(value, here, its, met, only)
        elif isinstance(value, list):
            inside = _Met(True)
            for item in value:
                if isinstance(item, dict):
                    _walk(item, here, inside, met, only)
                else:
                    its.elements.append(item)


def _key(kind: Kind, value: Any) -> _Key | None:
    """Return what a value is counted as; None where it is not."""
    match kind:
        case Kind.NULL | Kind.BOOL:
            return kind, value
        case Kind.STRING:
            return (kind, str(value)) if len(value) <= MAX_TEXT else (Kind.OTHER, hash(value))
        case Kind.NUMBER if math.isfinite(value):
            return kind, normal(value if isinstance(value, int) else float(value))
        case Kind.DATE if isinstance(value, datetime):
            return kind, instant.format(instant.from_datetime(value))
        case _:
            return None
