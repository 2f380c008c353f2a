"""Packed columns: values as arrays, a table of the different texts, and what neither of them tells.

What is read of a packed column equals what is read of the `Column` it was made of.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from functools import cached_property
from typing import Any, TypeAlias, overload

import numpy as np
import numpy.typing as npt

from cube.columns.column import Booleans, Column, Key, Keys, Rows, numbered, of_rows, renumbered
from cube.columns.values import Floats, Kind, Path
from cube.model.event import ABSENT

Kinds: TypeAlias = npt.NDArray[np.uint8]
Codes: TypeAlias = npt.NDArray[np.int32]

# About what one takes beside its content; a text also what two functions may have made of it.
_TEXT_BYTES, _KEPT_BYTES = 76, 200
NO_NUMBER = np.float64(np.nan)


class PackedColumn(Column):
    """A column of n rows as arrays.

    ``kinds``: uint8, shape (n,). ``numbers``: float64, shape (n,). ``codes``: int32, shape (n,), places in
    ``texts``, -1 for no text; None where no row has one. ``kept``: the values that arrays do not tell.
    ``origin``: of the rows where a filter's path meets an array.
    """

    def __init__(
        self,
        kinds: Kinds,
        numbers: Floats,
        codes: Codes | None,
        texts: Texts,
        kept: Kept,
        origin: Kept,
        rest: Path,
        *,
        whole: bool,
    ) -> None:
        super().__init__((), origin, rest, whole=whole)
        self.kinds = kinds
        self.numbers = numbers
        self.codes = codes
        self._texts = texts
        self.kept = kept
        self.origins = origin

    @property
    def values(self) -> Sequence[Any]:
        """The values, made when asked for: were they kept, arrays would outlive their use in a cycle."""
        return _Values(self)

    @property
    def is_exact(self) -> bool:
        """Whether all rows are numbers, each the very float in ``numbers``."""
        return self.kind == Kind.NUMBER and not len(self.kept)

    @property
    def texts(self) -> Texts:
        """The texts that codes are places in."""
        return self._texts

    @property
    def bytes(self) -> int:
        arrays: list[npt.NDArray[Any]] = [self.kinds, self.numbers]
        if self.codes is not None:
            arrays.append(self.codes)
        kept = _KEPT_BYTES * (len(self.kept) + len(self.origins))
        return sum(array.nbytes for array in arrays if array.strides != (0,)) + self.texts.bytes + kept

    def at(self, rows: Rows) -> Sequence[Any]:
        """Return the values of some rows, in ascending order; equal numbers may be of another class."""
        kinds = self.kinds[rows]
        values: list[Any] = self.numbers[rows].tolist()
        for kind, convert in ((Kind.NULL, None), (Kind.MISSING, ABSENT)):
            for place in np.flatnonzero(kinds == kind).tolist():
                values[place] = convert
        for place in np.flatnonzero(kinds == Kind.BOOL).tolist():
            values[place] = bool(values[place])
        if self.codes is not None:
            places, texts = np.flatnonzero(kinds == Kind.STRING), self.texts
            for place, code in zip(places.tolist(), self.codes[rows[places]].tolist(), strict=True):
                values[place] = texts[code]
        for place, row in self.kept.among(rows):
            values[place] = self.kept[row]
        return values

    def text_codes(self, rows: Rows) -> tuple[npt.NDArray[np.int64], Sequence[str]]:
        """Number the different texts of some rows that have text; there may be texts that none has."""
        if self.codes is None:
            return np.zeros(0, dtype=np.int64), ()
        return self.codes[rows].astype(np.int64), self.texts

    def has_text_of(self, wanted: Collection[str]) -> Booleans:
        """Tell which rows have one of some texts, from the codes alone."""
        if self.codes is None:
            return np.zeros(len(self.kinds), dtype=np.bool_)
        if len(wanted) == 1:
            found: Booleans = self.codes == self._code_of(next(iter(wanted)))
        else:
            judged = [text in wanted for text in self.texts]
            found = np.array([*judged, False])[self.codes]  # the last is that of no text, -1
        return found

    def _code_of(self, text: str) -> int:
        try:
            return self.texts.index(text)
        except ValueError:
            return len(self.texts)  # which no row has

    @property
    def text_count(self) -> int:
        """How many texts there are: the codes are below it."""
        return len(self.texts)

    def value_codes(self, rows: Rows) -> tuple[npt.NDArray[np.int64], int] | None:
        """Number the values of some rows where all are texts, or numbers that floats tell apart."""
        if self.codes is not None and self._are_all(Kind.STRING, rows):
            return self.codes[rows].astype(np.int64), self.text_count
        if not len(self.kept) and self._are_all(Kind.NUMBER, rows):
            codes, different = numbered(self.numbers[rows])
            return codes, len(different)
        return None

    def factorised(self, rows: Rows, keys: Keys[Key]) -> tuple[npt.NDArray[np.int64], list[Key]]:
        """Number the different keys of some rows' values, from the codes where all are texts."""
        if self.codes is not None and self._are_all(Kind.STRING, rows):
            codes = of_rows(self.codes, rows).astype(np.int64)
            if len(rows) == len(self.kinds) and self._has_all_texts:
                return codes, keys.of_texts(self.texts)
            codes, used = renumbered(codes, self.text_count)
            is_all = len(used) == self.text_count
            texts = self.texts if is_all else [self.texts[code] for code in used.tolist()]
            return codes, keys.of_texts(texts)
        if not len(self.kept) and self._are_all(Kind.NUMBER, rows):
            places, numbers = numbered(of_rows(self.numbers, rows))
            return places, list(map(keys.of, numbers.tolist()))
        return super().factorised(rows, keys)

    @cached_property
    def _has_all_texts(self) -> bool:
        """Whether some row has each text."""
        codes = np.zeros(0, dtype=np.int32) if self.codes is None else self.codes
        return len(renumbered(codes.astype(np.int64), self.text_count)[1]) == self.text_count

    def _are_all(self, kind: Kind, rows: Rows) -> bool:
        return self.kind == kind or bool((self.kinds[rows] == kind).all())

    def part(self, start: int, stop: int) -> PackedColumn:
        return PackedColumn(
            self.kinds[start:stop],
            self.numbers[start:stop],
            None if self.codes is None else self.codes[start:stop],
            self.texts,
            self.kept.part(start, stop),
            self.origins.part(start, stop),
            self.rest,
            whole=self.whole,
        )


class Texts(tuple[str, ...]):
    """Different texts, in the order of their codes; ``made``: what functions made of them, by function."""

    @cached_property
    def made(self) -> dict[Hashable, Any]:
        return {}

    @cached_property
    def bytes(self) -> int:
        return _TEXT_BYTES * len(self) + sum(map(len, self))


class Kept(Sequence[Any]):
    """Values of some rows: ``rows``, ascending, and a value for each; it is indexed by row."""

    def __init__(self, rows: Rows, values: Sequence[Any]) -> None:
        self.rows = rows
        self.values = values

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, row: int) -> Any: ...
    @overload
    def __getitem__(self, row: slice) -> Sequence[Any]: ...
    def __getitem__(self, row: int | slice) -> Any:
        place = int(np.searchsorted(self.rows, row))  # type: ignore[arg-type]  # no slice is asked for
        return self.values[place]

    def among(self, rows: Rows) -> list[tuple[int, int]]:
        """Return (place, row) for each of some rows, ascending, that is kept."""
        if not len(self.rows):
            return []
        places = np.flatnonzero(np.isin(rows, self.rows))
        return list(zip(places.tolist(), rows[places].tolist(), strict=True))

    def part(self, start: int, stop: int) -> Kept:
        """Return what is kept of the rows from `start` up to `stop`, which become 0 and so on."""
        if not len(self.rows):
            return self
        first, last = np.searchsorted(self.rows, (start, stop)).tolist()
        return Kept(self.rows[first:last] - start, self.values[first:last])

    @classmethod
    def joined(cls, parts: Sequence[Kept], lengths: Sequence[int]) -> Kept:
        """Put what is kept of columns, each of so many rows, one behind the other."""
        offsets = np.concatenate(([0], np.cumsum(lengths)[:-1]))
        rows = [part.rows + offset for part, offset in zip(parts, offsets, strict=True)]
        return cls(np.concatenate(rows), [value for part in parts for value in part.values])


class _Values(Sequence[Any]):
    """The values of a packed column, one at a time."""

    def __init__(self, column: PackedColumn) -> None:
        self._column = column

    def __len__(self) -> int:
        return len(self._column.kinds)

    @overload
    def __getitem__(self, row: int) -> Any: ...
    @overload
    def __getitem__(self, row: slice) -> Sequence[Any]: ...
    def __getitem__(self, row: int | slice) -> Any:
        rows = np.arange(len(self))[row] if isinstance(row, slice) else np.array([row])
        found = self._column.at(rows)
        return found if isinstance(row, slice) else found[0]
