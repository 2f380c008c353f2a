"""Groups: which of them each event is in, over whole columns and, by definition, for one event.

An event is in one group for each combination of what the parts of the grouping are for it: one value, none,
or, of ``each(field)``, every different element.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, product
from typing import Any, TypeAlias, overload

import numpy as np
import numpy.typing as npt

from cube.columns.block import Block
from cube.columns.column import Keys, Rows, factorise, of_rows, renumbered, searched
from cube.columns.definition import group_at
from cube.columns.evaluation import evaluated
from cube.columns.values import Kind, Path, as_number, group_of, kind_of, read
from cube.expression.nodes import Field, Grouping, GroupPart, Value
from cube.model.event import ABSENT
from cube.model.tier import Group, GroupKey, group_key, rest_key, several_key

Codes: TypeAlias = npt.NDArray[np.int64]


class Labels(Sequence["GroupKey | None"]):
    """A group for each of some segments: ``keys[code]`` for each of the ``codes``; keys may be unused."""

    __slots__ = ("codes", "keys")

    def __init__(self, codes: Codes, keys: Sequence[GroupKey | None]) -> None:
        self.codes = codes
        self.keys = keys

    def __len__(self) -> int:
        return len(self.codes)

    @overload
    def __getitem__(self, place: int) -> GroupKey | None: ...
    @overload
    def __getitem__(self, place: slice) -> Labels: ...
    def __getitem__(self, place: int | slice) -> GroupKey | Labels | None:
        if isinstance(place, slice):
            return Labels(self.codes[place], self.keys)
        return self.keys[int(self.codes[place])]

    def __iter__(self) -> Iterator[GroupKey | None]:
        return map(self.keys.__getitem__, self.codes.tolist())

    def different(self) -> list[GroupKey | None]:
        """Return the groups that there are, each once."""
        return [self.keys[code] for code in np.flatnonzero(np.bincount(self.codes)).tolist()]

    @classmethod
    def of(cls, groups: Iterable[GroupKey | None]) -> Labels:
        """Number some groups."""
        numbers: dict[GroupKey | None, int] = {}
        codes = [numbers.setdefault(group, len(numbers)) for group in groups]
        return cls(np.array(codes, dtype=np.int64), list(numbers))


def group_keys_of(grouping: Grouping, data: Any, time: float = math.nan) -> list[GroupKey]:
    """Return the keys of the groups that an event is in, each once, by definition.

    ``time``: the event's, in milliseconds.
    """
    parts = [_part_groups(part, data, time) for part in grouping.parts]
    keys = [group_key(one[0] if len(one) == 1 else one) for one in product(*parts)]
    if grouping.chosen is None:
        return list(dict.fromkeys(keys))
    chosen = set(map(group_key, grouping.chosen))
    return list(dict.fromkeys(key if key in chosen else rest_key() for key in keys))


def grouped(grouping: Grouping, block: Block, rows: Rows) -> tuple[Rows, Codes, list[GroupKey]]:
    """Return those of some rows that have a group, with the number of each one's, and the groups' keys.

    ``rows``: ascending, each once. A row of the result stands there once for each of its groups.
    """
    places, codes, keys = _combined(grouping.parts, block, rows)
    if grouping.chosen is not None:
        places, codes, keys = _with_rest(grouping.chosen, places, codes, keys)
    return rows if places is None else rows[places], codes, keys


def elements(value: Any, path: Path) -> Iterator[Any]:
    """Yield what ``each`` takes of a value at a path: an array's elements, or what is no array itself.

    An array on the way, where a name follows, is gone through as well, one level deep.
    """
    for place, part in enumerate(path):
        if isinstance(value, list) and isinstance(part, str):
            for item in value:
                if not isinstance(item, list):
                    yield from elements(item, path[place:])
            return
        value = read(value, (part,))
    if isinstance(value, list):
        yield from value
    elif value is not ABSENT:
        yield value


def is_group(value: Any) -> bool:
    """Tell whether a stored value is a group: text, a boolean, or a number that a float can hold."""
    kind = kind_of(value)
    if kind is Kind.NUMBER:
        return as_number(value) == as_number(value)
    return kind in (Kind.STRING, Kind.BOOL)


def _part_groups(part: GroupPart, data: Any, time: float) -> list[Any]:
    if part.each and isinstance(part.value, Field):
        found = [group_of(each) for each in elements(data, part.value.path) if is_group(each)]
    else:
        group = group_at(part.value, data, time)
        found = [] if group is None else [group]
    return found if found or part.otherwise is None else [part.otherwise]


_Found: TypeAlias = "tuple[Rows | None, Codes, list[GroupKey]]"
"""Which places of the rows are in groups (None: all, each once), the numbers of these, and their keys."""


def _combined(parts: Sequence[GroupPart], block: Block, rows: Rows) -> _Found:
    first, *others = (_coded(part, block, rows) for part in parts)
    places, codes, keys = _of_part(first)
    if not others:
        return places, codes, keys
    tuples: list[tuple[GroupKey, ...]] = [(key,) for key in keys]
    for part in others:
        places, codes, tuples = _crossed(places, codes, tuples, part, len(rows))
    return places, codes, [several_key(each) for each in tuples]


@dataclass(frozen=True, slots=True)
class _Part:
    """What one part is for n rows: ``counts`` and ``codes`` of the groups of each row, one row after another.

    ``counts`` None: every row has one.
    """

    counts: npt.NDArray[np.intp] | None
    codes: Codes
    keys: list[GroupKey]


def _of_part(part: _Part) -> _Found:
    if part.counts is None:
        return None, part.codes, part.keys
    return np.repeat(np.arange(len(part.counts)), part.counts), part.codes, part.keys


def _crossed(
    places: Rows | None, codes: Codes, tuples: list[tuple[GroupKey, ...]], part: _Part, rows: int
) -> tuple[Rows | None, Codes, list[tuple[GroupKey, ...]]]:
    """Combine what rows are in so far with one part more."""
    if part.counts is None:
        added = part.codes if places is None else part.codes[places]
    else:
        at = np.arange(rows) if places is None else places
        counts = part.counts[at]
        starts = (np.cumsum(part.counts) - part.counts)[at]
        within = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
        places, codes = np.repeat(at, counts), np.repeat(codes, counts)
        added = part.codes[np.repeat(starts, counts) + within]
    width = max(1, len(part.keys))
    numbers, used = renumbered(codes * width + added, len(tuples) * width)
    pairs = zip(*(each.tolist() for each in np.divmod(used, width)), strict=True)
    return places, numbers, [(*tuples[one], part.keys[other]) for one, other in pairs]


def _with_rest(chosen: Sequence[Group], places: Rows | None, codes: Codes, keys: list[GroupKey]) -> _Found:
    """Number the groups that are chosen, and all others as one; a row is in that once."""
    numbers = {group_key(group): number for number, group in enumerate(chosen)}
    table = np.array([numbers.get(key, len(numbers)) for key in keys], dtype=np.int64)
    codes = table[codes]
    if places is not None and len(places):
        pairs = places * (len(numbers) + 1) + codes
        _, first = np.unique(pairs, return_index=True)
        if len(first) < len(pairs):
            places, codes = places[first], codes[first]
    return places, codes, [*numbers, rest_key()]


def _coded(part: GroupPart, block: Block, rows: Rows) -> _Part:
    if part.each and isinstance(part.value, Field):
        counts, codes, keys = _each_coded(part.value.path, block, rows)
    else:
        told, codes, keys = _told(part.value, block, rows)
        if told.all():
            return _Part(None, codes, keys)
        counts = told.astype(np.intp)
    if part.otherwise is None:
        return _Part(counts, codes, keys)
    return _with_otherwise(group_key(part.otherwise), _Part(counts, codes, keys))


def _with_otherwise(key: GroupKey, part: _Part) -> _Part:
    """Put the rows that are in no group into one."""
    keys, counts = part.keys, part.counts
    if counts is None or counts.all():
        return part
    if key not in keys:
        keys = [*keys, key]
    filled = np.maximum(counts, 1)
    codes = np.full(int(filled.sum()), keys.index(key), dtype=np.int64)
    codes[np.repeat(counts > 0, filled)] = part.codes
    return _Part(None if (filled == 1).all() else filled, codes, keys)


def _told(value: Value, block: Block, rows: Rows) -> tuple[npt.NDArray[np.bool_], Codes, list[GroupKey]]:
    """Tell which rows have a group, as `definition.group_at` defines it, and the number of each one's."""
    column = evaluated(value, block)
    if column.kind in (Kind.STRING, Kind.BOOL) or column.is_exact:
        return np.ones(len(rows), dtype=np.bool_), *column.factorised(rows, _KEYS)
    kinds = of_rows(column.kinds, rows)
    number = (kinds == Kind.NUMBER) & ~np.isnan(of_rows(column.numbers, rows))
    told = number if number.all() else number | (kinds == Kind.STRING) | (kinds == Kind.BOOL)
    codes, keys = column.factorised(rows if told.all() else rows[told], _KEYS)
    return told, codes, keys


def _each_coded(path: Path, block: Block, rows: Rows) -> tuple[npt.NDArray[np.intp], Codes, list[GroupKey]]:
    """Return how many different elements each row has, the number of each, and their keys."""
    looked = searched(block, path)
    arrays = looked.kinds[rows] == Kind.ARRAY
    told, single, keys = _told(Field(tuple(path)), block, rows[~arrays])
    counts = np.zeros(len(rows), dtype=np.intp)
    counts[np.flatnonzero(~arrays)[told]] = 1
    if not arrays.any():
        return counts, single, keys
    found = [list(elements(looked.origin[row], looked.rest)) for row in rows[arrays].tolist()]
    return _with_elements(found, arrays, counts, single, keys)


def _with_elements(
    found: list[list[Any]],
    arrays: npt.NDArray[np.bool_],
    counts: npt.NDArray[np.intp],
    single: Codes,
    keys: list[GroupKey],
) -> tuple[npt.NDArray[np.intp], Codes, list[GroupKey]]:
    flat = list(chain.from_iterable(found))
    lengths = np.fromiter(map(len, found), np.intp, len(found))
    owners = np.repeat(np.flatnonzero(arrays), lengths)
    if not set(map(type, flat)) <= {str}:
        passed = np.fromiter(map(is_group, flat), np.bool_, len(flat))
        flat = [value for value, is_in in zip(flat, passed.tolist(), strict=True) if is_in]
        owners = owners[passed]
    codes, theirs = factorise(flat, _key)
    known = {key: number for number, key in enumerate(keys)}
    table = np.array([known.setdefault(key, len(known)) for key in theirs], dtype=np.int64)
    singles = np.flatnonzero(counts)
    pairs = np.concatenate((singles * len(known) + single, owners * len(known) + table[codes]))
    pairs = np.unique(pairs)
    owners, codes = np.divmod(pairs, max(1, len(known)))
    return np.bincount(owners, minlength=len(counts)).astype(np.intp), codes, list(known)


def _key(value: Any) -> GroupKey:
    return group_key(group_of(value))


_KEYS = Keys(_key, lambda texts: list(map(group_key, texts)))
