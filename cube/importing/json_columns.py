"""Columns of values as the JSON texts of rows: much faster than a row at a time, and with the same bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from cube.json_text import encode


def objects(names: Sequence[str], columns: Sequence[Sequence[bytes | None]]) -> list[bytes]:
    """Return each row as a JSON object, of columns of JSON texts; what is None is left out."""
    pieces: list[Sequence[bytes]] = []
    template = b""
    for name, column in zip(names, columns, strict=True):
        key = encode(name) + b":"
        if None in column:
            template += b"%b"
            pieces.append([b"" if value is None else b"%b%b," % (key, value) for value in column])
        else:
            template += key.replace(b"%", b"%%") + b"%b,"
            pieces.append(column)  # type: ignore[arg-type]  # none of them is None
    rows = zip(*pieces, strict=True)
    if template.endswith(b","):
        template = b"{%b}" % template[:-1]
        return [template % row for row in rows]
    return [b"{%b}" % (template % row)[:-1] for row in rows]


def texts(values: Sequence[str]) -> list[bytes]:
    """Return texts as JSON; raises `UnicodeEncodeError` where one is not Unicode."""
    encoded = msgspec.json.encode(values)
    if b"\\" in encoded or not values:  # else all quotes are those around texts
        return [msgspec.json.encode(value) for value in values]
    return [b'"%b"' % value for value in encoded[2:-2].split(b'","')]


def numbers(values: Sequence[float | None]) -> list[bytes | None]:
    """Return numbers as JSON, and None for what is none, or not finite."""
    if not values:
        return []
    encoded: list[Any] = msgspec.json.encode(values)[1:-1].split(b",")
    return [None if value == b"null" else value for value in encoded] if b"null" in encoded else encoded
