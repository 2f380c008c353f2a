"""Groups as they stand in cached contents, and contents read back as numbers by group."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from operator import itemgetter
from typing import Any, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from cube.columns import Finals
from cube.columns.column import Numbered, factorise
from cube.columns.values import Floats
from cube.model.tier import GroupKey, Scalar, group_key, group_of_key, is_rest, rest_key
from evaluator.engine.places import places_of

Written: TypeAlias = Scalar | tuple[Scalar, ...] | None
"""A group in a content: several parts are an array, and the rest is nil."""

Codes: TypeAlias = npt.NDArray[np.int64]

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[tuple[Written, float | None]]).decode
_decode_many = msgspec.msgpack.Decoder(list[list[tuple[Written, float | None]]]).decode

_ARRAY = b"\xdd"  # how an array of up to 2**32 begins, in MessagePack


def written(key: GroupKey) -> object:
    """Return how a group is written in a content."""
    return None if is_rest(key) else group_of_key(key)


def key_of(group: Written) -> GroupKey:
    """Return the key of a group that was read."""
    if group is None:
        return rest_key()
    return group_key(group)


class GroupContent(bytes):
    """A content that knows of which ``rows`` of groups and values it was made: it need not be decoded."""

    finals: Finals
    rows: tuple[int, int]


def encode_groups(found: Finals) -> dict[int, bytes]:
    """Make the "value" contents with groups of a block's buckets, each a `GroupContent`."""
    names = [None if key is None else written(key) for key in found.groups.keys]
    values: list[float | None] = found.values.tolist()
    for place in np.flatnonzero(np.isnan(found.values)).tolist():
        values[place] = None
    pairs = list(zip(map(names.__getitem__, found.groups.codes.tolist()), values, strict=True))
    buckets = np.asarray(found.buckets, dtype=np.int64)
    edges = [0, *(np.flatnonzero(buckets[1:] != buckets[:-1]) + 1).tolist(), len(pairs)]
    starts = buckets[edges[:-1]].tolist() if pairs else []
    contents: dict[int, bytes] = {}
    for bucket, (start, stop) in zip(starts, pairwise(edges), strict=False):
        contents[bucket] = content = GroupContent(_encode(pairs[start:stop]))
        content.finals, content.rows = found, (start, stop)
    return contents


def decode_groups(content: bytes) -> list[tuple[GroupKey, float]]:
    """Read one "value" content with groups; NaN is "no value"."""
    return [(key_of(group), math.nan if value is None else value) for group, value in _decode(content)]


def read_groups(
    default: Floats, buckets: Sequence[int], contents: Mapping[int, bytes], check: Callable[[int], None]
) -> dict[GroupKey, Floats]:
    """Read the "value" contents of some buckets; a group has ``default`` in those where it is not.

    ``check`` is told how many groups there are before they are made into arrays.
    """
    places = places_of(contents, buckets)
    numbers = Numbered[GroupKey]()
    told: list[tuple[Codes, Codes, Floats]] = []
    for each in _told(contents, places):
        used = np.flatnonzero(np.bincount(each.codes, minlength=len(each.keys)))
        table = np.zeros(len(each.keys), dtype=np.int64)
        table[used] = [numbers[each.keys[code]] for code in used.tolist()]
        told.append((table[each.codes], each.places, each.values))
        check(len(numbers))
    found = np.repeat(default[np.newaxis], len(numbers), axis=0)
    for codes, at, values in told:
        found[codes, at] = values
    return dict(zip(numbers, found, strict=True))


@dataclass(frozen=True, eq=False, slots=True)
class _GroupValues:
    """Values with their groups, ``keys[code]``, and the places of their buckets."""

    keys: Sequence[GroupKey]
    codes: Codes
    places: Codes
    values: Floats


def _told(contents: Mapping[int, bytes], places: Codes) -> Iterator[_GroupValues]:
    made: dict[int, list[tuple[int, GroupContent]]] = {}
    others: list[tuple[int, bytes]] = []
    for place, content in zip(places.tolist(), contents.values(), strict=True):
        if isinstance(content, GroupContent):
            made.setdefault(id(content.finals), []).append((place, content))
        elif content:
            others.append((place, content))
    for some in made.values():
        yield _taken(some[0][1].finals, some)
    if others:
        yield _decoded(others)


def _taken(finals: Finals, some: Sequence[tuple[int, GroupContent]]) -> _GroupValues:
    """Take the rows of some contents of one block out of its arrays."""
    starts, stops = np.array([content.rows for _, content in some], dtype=np.int64).T
    lengths = stops - starts
    rows = np.repeat(starts - (np.cumsum(lengths) - lengths), lengths) + np.arange(int(lengths.sum()))
    places = np.repeat(np.array([place for place, _ in some], dtype=np.int64), lengths)
    keys = [rest_key() if key is None else key for key in finals.groups.keys]
    return _GroupValues(keys, finals.groups.codes[rows], places, finals.values[rows])


def _decoded(some: Sequence[tuple[int, bytes]]) -> _GroupValues:
    """Decode contents, all as one: a call for each would take most of the time."""
    head = _ARRAY + len(some).to_bytes(4, "big")
    read = _decode_many(head + b"".join([content for _, content in some]))
    lengths = np.fromiter(map(len, read), np.intp, len(read))
    flat = list(chain.from_iterable(read))
    names, values = (list(map(itemgetter(place), flat)) for place in range(2))
    codes, keys = _factorised(names)
    places = np.repeat(np.array([place for place, _ in some], dtype=np.int64), lengths)
    return _GroupValues(keys, codes, places, np.array(values, dtype=np.float64))  # None is NaN


def _factorised(groups: Sequence[Written]) -> tuple[npt.NDArray[np.int64], list[GroupKey]]:
    """Number different groups, as `factorise` does of scalars."""
    if tuple not in set(map(type, groups)):
        return factorise(groups, key_of)
    several = [group for group in groups if isinstance(group, tuple)]
    labels: Sequence[Any] = groups
    if bool in set(map(type, chain.from_iterable(several))):  # 1 and true would be equal
        labels = list(map(key_of, groups))
        keys = {label: label for label in labels}
    else:
        keys = {label: key_of(label) for label in dict.fromkeys(groups)}
    numbers = {label: number for number, label in enumerate(keys)}
    codes = np.fromiter(map(numbers.__getitem__, labels), np.int64, len(labels))
    return codes, [keys[label] for label in numbers]
