"""The "value" contents, as which arrays of numbers are cached, and these read back.

Without groups a content is a little-endian float64, or no byte, which is "no value". With groups it is a
little-endian float64 for each (NaN is "no value"), a MessagePack array of the groups (several parts are an
array, and the rest is nil), and their count in 4 bytes, little-endian. So the numbers of many contents are
one array, and what groups they have is looked at once.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Sequence
from itertools import chain, pairwise, starmap
from typing import Any, Final, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from cube.columns.column import Numbered, factorise
from cube.columns.groups import Labels
from cube.columns.values import Floats
from cube.model.tier import GroupKey, Scalar, group_key, group_of_key, is_rest, part_keys, rest_key

Written: TypeAlias = Scalar | tuple[Scalar, ...] | None
"""A group in a content."""

Codes: TypeAlias = npt.NDArray[np.int64]

KIND: Final = "grouped value"
"""The kind of key under which values with groups are kept. Versions before 0.1.0 kept pairs under "value"."""

_COUNT_BYTES, _FLOAT_BYTES = 4, 8
_NO_VALUE = struct.pack("<d", math.nan)

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Written]).decode
_decode_pairs = msgspec.msgpack.Decoder(list[tuple[Written, float | None]]).decode


def written(key: GroupKey) -> object:
    """Return how a group is written in a content."""
    return None if is_rest(key) else group_of_key(key)


def written_bytes(key: GroupKey | None) -> int:
    """Return about how many bytes a group takes in a content."""
    parts = () if key is None else part_keys(key)
    return sum(len(part[1]) if isinstance(part[1], str) else _FLOAT_BYTES for part in parts)


def key_of(group: Written) -> GroupKey:
    """Return the key of a group that was read."""
    if group is None:
        return rest_key()
    return group_key(group)


def encode_values(values: Floats) -> list[bytes]:
    """Make the "value" contents without groups of buckets; NaN is "no value"."""
    packed = values.astype("<f8").tobytes()
    edges = range(0, len(packed) + 1, _FLOAT_BYTES)
    contents = [packed[start:stop] for start, stop in pairwise(edges)]
    for place in np.flatnonzero(np.isnan(values)).tolist():
        contents[place] = b""
    return contents


def decode_values(contents: Iterable[bytes]) -> Floats:
    """Read "value" contents without groups; NaN is "no value"."""
    return np.frombuffer(b"".join(content or _NO_VALUE for content in contents), dtype="<f8")


def encode_groups(edges: Codes, groups: Labels, values: Floats) -> list[bytes]:
    """Make the "value" contents with groups of buckets, whose values begin, and end, at edges."""
    floats, codes = values.astype("<f8").tobytes(), groups.codes.astype("<i8").tobytes()
    tails = _Tails([None if key is None else written(key) for key in groups.keys])
    cuts = starmap(slice, pairwise((edges * _FLOAT_BYTES).tolist()))
    return [floats[cut] + tails[codes[cut]] for cut in cuts]


def renewed(content: bytes) -> bytes:
    """Return a content as it is made now, of one that was kept as pairs."""
    pairs = _decode_pairs(content)
    floats = np.array([value for _, value in pairs], dtype="<f8")  # None is NaN
    return floats.tobytes() + _tail([group for group, _ in pairs])


def decode_content(content: bytes) -> list[tuple[GroupKey, float]]:
    """Read one "value" content with groups; NaN is "no value"."""
    floats, tail = _parted(content)
    return list(zip(map(key_of, _groups(tail)), np.frombuffer(floats, "<f8").tolist(), strict=True))


def decode_groups(contents: Sequence[bytes]) -> tuple[Codes, Labels, Floats]:
    """Read "value" contents with groups: of each value the place of its content, and its group."""
    tails = Numbered[bytes]()
    parts = list(map(_parted, contents))
    used = np.fromiter((tails[tail] for _, tail in parts), np.int64, len(parts))
    values = np.frombuffer(b"".join([floats for floats, _ in parts]), dtype="<f8")
    groups = list(map(_groups, tails))
    codes, keys = _factorised(list(chain.from_iterable(groups)))
    lengths = np.fromiter(map(len, groups), np.int64, len(groups))
    starts = np.cumsum(lengths) - lengths
    places = np.repeat(np.arange(len(contents)), lengths[used])
    return places, Labels(codes[_ranges(starts[used], lengths[used])], keys), values


class _Tails(dict[bytes, bytes]):
    """What ends a content with the groups of some codes, by the bytes of these; ``names``: all, by code."""

    def __init__(self, names: Sequence[object]) -> None:
        self._names = names

    def __missing__(self, codes: bytes) -> bytes:
        some = np.frombuffer(codes, dtype="<i8").tolist()
        found = self[codes] = _tail([self._names[code] for code in some])
        return found


def _tail(groups: Sequence[object]) -> bytes:
    return _encode(groups) + len(groups).to_bytes(_COUNT_BYTES, "little")


def _groups(tail: bytes) -> list[Written]:
    return _decode(tail[:-_COUNT_BYTES])


def _parted(content: bytes) -> tuple[bytes, bytes]:
    """Return what of a content are numbers, and what groups."""
    stop = _FLOAT_BYTES * int.from_bytes(content[-_COUNT_BYTES:], "little")
    return content[:stop], content[stop:]


def _ranges(starts: Codes, lengths: Codes) -> Codes:
    """Return the whole numbers from each start on, so many of each."""
    return np.repeat(starts - (np.cumsum(lengths) - lengths), lengths) + np.arange(int(lengths.sum()))


def _factorised(groups: Sequence[Written]) -> tuple[Codes, list[GroupKey]]:
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
