"""Batches of raw BSON read as columns: all documents that look alike at once, without an object for any.

Most documents of a scan have the same names in the same order, and plain values. Those are walked together,
element by element, with numpy: at each step the next name is compared, and values are gathered by their kind.
What differs (another name, an object, an array, a date, …) is left to the caller, document by document.
Source of the layout: bsonspec.org, version 1.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from cube.model.event import ABSENT

Places: TypeAlias = npt.NDArray[np.int64]
Flags: TypeAlias = npt.NDArray[np.bool_]
Objects: TypeAlias = npt.NDArray[np.object_]

DOUBLE, STRING, BOOLEAN, NULL, INT32, INT64 = 1, 2, 8, 10, 16, 18

_SIZES: Final = np.full(256, -1, dtype=np.int64)
for _kind, _size in ((DOUBLE, 8), (STRING, 5), (BOOLEAN, 1), (NULL, 0), (INT32, 4), (INT64, 8)):
    _SIZES[_kind] = _size  # text has its length before it, and NUL behind

_FORMS: Final = {DOUBLE: "<f8", INT32: "<i4", INT64: "<i8"}
_HEAD: Final = 4  # a document begins with its length
_WORD: Final = 8  # bytes are compared by so many
_LONGEST_NAME: Final = 256
_SHAPES: Final = 8  # so many are tried; documents of other ones are left out
_FEWEST: Final = 16


@dataclass(frozen=True, slots=True)
class RawColumns:
    """What was read of n documents ``{t, d: {...}}`` or ``{t}``; arrays have shape (n,).

    ``read``: which were. ``objects``: which of those have ``d``. ``times``: milliseconds. ``values``: by
    name, `ABSENT` where there is none.
    """

    read: Flags
    objects: Flags
    times: Places
    values: dict[str, Objects]

    @classmethod
    def of(cls, batch: bytes, starts: Places, names: Sequence[str]) -> RawColumns:
        """Read what can be of the documents that begin at some places of a batch.

        ``names``: all that ``d`` may hold; a document with another one is left out.
        """
        count = len(starts)
        made = cls(
            np.zeros(count, dtype=np.bool_),
            np.zeros(count, dtype=np.bool_),
            np.zeros(count, dtype=np.int64),
            {name: np.full(count, ABSENT, dtype=np.object_) for name in names},
        )
        walk = _Walk(batch, starts, names)
        left = np.arange(count)
        for _ in range(_SHAPES):
            if len(left) < _FEWEST:
                break
            walk.read(left, made)
            left = left[1:][~made.read[left[1:]]]  # the first one was the example, or looks like none
        return made


class _Walk:
    """Walks documents of one batch."""

    def __init__(self, batch: bytes, starts: Places, names: Sequence[str]) -> None:
        self._batch = batch
        self._padded = batch + bytes(_LONGEST_NAME + 2 * _WORD)
        self._starts = starts
        self._stops = np.append(starts[1:], len(batch)).astype(np.int64)
        self._names = {name.encode(): name for name in names}
        self._texts = _Texts(batch)

    def read(self, rows: Places, made: RawColumns) -> None:
        """Read those of some documents that look like the first of them."""
        shape = self._shape(int(self._starts[rows[0]]), int(self._stops[rows[0]]))
        if shape is None:
            return
        cursor = _Cursor(self._padded, self._starts[rows] + _HEAD, self._stops[rows])
        cursor.expect(b"\x09t\0")
        times = cursor.numbers("<i8")
        cursor.move(_WORD)
        elements: list[tuple[str, Places, Places]] = []
        if shape:
            cursor.expect(b"\x03d\0")
            cursor.move(_HEAD)
            elements = [(self._names[name], *cursor.element(name)) for name in shape if name]
            cursor.expect(b"\0")
        cursor.expect(b"\0")
        alive = cursor.alive & (cursor.places == cursor.stops)
        found = rows[alive]
        made.read[found] = True
        made.objects[found] = bool(shape)
        made.times[found] = times[alive]
        for name, kinds, places in elements:
            self._put(made.values[name], found, kinds[alive], places[alive])

    def _shape(self, start: int, stop: int) -> list[bytes] | None:
        """Return the names in a document's data and an empty one; [] without data; None for another form."""
        batch, place = self._batch, start + _HEAD
        if batch[place : place + 3] != b"\x09t\0":
            return None
        place += 3 + _WORD
        if place == stop - 1:
            return []
        if batch[place : place + 3] != b"\x03d\0":
            return None
        place += 3 + _HEAD
        names: list[bytes] = []
        while batch[place]:
            kind, end = batch[place], batch.index(b"\0", place + 1)
            name, place = batch[place + 1 : end], end + 1
            size = int(_SIZES[kind])
            if size < 0 or name not in self._names or name in names or len(name) > _LONGEST_NAME:
                return None
            names.append(name)
            place += size - 1 + int.from_bytes(batch[place : place + 4], "little") if kind == STRING else size
        return [*names, b""] if place == stop - 2 else None

    def _put(self, values: Objects, rows: Places, kinds: Places, places: Places) -> None:
        """Put values of some kinds, which stand at some places, into rows of a column."""
        for kind in np.unique(kinds).tolist():
            some = slice(None) if (kinds == kind).all() else kinds == kind
            values[rows[some]] = self._values(kind, places[some])

    def _values(self, kind: int, places: Places) -> Objects | None:
        if kind == NULL:
            return None
        if kind == STRING:
            return self._texts.at(places, _at(self._padded, places, "<i4"))
        if kind == BOOLEAN:
            flags: Flags = _at(self._padded, places, "u1") != 0
            return flags.astype(np.object_)
        numbers: Objects = _at(self._padded, places, _FORMS[kind]).astype(np.object_)
        return numbers


class _Cursor:
    """A place in each of some documents. ``alive``: those in which all was as expected so far."""

    def __init__(self, padded: bytes, places: Places, stops: Places) -> None:
        self._padded = padded
        self.places = places
        self.stops = stops
        self.alive: Flags = np.ones(len(places), dtype=np.bool_)

    def move(self, by: int | Places) -> None:
        """Go on; never out of a document."""
        self.places = np.clip(self.places + by, 0, self.stops)

    def expect(self, text: bytes) -> None:
        """Go on behind a text that has to stand here."""
        for first in range(0, len(text), _WORD):
            part = text[first : first + _WORD]
            mask = np.int64(-1) if len(part) == _WORD else np.int64((1 << 8 * len(part)) - 1)
            word = np.int64(int.from_bytes(part.ljust(_WORD, b"\0"), "little", signed=True))
            self.alive &= (_at(self._padded, self.places + first, "<i8") & mask) == word
        self.move(len(text))

    def numbers(self, form: str) -> npt.NDArray[Any]:
        """Return the numbers that stand here."""
        return _at(self._padded, self.places, form)

    def element(self, name: bytes) -> tuple[Places, Places]:
        """Go on behind an element of a plain kind that has to be of this name; return kinds and places."""
        kinds = self.numbers("u1").astype(np.int64)
        self.move(1)
        self.expect(name + b"\0")
        at, sizes = self.places, _SIZES[kinds]
        is_text = kinds == STRING
        if is_text.any():
            lengths = self.numbers("<i4").astype(np.int64)
            sizes = np.where(is_text, _HEAD + lengths, sizes)
            self.alive &= ~is_text | (lengths > 0)
        self.alive &= sizes >= 0
        self.move(sizes)
        if is_text.any():
            self.alive &= ~is_text | (_at(self._padded, np.maximum(self.places - 1, 0), "u1") == 0)
        is_flag = kinds == BOOLEAN
        if is_flag.any():
            self.alive &= ~is_flag | (_at(self._padded, at, "u1") <= 1)
        return kinds, at


class _Texts(dict[bytes, str]):
    """The texts of a batch, each made once."""

    def __init__(self, batch: bytes) -> None:
        super().__init__()
        self._batch = batch

    def __missing__(self, encoded: bytes) -> str:
        text = self[encoded] = encoded.decode("utf-8", "replace")
        return text

    def at(self, places: Places, lengths: Places) -> Objects:
        """Return the texts at some places, each behind its length, which counts a NUL behind it."""
        batch, starts = self._batch, (places + _HEAD).tolist()
        stops = (places + (_HEAD - 1) + lengths).tolist()
        texts = np.empty(len(starts), dtype=np.object_)
        texts[:] = [self[batch[start:stop]] for start, stop in zip(starts, stops, strict=True)]
        return texts


def _at(padded: bytes, places: Places, form: str) -> npt.NDArray[Any]:
    """Return the numbers of a form at some places, wherever they are."""
    kind = np.dtype(form)
    everywhere = np.ndarray((len(padded) - kind.itemsize + 1,), kind, padded, 0, (1,))
    return everywhere[places]
