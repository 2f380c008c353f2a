"""Tables as CSV (RFC 4180), a line a row.

An empty cell is no value, and ``""`` is empty text, as PostgreSQL has it. Texts stand as they are, true and
false as words, numbers, arrays and empty objects as JSON; an id that is a text of digits has JSON's quotes.
Whether 1 is a text or a number elsewhere, only JSON and Parquet tell.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, BinaryIO, Final

from cube import json_text
from cube.exporting.table import NamedColumn, Rows

_QUOTED = re.compile(r'[",\r\n]|\A\s|\s\Z|\A\Z')


_NO_PLAIN_ID = re.compile(r'["\\]|-?[0-9.]+(?:[eE][+-]?[0-9]+)?\Z')


def write_csv(to: BinaryIO, columns: Sequence[NamedColumn], rows: Rows) -> None:
    """Write a table with a header line, in UTF-8; raises `OSError`."""
    names = [column.name for column in columns]
    to.write((",".join(map(_text, names)) + "\n").encode())
    for some in rows():
        lines = [",".join([_WRITERS.get(name, _cell)(row.get(name)) for name in names]) for row in some]
        to.write(("\n".join(lines) + "\n").encode() if lines else b"")


def _id(value: Any) -> str:
    """Write an id; a text that would be read as a number stands in quotes, as in JSON."""
    if value.__class__ is str and _NO_PLAIN_ID.match(value):
        return _text(json_text.encode(value).decode())
    return _cell(value)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if value.__class__ is str:
        return _text(value)
    return _text(json_text.encode(value).decode())


def _text(text: str) -> str:
    if _QUOTED.search(text) is None:
        return text
    return '"' + text.replace('"', '""') + '"'


_WRITERS: Final = {"id": _id}
"""Columns whose cells are written in another way."""
