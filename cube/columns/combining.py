"""Several values as one: the text of a JSON array, such as ``["ann",3]``; ``combine(user, 3)``."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from json.encoder import encode_basestring

import numpy as np
import numpy.typing as npt

from cube.columns.column import Keys, Rows, renumbered
from cube.columns.packed_column import NO_NUMBER, Kept, PackedColumn, Texts
from cube.columns.values import Kind, Scalar, group_of


def combined_text(values: Sequence[Scalar]) -> str:
    """Return the text that stands for some values together; equal numbers have one, whatever their class."""
    return f"[{','.join(map(_part, values))}]"


def combined(columns: Sequence[PackedColumn]) -> PackedColumn:
    """Return the column of the texts of those rows in which each of some columns has a value.

    Rows are told apart by the codes of their values; texts are made when they are asked for.
    """
    told = np.logical_and.reduce([column.kinds != Kind.MISSING for column in columns])
    rows = np.flatnonzero(told)
    first, *others = (_coded(column, rows) for column in columns)
    numbers, used = renumbered(first.codes, first.count)
    made: _Combination = _Combination(None, first, used)
    for part in others:
        numbers, used = renumbered(numbers * part.count + part.codes, len(made.used) * part.count)
        made = _Combination(made, part, used)
    codes = np.full(len(told), -1, dtype=np.int32)
    codes[rows] = numbers
    kinds = np.where(told, np.uint8(Kind.STRING), np.uint8(Kind.MISSING))
    return _CombinedColumn(kinds, codes, made)


@dataclass(frozen=True, eq=False, slots=True)
class _Coded:
    """The values of one column as codes below ``count``, and what makes the JSON of each code's value."""

    codes: npt.NDArray[np.int64]
    count: int
    parts: Callable[[], Sequence[str]]


def _coded(column: PackedColumn, rows: Rows) -> _Coded:
    if column.codes is not None and (column.kinds[rows] == Kind.STRING).all():
        codes, texts = column.text_codes(rows)
        return _Coded(codes, max(1, len(texts)), lambda: list(map(encode_basestring, texts)))
    codes, parts = column.factorised(rows, _KEYS)
    return _Coded(codes, max(1, len(parts)), lambda: parts)


@dataclass(frozen=True, eq=False, slots=True)
class _Combination:
    """The different combinations, numbered from 0: each ``used`` is one before times a width, plus a code."""

    before: _Combination | None
    last: _Coded
    used: npt.NDArray[np.int64]

    def texts(self) -> list[str]:
        """Return the parts of each combination, joined by commas."""
        before, codes = np.divmod(self.used, self.last.count)
        parts = self.last.parts()
        own = [parts[code] for code in codes.tolist()]
        if self.before is None:
            return own
        told = self.before.texts()
        return [f"{told[place]},{part}" for place, part in zip(before.tolist(), own, strict=True)]


class _CombinedColumn(PackedColumn):
    """A column of combinations; ``texts`` are made when they are first asked for."""

    def __init__(
        self, kinds: npt.NDArray[np.uint8], codes: npt.NDArray[np.int32], made: _Combination
    ) -> None:
        numbers, nothing = np.broadcast_to(NO_NUMBER, kinds.shape), Kept(np.zeros(0, dtype=np.intp), ())
        super().__init__(kinds, numbers, codes, Texts(), nothing, nothing, (), whole=True)
        self._made = made

    @property
    def text_count(self) -> int:
        return len(self._made.used)

    @property
    def texts(self) -> Texts:
        return self._told

    @cached_property
    def _told(self) -> Texts:
        return Texts(f"[{text}]" for text in self._made.texts())


def _part(value: Scalar) -> str:
    return json.dumps(group_of(value), ensure_ascii=False)


_KEYS: Keys[str] = Keys(_part, lambda texts: list(map(encode_basestring, texts)))
