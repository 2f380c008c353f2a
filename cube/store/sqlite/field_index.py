"""Indexes on fields: expression indexes over the JSON of the events' data, by a field's key and the time.

A field's *key* is its text (the beginning of a long one) or its whole number. Events of which that does not
tell what a filter finds (arrays, on the way or at the end; fractions, which SQLite may read a last place off)
have the key `ODD`, and are looked at as well. Those with anything else there, or no such field, have none.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import msgspec

from cube.model.tier import Span
from cube.store.equality import FieldPath, Scalar, Wanted
from cube.store.sqlite.catalog import TypeEntry
from cube.store.sqlite.packs import PACK_MS

ODD: Final = "x''"

KEY_CHARACTERS: Final = 64
"""So much of a text is in its key."""

_VERSION = "1"
"""Of the keys: an index with another version in its name is not used."""


@dataclass(frozen=True, slots=True)
class Lookup:
    """How an index finds the events with a value: those with its key, and those with `ODD`."""

    index: str
    key: str
    value: Scalar

    @property
    def conditions(self) -> tuple[str, str]:
        """The conditions of the two parts of a statement; they take the value as ``:wanted``."""
        sought = f"substr(:wanted, 1, {KEY_CHARACTERS})" if isinstance(self.value, str) else ":wanted"
        return f"{self.key} = {sought}", f"{self.key} = {ODD}"

    @property
    def source(self) -> str:
        """What follows the table's name, so that no other index is used."""
        return f"INDEXED BY {self.index}"


def find(connection: sqlite3.Connection, entry: TypeEntry, wanted: Wanted) -> Lookup | None:
    """Return how an index finds events with one of some values; None where there is none."""
    sought = {path: value for path, value in wanted.items() if not _has_nul(value)}
    if not sought:
        return None
    there = set(fields(connection, entry))
    for path, value in sought.items():
        if path in there:
            return Lookup(index_name(entry, path), key(path), value)
    return None


def count(connection: sqlite3.Connection, entry: TypeEntry, lookup: Lookup, span: Span, most: int) -> int:
    """Count what an index finds in a span, up to ``most``; all that is packed is counted, for it is read."""
    parts = (
        f"SELECT 1 FROM {entry.events} {lookup.source} WHERE time >= :start AND time < :stop AND {condition}"  # noqa: S608 - our names
        for condition in lookup.conditions
    )
    packed = (
        f"SELECT coalesce(sum(events), 0) FROM (SELECT events FROM {entry.packs}"  # noqa: S608 - our names
        f" WHERE second > :start - {PACK_MS} AND second < :stop LIMIT :most)"
    )
    query = f"SELECT count(*) + ({packed}) FROM ({' UNION ALL '.join(parts)} LIMIT :most)"  # noqa: S608 - our names
    parameters = {"start": span.start, "stop": span.stop, "wanted": lookup.value, "most": most}
    (found,) = connection.execute(query, parameters).fetchone()
    return min(most, int(found))


def fields(connection: sqlite3.Connection, entry: TypeEntry) -> list[FieldPath]:
    """Return the fields that have an index, sorted."""
    prefix = _prefix(entry)
    names = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = ?", (entry.events,)
    )
    found = [name.removeprefix(prefix) for (name,) in names if name.startswith(prefix)]
    return sorted(tuple(msgspec.json.decode(text, type=list[str])) for text in found)


def key(path: FieldPath) -> str:
    """Return the SQL of a field's key; it makes no error of any text."""
    places = [_place(path[:length]) for length in range(len(path) + 1)]
    arrays = " OR ".join(f"json_type(data, {place}) = 'array'" for place in places)
    value = f"json_extract(data, {places[-1]})"
    return (
        f"CASE WHEN data IS NULL THEN NULL WHEN NOT json_valid(data) THEN {ODD} WHEN {arrays} THEN {ODD}"
        f" ELSE CASE json_type(data, {places[-1]}) WHEN 'text' THEN substr({value}, 1, {KEY_CHARACTERS})"
        f" WHEN 'integer' THEN {value} WHEN 'real' THEN {ODD} END END"
    )


def _has_nul(value: Scalar) -> bool:
    return isinstance(value, str) and "\0" in value  # SQLite ends such a text there


def _place(path: Iterable[str]) -> str:
    return _quoted("$" + "".join(f'."{name}"' for name in path), "'")


def _prefix(entry: TypeEntry) -> str:
    return f"{entry.events} field {_VERSION} "


def index_name(entry: TypeEntry, path: FieldPath) -> str:
    """Return the SQL of the name of a field's index."""
    return _quoted(_prefix(entry) + msgspec.json.encode(path).decode(), '"')


def _quoted(text: str, mark: str) -> str:
    return mark + text.replace(mark, 2 * mark) + mark
