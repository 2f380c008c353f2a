"""Rows of JSON as a table: which columns they have, and of which kind each is.

A field of an event's data is a column under the name that expressions have for it (``user.name``,
``headers["user-agent"]``); objects are taken apart, arrays are not. ``type``, ``time`` and ``id`` are the
event's own, ``made_id`` is an id that Cube has made, and ``data`` is data that is no object: a field that
would be called so has an underscore more.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import NoneType
from typing import Any, Final, TypeAlias

from cube.errors import InvalidRequest
from cube.model.event import ABSENT, OBJECT_ID
from cube.model.property import step

MOST_COLUMNS: Final = 1_000
"""Data whose names are values (a user's, an address) have a column for each; a table of those is none."""

Row: TypeAlias = dict[str, Any]

Rows: TypeAlias = Callable[[], Iterator[Sequence[Row]]]
"""Reads all rows from the first on, some at a time; called twice, for the columns and for what they hold."""

_EXACT: Final = 2**53
_RESERVED = re.compile(r"(?:type|time|id|made_id|data)_*")
_NAMES: dict[tuple[str, str], str] = {}
_MOST_NAMES: Final = 10_000


class ColumnKind(StrEnum):
    """What all values of a column are; ``JSON``: texts of JSON, of several kinds or of arrays."""

    TIME = "time"
    BOOL = "bool"
    INTEGER = "integer"
    FLOAT = "float"
    TEXT = "text"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class NamedColumn:
    """One column of a table; where a row has no value, or null, it is empty."""

    name: str
    kind: ColumnKind


class _Inexact:
    """Stands for integers that no float has."""


_KINDS: tuple[tuple[frozenset[type], ColumnKind], ...] = (
    (frozenset({bool}), ColumnKind.BOOL),
    (frozenset({int, _Inexact}), ColumnKind.INTEGER),
    (frozenset({int, float}), ColumnKind.FLOAT),
    (frozenset({str}), ColumnKind.TEXT),
)
"""The first line that has all kinds of a column's values is its kind; of none, it is JSON."""


EVENT_COLUMNS: Final[Mapping[str, ColumnKind]] = {"type": ColumnKind.TEXT, "time": ColumnKind.TIME}
"""The columns of events that are known before any is read."""


def columns_of(parts: Iterable[Sequence[Row]], known: Mapping[str, ColumnKind]) -> list[NamedColumn]:
    """Return the columns of rows: those that are ``known``, and the others in the order in which they come.

    Raises `InvalidRequest` where they are more than `MOST_COLUMNS`.
    """
    seen: dict[str, set[type]] = {name: set() for name in known}
    for rows in parts:
        for row in rows:
            for name, value in row.items():
                kind = value.__class__
                if kind is int and not -_EXACT <= value <= _EXACT:
                    kind = _Inexact
                kinds = seen.get(name)
                if kinds is None:
                    kinds = seen[name] = set()
                kinds.add(kind)
        if len(seen) > MOST_COLUMNS:
            raise InvalidRequest(
                f"The events have more than {MOST_COLUMNS} different fields; accepted are an expression that"
                " names those that are wanted, and JSON lines."
            )
    return [NamedColumn(name, known.get(name) or _kind(kinds)) for name, kinds in seen.items()]


def flat_event(event: Mapping[str, Any]) -> Row:
    """Return an event as a row."""
    row = {"type": event["type"], "time": event["time"]}
    id = event.get("id")
    if id.__class__ is dict:
        row["made_id"] = id[OBJECT_ID]
    elif id is not None:
        row["id"] = id
    data = event.get("data", ABSENT)
    if data.__class__ is dict:
        _flatten(row, "", data)
    elif data is not ABSENT:
        row["data"] = data
    return row


def _flatten(row: Row, prefix: str, data: dict[str, Any]) -> None:
    for name, value in data.items():
        column = _NAMES.get((prefix, name)) or _named(prefix, name)
        if value.__class__ is dict and value:
            _flatten(row, column, value)
        else:
            row[column] = value


def _named(prefix: str, name: str) -> str:
    """Return the name of the column of a property in what is at a prefix, "" for the data itself."""
    column = prefix + step(name) if prefix else step(name).removeprefix(".")
    if _RESERVED.fullmatch(column):
        column = f"{column}_"
    if len(_NAMES) < _MOST_NAMES:
        _NAMES[prefix, name] = column
    return column


def _kind(kinds: set[type]) -> ColumnKind:
    present = kinds - {NoneType}
    if not present:
        return ColumnKind.TEXT
    return next((kind for known, kind in _KINDS if present <= known), ColumnKind.JSON)
