"""Tables that ``cube export`` has made, as events again: with their types, times and ids, and data as it was.

Columns have the names of fields in expressions (``user.name``, ``headers["user-agent"]``); see
`cube.exporting.table`, which writes them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any, Final

import msgspec

from cube.model.event import OBJECT_ID, is_type

COLUMNS: Final = ("type", "time")
"""The first columns of each export; ``id`` or ``made_id`` is among the others."""

_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z", re.ASCII)
_STEP = re.compile(r'\.?([^.\["]+)|\[("(?:[^"\\]|\\.)*")\]')
_PATH = re.compile(rf"(?:{_STEP.pattern})+")
_UNDERSCORED = re.compile(r"(?:type|time|id|made_id|data)_+")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?", re.ASCII)


def is_export(names: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Tell whether rows of text, the first of a table, are an export's.

    All have a type that events can have, a time just as Cube writes it, and an id of their own: so what is
    taken for an export by mistake is still stored as it should be, as long as no id comes again further down.
    """
    if tuple(names[: len(COLUMNS)]) != COLUMNS or not rows or {"id", "made_id"}.isdisjoint(names):
        return False
    places = [names.index(name) for name in ("id", "made_id") if name in names]
    ids = [tuple(row[place] for place in places) for row in rows]
    return (
        all(is_type(row[0]) and _TIME.fullmatch(row[1]) for row in rows)
        and all(sum(map(bool, id)) == 1 for id in ids)
        and len({(row[0], id) for row, id in zip(rows, ids, strict=True)}) == len(rows)
    )


def event_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the event that a row of an export is."""
    event: dict[str, Any] = {name: row[name] for name in ("type", "time", "id") if row.get(name) is not None}
    if row.get("made_id") is not None:
        event["id"] = {OBJECT_ID: row["made_id"]}
    data: dict[str, Any] = {}
    for name, value in row.items():
        if name not in ("type", "time", "id", "made_id", "data") and value is not None:
            _put(data, name, value)
    if data or row.get("data") is not None:
        event["data"] = data or row["data"]
    return event


def id_of(cell: str | None) -> Any:
    """Return the id that a cell of CSV says: a number, text, or text in quotes that would be a number.

    What no export has, such as a quote without its other, is text as it stands.
    """
    if cell is not None and (_NUMBER.fullmatch(cell) or cell.startswith('"')):
        with suppress(msgspec.DecodeError, UnicodeError):
            return msgspec.json.decode(cell)
    return cell


def value_of(cell: Any) -> Any:
    """Return what a cell of CSV says: arrays and empty objects stand as JSON."""
    if isinstance(cell, str) and (cell.startswith("[") or cell == "{}"):
        try:
            return msgspec.json.decode(cell)
        except (msgspec.DecodeError, RecursionError, UnicodeError):
            return cell
    return cell


def _put(data: dict[str, Any], column: str, value: Any) -> None:
    *path, last = _steps(column)
    place = data
    for name in path:
        place = place.setdefault(name, {})
        if not isinstance(place, dict):  # which no export has: a field that is an object, and is none
            data[column] = value
            return
    place[last] = value


@lru_cache(maxsize=4096)
def _steps(column: str) -> Sequence[str]:
    """Return the names of properties that lead to a column's values."""
    if _UNDERSCORED.fullmatch(column):
        return (column[:-1],)
    if _PATH.fullmatch(column) is None:
        return (column,)
    return [name or json.loads(quoted) for name, quoted in _STEP.findall(column)]
