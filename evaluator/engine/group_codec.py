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

_PAIR, _NIL, _FLOAT = b"\x92", 0xC0, 0xCB  # how an array of two, nil and a float64 begin, in MessagePack
_ARRAY = b"\xdd"  # and an array of up to 2**32


def written(key: GroupKey) -> object:
    """Return how a group is written in a content."""
    return None if is_rest(key) else group_of_key(key)


def key_of(group: Written) -> GroupKey:
    """Return the key of a group that was read."""
    if group is None:
        return rest_key()
    return group_key(group)


@dataclass(frozen=True, eq=False, slots=True)
class MadeGroups:
    """What contents were made of: those of bucket ``n`` of a block are its rows from ``edges[n]`` on."""

    finals: Finals
    edges: Codes


class GroupContent(bytes):
    """A content that knows of what it was made, and the number of its bucket: it need not be decoded."""

    made: MadeGroups
    number: int


def encode_groups(found: Finals) -> dict[int, bytes]:
    """Make the "value" contents with groups of a block's buckets, each a `GroupContent`."""
    if not len(found.buckets):
        return {}
    buckets = np.asarray(found.buckets, dtype=np.int64)
    edges = np.flatnonzero(np.concatenate(([True], buckets[1:] != buckets[:-1], [True])))
    made = MadeGroups(found, edges)
    rows, ends = _encoded_rows(found)
    cuts = np.concatenate(([0], ends))[edges].tolist()
    heads = map(_array_head, np.diff(edges).tolist())
    contents: dict[int, bytes] = {}
    for number, (bucket, head, (start, stop)) in enumerate(
        zip(buckets[edges[:-1]].tolist(), heads, pairwise(cuts), strict=True)
    ):
        contents[bucket] = content = GroupContent(head + rows[start:stop])
        content.made, content.number = made, number
    return contents


def _encoded_rows(found: Finals) -> tuple[bytes, Codes]:
    """Write ``[group, float | nil]`` of each row in MessagePack, one after another; tell where each ends.

    All at once, for a call for each takes ten times as long.
    """
    heads = [_PAIR + _encode(None if key is None else written(key)) for key in found.groups.keys]
    lengths = np.fromiter(map(len, heads), np.int64, len(heads))
    codes, told = found.groups.codes, ~np.isnan(found.values)
    before = lengths[codes]
    ends = np.cumsum(before + np.where(told, 9, 1))
    starts = np.concatenate(([0], ends[:-1]))
    text = np.empty(int(ends[-1]), dtype=np.uint8)
    source = np.frombuffer(b"".join(heads), dtype=np.uint8)
    text[_ranges(starts, before)] = source[_ranges((np.cumsum(lengths) - lengths)[codes], before)]
    text[starts + before] = np.where(told, _FLOAT, _NIL)
    floats = found.values[told].astype(">f8").view(np.uint8).reshape(-1, 8)
    text[(starts + before)[told, np.newaxis] + np.arange(1, 9)] = floats
    return text.tobytes(), ends


def _array_head(count: int) -> bytes:
    """Return how an array of so many begins."""
    if count < 16:
        return bytes((0x90 | count,))
    return b"\xdc" + count.to_bytes(2, "big") if count < 2**16 else _ARRAY + count.to_bytes(4, "big")


def _ranges(starts: Codes, lengths: Codes) -> Codes:
    """Return the whole numbers from each start on, so many of each."""
    return np.repeat(starts - (np.cumsum(lengths) - lengths), lengths) + np.arange(int(lengths.sum()))


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
    made: dict[MadeGroups, list[tuple[int, int]]] = {}
    others: list[tuple[int, bytes]] = []
    for place, content in zip(places.tolist(), contents.values(), strict=True):
        if isinstance(content, GroupContent):
            made.setdefault(content.made, []).append((place, content.number))
        elif content:
            others.append((place, content))
    for each, some in made.items():
        yield _taken(each, some)
    if others:
        yield _decoded(others)


def _taken(made: MadeGroups, some: Sequence[tuple[int, int]]) -> _GroupValues:
    """Take the rows of some contents of one block out of its arrays."""
    places, numbers = np.array(some, dtype=np.int64).T
    starts, lengths = made.edges[numbers], np.diff(made.edges)[numbers]
    rows, groups = _ranges(starts, lengths), made.finals.groups
    keys = [rest_key() if key is None else key for key in groups.keys]
    return _GroupValues(keys, groups.codes[rows], np.repeat(places, lengths), made.finals.values[rows])


def _decoded(some: Sequence[tuple[int, bytes]]) -> _GroupValues:
    """Decode contents, all as one: a call for each would take most of the time."""
    read = _decode_many(_array_head(len(some)) + b"".join([content for _, content in some]))
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
