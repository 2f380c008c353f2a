"""The events of keys: whose each one is, when, and which selections it passes, as three arrays.

A funnel, a retention and sessions look at the events of one key after another, of whatever type. What they
need of an event is here 20 bytes, and of a key one number, wherever its value came from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from cube.columns.block import Block
from cube.columns.column import Numbered, Rows
from cube.columns.evaluation import evaluated, keys, mask, present
from cube.columns.values import Kind, Path
from cube.expression.nodes import EventExpression, Field, Value
from cube.expression.traversal import walk
from cube.model.tier import Span

Codes = npt.NDArray[np.int64]
Marks = npt.NDArray[np.uint32]

_KeyOf: TypeAlias = bytes | str
"""What tells keys apart: a text is its own, of all else the canonical bytes."""

_EVENT_BYTES: Final = 20
_KEY_BYTES: Final = 160  # an entry of a dict, and what it refers to

_TABLES: Final = 64
"""So many tables of texts are kept, each about as long as the texts of a block."""


@dataclass(frozen=True, slots=True)
class KeyEvents:
    """Some events, each of shape (n,), in any order.

    ``keys``: numbers from 0 that stand for the keys' values; ``times``: instants; ``marks``: bit i of an
    event's tells that it passes selection i.
    """

    keys: Codes
    times: Codes
    marks: Marks


class KeyNumbers:
    """Numbers for the different values of keys, the same in all blocks; ``key``: what each event's is."""

    def __init__(self, key: Value) -> None:
        self._key = key
        self._numbers = Numbered[_KeyOf]()
        self._tables: dict[int, tuple[Sequence[str], Codes]] = {}

    def __len__(self) -> int:
        return len(self._numbers)

    @property
    def bytes(self) -> int:
        tables = sum(table.nbytes for _, table in self._tables.values())
        return _KEY_BYTES * len(self._numbers) + tables

    def read(self, selections: Sequence[EventExpression], type: str, block: Block, span: Span) -> KeyEvents:
        """Return those events of a block of a type that pass a selection, have a key and are in a span.

        A key is what "distinct" takes: of a field any value but null, as it is; else a number.
        """
        marks = np.zeros(len(block), dtype=np.uint32)
        for place, selection in enumerate(selections):
            if selection.type == type:
                marks |= mask(selection.filters, block).astype(np.uint32) << np.uint32(place)
        times = block.times
        taken = (marks != 0) & (times >= span.start) & (times < span.stop)
        rows = np.flatnonzero(taken & present(self._key, block)) if taken.any() else np.zeros(0, np.intp)
        if not len(rows):
            return KeyEvents(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.uint32))
        return KeyEvents(self._numbered(block, rows), times[rows], marks[rows])

    def _numbered(self, block: Block, rows: Rows) -> Codes:
        column = evaluated(self._key, block)
        if (column.kinds[rows] == Kind.STRING).all():
            return self._of_texts(*column.text_codes(rows))
        codes, found = keys(self._key, block, rows)
        return self._new(list(map(_text_or_key, found)))[codes]

    def _of_texts(self, codes: Codes, texts: Sequence[str]) -> Codes:
        """Number texts by a table, which is kept: the pieces of a block share their texts."""
        known = self._tables.get(id(texts))
        table = np.full(len(texts), -1, dtype=np.int64) if known is None else known[1]
        used = np.flatnonzero(np.bincount(codes))
        missing = used[table[used] < 0]
        table[missing] = self._new([texts[code] for code in missing.tolist()])
        if known is None:
            if len(self._tables) >= _TABLES:
                self._tables.clear()
            self._tables[id(texts)] = texts, table
        return table[codes]

    def _new(self, keys: Sequence[_KeyOf]) -> Codes:
        return np.fromiter(map(self._numbers.__getitem__, keys), np.int64, len(keys))


def _text_or_key(key: bytes) -> _KeyOf:
    return key[1:].decode("utf-8", "surrogatepass") if key[:1] == b"s" else key


class KeyEventList:
    """Gathers the events of several blocks; ``bytes``: about what they and their keys take."""

    def __init__(self, key: Value, selections: Sequence[EventExpression]) -> None:
        self.numbers = KeyNumbers(key)
        self._selections = selections
        self._parts: list[KeyEvents] = []
        self._count = 0

    @property
    def bytes(self) -> int:
        return _EVENT_BYTES * self._count + self.numbers.bytes

    def add(self, type: str, block: Block, span: Span) -> None:
        """Take in the events of a block of a type that are in a span."""
        found = self.numbers.read(self._selections, type, block, span)
        if len(found.keys):
            self._parts.append(found)
            self._count += len(found.keys)

    def joined(self) -> KeyEvents:
        """Return all events."""
        if not self._parts:
            return KeyEvents(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.uint32))
        return KeyEvents(
            np.concatenate([part.keys for part in self._parts]),
            np.concatenate([part.times for part in self._parts]),
            np.concatenate([part.marks for part in self._parts]),
        )


def key_paths(key: Value, selections: Sequence[EventExpression], type: str) -> frozenset[Path]:
    """Return the paths of the columns of a type that a key and selections read."""
    parts: list[object] = [key, *(each.filters for each in selections if each.type == type)]
    return frozenset(field.path for part in parts for field in walk(part) if isinstance(field, Field))


def labelled(keys: Codes, times: Codes, first: int, stop: int) -> Codes:
    """Return one number for each event that orders events by key, then by time.

    All times are in ``[first, stop)``; the number is ``key * (stop - first) + time - first``.
    """
    return keys * np.int64(stop - first) + (times - first)
