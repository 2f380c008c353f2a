"""Columns: the values at one path of every event of a block, and what a reduction takes of each event."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from cube.columns.block import Block
from cube.columns.values import Floats, Kind, Path, as_number, element, kind_of_class, read
from cube.expression.nodes import Element
from cube.model.event import ABSENT

Booleans: TypeAlias = npt.NDArray[np.bool_]
Rows: TypeAlias = npt.NDArray[np.intp]
Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item", bound=np.generic)

_NARROW = 2**12
_TABLE_CELLS = 2**20
"""So many numbers are renumbered by a table, or four times as many as there are; of more they are sorted."""

_SCALARS = frozenset((str, int, float, bool, type(None)))


@dataclass(frozen=True, slots=True)
class Keys(Generic[Key]):
    """How keys are made: of any one value, and of many texts at once, in a fifth of the time."""

    of: Callable[[Any], Key]
    of_texts: Callable[[Sequence[str]], list[Key]]


class Column:
    """One value a row, shape (n,), `ABSENT` where the row has none.

    ``origin`` and ``rest`` say where a column that filters look at was taken from: what a filter
    reaches in a row with arrays is `matching.reached` of that row's origin and the rest of the path.
    ``whole``: whether all arrays in such a column are known to be at the end of their paths.
    """

    def __init__(
        self, values: Sequence[Any], origin: Sequence[Any] = (), rest: Path = (), *, whole: bool = False
    ) -> None:
        self._values = values
        self.whole = whole
        self.origin = origin
        self.rest = rest

    @property
    def values(self) -> Sequence[Any]:
        """The values, one a row."""
        return self._values

    @cached_property
    def kinds(self) -> npt.NDArray[np.uint8]:
        """The `Kind` of each row."""
        kinds = {each: kind_of_class(each) for each in set(map(type, self.values))}
        if len(kinds) == 1:
            return np.full(len(self.values), next(iter(kinds.values())), dtype=np.uint8)
        return np.fromiter(map(kinds.__getitem__, map(type, self.values)), np.uint8, len(self.values))

    @cached_property
    def kind(self) -> int | None:
        """The `Kind` that all rows have; None where there are several, or no rows."""
        kinds = self.kinds
        if not len(kinds):
            return None
        least = int(kinds.min())
        return least if least == int(kinds.max()) else None

    @property
    def is_exact(self) -> bool:
        """Whether it is known that all rows are numbers, each the very float in ``numbers``."""
        return False

    @cached_property
    def numbers(self) -> Floats:
        """What numeric reduces take of each row, as `values.as_number` defines it; NaN for nothing."""
        rows = np.flatnonzero((self.kinds == Kind.NUMBER) | (self.kinds == Kind.BOOL))
        numbers = np.full(len(self.values), np.nan)
        numbers[rows] = _floats(self.at(rows))
        return numbers

    def at(self, rows: Rows) -> Sequence[Any]:
        """Return the values of some rows, in ascending order."""
        if len(rows) == len(self.values):
            return self.values
        return [self.values[row] for row in rows.tolist()]

    def text_codes(self, rows: Rows) -> tuple[npt.NDArray[np.int64], Sequence[str]]:
        """Number the different texts of some rows that have text: (codes, texts) with ``texts[codes[i]]``."""
        numbered = Numbered[str]()
        codes = np.fromiter(map(numbered.__getitem__, self.at(rows)), np.int64, len(rows))
        return codes, list(numbered)

    def has_text_of(self, wanted: Collection[str]) -> Booleans:
        """Tell which rows have one of some texts."""
        found = np.zeros(len(self.values), dtype=np.bool_)
        rows = np.flatnonzero(self.kinds == Kind.STRING)
        if len(rows):
            codes, texts = self.text_codes(rows)
            found[rows] = np.array([text in wanted for text in texts], dtype=np.bool_)[codes]
        return found

    def value_codes(self, rows: Rows) -> tuple[npt.NDArray[np.int64], int] | None:
        """Number the different values of some rows, and return below what the numbers are.

        None where the values are not known to be their own keys: all texts, or all numbers.
        """
        return None

    def factorised(self, rows: Rows, keys: Keys[Key]) -> tuple[npt.NDArray[np.int64], list[Key]]:
        """Number the different keys of some rows' values; see `factorise`."""
        return factorise(self.at(rows), keys.of)


class Numbered(dict[Key, int]):
    """Gives each new key the next number."""

    def __missing__(self, key: Key) -> int:
        number = self[key] = len(self)
        return number


def stored(block: Block, path: Path) -> Column:
    """Return the column that values and groups read: `values.read` of each row."""
    return _made_once(block, ("stored", tuple(path)), lambda: Column(_stored_values(block, path)))


def searched(block: Block, path: Path) -> Column:
    """Return the column that filters look at.

    A row's kind is ARRAY wherever its path meets an array, on the way or at the end: what a filter
    reaches there is more than one value. In all other rows it reaches this one value.
    """
    return _made_once(block, ("searched", tuple(path)), lambda: _searched_column(block, path))


def factorise(values: Sequence[Any], key_of: Callable[[Any], Key]) -> tuple[npt.NDArray[np.int64], list[Key]]:
    """Number the different keys of values: (codes, keys) with ``keys[codes[i]] == key_of(values[i])``.

    The key of a scalar is made once for each different value; equal numbers must have equal keys.
    """
    classes = set(map(type, values))
    if not classes <= _SCALARS:
        labels: Sequence[Any] = list(map(key_of, values))
        keys = {label: label for label in labels}
    elif bool not in classes or len(classes) == 1:
        labels = values
        keys = {label: key_of(label) for label in dict.fromkeys(labels)}
    else:  # 1 and True are one key of a dict
        labels = list(zip(map(type, values), values, strict=True))
        keys = {label: key_of(label[1]) for label in dict.fromkeys(labels)}
    codes: dict[Key, int] = {}
    code_of = {label: codes.setdefault(key, len(codes)) for label, key in keys.items()}
    return np.fromiter(map(code_of.__getitem__, labels), np.int64, len(values)), list(codes)


def numbered(floats: Floats) -> tuple[npt.NDArray[np.int64], Floats]:
    """Number the different ones of finite floats: (codes, different) with ``different[codes] == floats``.

    Whole numbers within a narrow range, as rounding makes them, are counted and not sorted.
    """
    if len(floats):
        least = floats.min()
        if floats.max() - least < max(_NARROW, len(floats)):
            places = (floats - least).astype(np.int64)
            if np.array_equal(places + least, floats):
                used = np.flatnonzero(np.bincount(places))
                if len(used) == used[-1] + 1:
                    return places, used + least
                codes = np.zeros(int(used[-1]) + 1, dtype=np.int64)
                codes[used] = np.arange(len(used))
                return codes[places], used + least
    different, inverse = np.unique(floats, return_inverse=True)
    return inverse.astype(np.int64), different


def of_rows(values: npt.NDArray[Item], rows: Rows) -> npt.NDArray[Item]:
    """Return the values of some rows, ascending and each once: of all of them without a copy."""
    return values if len(rows) == len(values) else values[rows]


def renumbered(
    codes: npt.NDArray[np.int64], bound: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Number anew those of some codes below a bound that there are: (numbers, codes), both in one order."""
    if bound > max(_TABLE_CELLS, 4 * len(codes)):
        different, inverse = np.unique(codes, return_inverse=True)
        return inverse.astype(np.int64), different
    seen = np.zeros(bound, dtype=np.bool_)
    seen[codes] = True
    used = np.flatnonzero(seen)
    if len(used) == bound:
        return codes, used
    table = np.empty(bound, dtype=np.int64)
    table[used] = np.arange(len(used))
    return table[codes], used


def _made_once(block: Block, key: Hashable, make: Callable[[], Column]) -> Column:
    column = block.columns.get(key)
    if not isinstance(column, Column):
        column = block.columns[key] = make()
    return column


def _floats(values: Sequence[Any]) -> Floats:
    try:
        floats = np.array(values, dtype=np.float64)
    except (OverflowError, TypeError, ValueError):  # an integer, or a decimal, that no float can hold
        floats = np.array(list(map(as_number, values)))
    return finite(floats)


def finite(floats: Floats) -> Floats:
    """Return the floats with NaN for what is not finite."""
    passed = np.isfinite(floats)
    return floats if passed.all() else np.where(passed, floats, np.nan)


def _start(block: Block, path: Path) -> tuple[Sequence[Any], Path]:
    named = block.named(str(path[0]))
    return (block.data, path) if named is None else (named, path[1:])


def _stored_values(block: Block, path: Path) -> Sequence[Any]:
    values, rest = _start(block, path)
    for part in rest:
        step = (part,)
        if isinstance(part, str):
            values = [
                value.get(part, ABSENT) if value.__class__ is dict else read(value, step) for value in values
            ]
        else:
            values = [read(value, step) for value in values]
    return values


def _searched_column(block: Block, path: Path) -> Column:
    origin, rest = _start(block, path)
    values, whole, spread = origin, True, False
    for part in rest:
        whole = not any(issubclass(each, list) for each in set(map(type, values)))
        if isinstance(part, Element):
            values = [_chosen(value, part, spread=spread) for value in values]
            continue
        spread = spread or not whole
        name = str(part)
        values = [
            value.get(name, ABSENT) if value.__class__ is dict else _searched_value(value, name)
            for value in values
        ]
    return Column(values, origin, rest, whole=whole)


def _chosen(value: Any, part: Element, *, spread: bool) -> Any:
    """Return an array's element; the array itself, which marks the row, where it may be one on the way."""
    if not isinstance(value, list):
        return ABSENT
    return value if spread else element(value, part)


def _searched_value(value: Any, part: str) -> Any:
    if isinstance(value, dict):
        return value.get(part, ABSENT)
    return value if isinstance(value, list) else ABSENT
