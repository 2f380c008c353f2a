"""Columns packed into arrays: the same values in a tenth of the memory, and ready for numpy.

A packed column keeps numbers as floats, texts as codes into a table of different texts, and null, missing
and booleans in the kinds alone. What arrays do not tell (integers beyond 2**53, arrays, objects, dates)
is kept as it is, by row. What is read of a packed column equals what is read of the `Column` it was made of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from cube.columns.block import Block
from cube.columns.column import Column, Numbered, Rows, searched, stored
from cube.columns.packed_column import NO_NUMBER, Codes, Kept, PackedColumn, Texts
from cube.columns.values import EXACT_BOUND, Floats, Kind, Path

Columns: TypeAlias = "Mapping[tuple[str, Path], PackedColumn]"
"""By reading and path: "stored" is what values and groups read, "searched" what filters look at."""


class PackedBlock(Block):
    """A block of which only the columns at some ``paths`` are there, packed; it has no ids and no other data.

    To read a column that it lacks raises `KeyError`.
    """

    __slots__ = ("paths",)

    def __init__(self, times: npt.NDArray[np.int64], columns: Columns) -> None:
        super().__init__(times, ())
        self.columns.update(columns)
        self.paths = frozenset(path for _, path in columns)

    @classmethod
    def of(cls, block: Block, paths: Iterable[Path]) -> PackedBlock:
        """Pack the columns at some paths of a block."""
        columns: dict[tuple[str, Path], PackedColumn] = {}
        for path in paths:
            found = columns["searched", path] = pack(searched(block, path))
            # What filters look at differs only where the path meets an array, or asks for an element.
            is_same = not len(found.origins) and all(isinstance(part, str) for part in path)
            columns["stored", path] = found if is_same else pack(stored(block, path))
        return cls(block.times, columns)

    @property
    def packed(self) -> Columns:
        return self.columns  # type: ignore[return-value]  # nothing else is put there

    @property
    def bytes(self) -> int:
        columns = {id(column): column for column in self.packed.values()}
        return self.times.nbytes + sum(column.bytes for column in columns.values())

    def rows(self, start: int, stop: int) -> PackedBlock:
        if start == 0 and stop >= len(self):
            return self
        stop = min(stop, len(self))
        block = PackedBlock(self.times[start:stop], _each(self.packed, lambda each: each.part(start, stop)))
        block.span = self._span_of(start, stop)
        return block

    def named(self, name: str) -> list[Any] | None:
        """Refuse: the column was not packed."""
        raise KeyError(name)

    @property
    def data(self) -> Sequence[Any]:
        """Refuse: whole data are not packed."""
        raise KeyError("data")

    def beside(self, other: PackedBlock) -> PackedBlock:
        """Return a block of the same events that has the columns of both."""
        return PackedBlock(self.times, {**self.packed, **other.packed})


def _each(columns: Columns, change: Callable[[PackedColumn], PackedColumn]) -> Columns:
    """Return changed columns; those that were the same still are."""
    changed = {id(column): change(column) for column in columns.values()}
    return {key: changed[id(column)] for key, column in columns.items()}


def pack(column: Column) -> PackedColumn:
    """Return a column as arrays."""
    return _of_one_kind(column) or _of_any_kind(column)


def _of_one_kind(column: Column) -> PackedColumn | None:
    """Pack a column of texts alone, or of numbers that floats tell, in two passes; None of any other."""
    values, classes = column.values, set(map(type, column.values))
    numbers: Floats = np.broadcast_to(NO_NUMBER, len(values))
    codes, numbering = None, Numbered[str]()
    if classes == {str}:
        kind = Kind.STRING
        codes = np.fromiter(map(numbering.__getitem__, values), np.int32, len(values))
    elif classes and classes <= {int, float}:
        kind = Kind.NUMBER
        try:
            numbers = np.fromiter(values, np.float64, len(values))
        except OverflowError:
            return None
        if not (np.abs(numbers) < EXACT_BOUND).all():
            return None
    else:
        return None
    nothing = Kept(np.zeros(0, dtype=np.intp), ())
    return PackedColumn(
        np.broadcast_to(np.uint8(kind), len(values)),
        numbers,
        codes,
        Texts(numbering),
        nothing,
        nothing,
        column.rest,
        whole=column.whole,
    )


def _of_any_kind(column: Column) -> PackedColumn:
    kinds = column.kinds
    present = set(np.flatnonzero(np.bincount(kinds)).tolist())
    numbers = (
        column.numbers if present & {Kind.NUMBER, Kind.BOOL} else np.broadcast_to(NO_NUMBER, kinds.shape)
    )
    codes, texts = _packed_texts(column) if Kind.STRING in present else (None, Texts())
    told = (kinds == Kind.MISSING) | (kinds == Kind.NULL) | (kinds == Kind.STRING) | (kinds == Kind.BOOL)
    if Kind.NUMBER in present:
        told |= (kinds == Kind.NUMBER) & (np.abs(numbers) < EXACT_BOUND)
    arrays = np.flatnonzero(kinds == Kind.ARRAY) if len(column.origin) else np.zeros(0, dtype=np.intp)
    return PackedColumn(
        np.broadcast_to(np.uint8(present.pop()), kinds.shape) if len(present) == 1 else kinds,
        numbers,
        codes,
        texts,
        _kept(column.values, np.flatnonzero(~told)),
        _kept(column.origin, arrays),
        column.rest,
        whole=column.whole,
    )


def _kept(values: Sequence[Any], rows: Rows) -> Kept:
    return Kept(rows, [values[row] for row in rows.tolist()])


def _packed_texts(column: Column) -> tuple[Codes, Texts]:
    rows = np.flatnonzero(column.kinds == Kind.STRING)
    codes = np.full(len(column.kinds), -1, dtype=np.int32)
    codes[rows], texts = column.text_codes(rows)
    return codes, Texts(texts)
