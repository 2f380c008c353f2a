"""Fields of events as columns: their paths as expressions have them, their values in few characters."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from cube.cli.output import Row, TableColumn, time_text
from cube.client.evaluator import FoundEvent
from cube.json_text import encode
from cube.model import instant
from cube.model.event import ABSENT

DATA: Final = "data"
"""The column of data that is not an object."""

_NAME = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*", re.ASCII)


def path_text(names: Sequence[str]) -> str:
    """Return a path of names as an expression has it: ``user.name``, ``headers["user-agent"]``."""
    text = ""
    for name in names:
        if _NAME.fullmatch(name):
            text += f".{name}" if text else name
        else:
            text += f"[{encode(name).decode()}]"
    return text


def flattened(data: Any) -> dict[str, Any]:
    """Return the fields of an event's data by their paths; objects in it by theirs, arrays whole."""
    if data is ABSENT:
        return {}
    if not isinstance(data, Mapping):
        return {DATA: data}
    found: dict[str, Any] = {}
    pending: list[tuple[tuple[str, ...], Any]] = [((), data)]
    while pending:
        path, value = pending.pop()
        if isinstance(value, Mapping) and (value or not path):
            pending += [((*path, name), each) for name, each in reversed(list(value.items()))]
        else:
            found[path_text(path)] = value
    return found


def event_row(found: FoundEvent) -> Row:
    """Return an event as a row of JSON: as the evaluator tells it."""
    row: dict[str, Any] = {} if found.id is None else {"id": found.id}
    row["time"] = instant.format(found.time)
    return row if found.data is ABSENT else {**row, "data": found.data}


def event_table(events: Sequence[FoundEvent]) -> tuple[list[Row], list[TableColumn]]:
    """Return events as the rows of a table, and its columns: the fields that most events have come first."""
    rows: list[Row] = []
    fields = Counter[str]()
    numeric: dict[str, bool] = {}
    for found in events:
        own = flattened(found.data)
        fields.update(own.keys())
        for field, value in own.items():
            numeric[field] = numeric.get(field, True) and is_number(value)
        rows.append({"\0time": instant.format(found.time), **id_cell(found.id), **own})
    columns = [TableColumn("\0time", "time", whole=True, show=time_text)]
    for field, _ in fields.most_common():
        columns.append(field_column(field, is_numeric=numeric[field]))
    return rows, [*columns, TableColumn("\0id", "id", one_line=True)]


def field_column(field: str, *, is_numeric: bool) -> TableColumn:
    """Return the column of a field: one line for each event, whatever is in it."""
    return TableColumn(field, justify="right" if is_numeric else "left", one_line=True)


def id_cell(id: str | int | float | None) -> Mapping[str, Any]:
    """Return the cell of an event's id, in a column that no field is called like."""
    return {} if id is None else {"\0id": id}


def is_number(value: Any) -> bool:
    """Tell whether a value is a number; true and false are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)
