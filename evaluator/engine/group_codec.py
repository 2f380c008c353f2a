"""Groups as they stand in cached contents, and contents read back as numbers by group."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from cube.columns.column import factorise
from cube.columns.values import Floats
from cube.model.tier import GroupKey, Scalar, group_key, group_of_key, is_rest, rest_key
from evaluator.engine.places import places_of

Written: TypeAlias = Scalar | tuple[Scalar, ...] | None
"""A group in a content: several parts are an array, and the rest is nil."""

_decode = msgspec.msgpack.Decoder(list[tuple[Written, float | None]]).decode


def written(key: GroupKey) -> object:
    """Return how a group is written in a content."""
    return None if is_rest(key) else group_of_key(key)


def key_of(group: Written) -> GroupKey:
    """Return the key of a group that was read."""
    if group is None:
        return rest_key()
    return group_key(group)


def decode_groups(content: bytes) -> list[tuple[GroupKey, float]]:
    """Read one "value" content with groups; NaN is "no value"."""
    return [(key_of(group), math.nan if value is None else value) for group, value in _decode(content)]


def read_groups(
    default: Floats, buckets: Sequence[int], contents: Mapping[int, bytes], check: Callable[[int], None]
) -> dict[GroupKey, Floats]:
    """Read the "value" contents of some buckets; a group has ``default`` in those where it is not.

    ``check`` is told how many groups there are before they are made into arrays.
    """
    read = [_decode(content) for content in contents.values()]
    lengths = np.fromiter(map(len, read), np.intp, len(read))
    flat = list(chain.from_iterable(read))
    if not flat:
        return {}
    names, values = (list(map(itemgetter(place), flat)) for place in range(2))
    codes, keys = _factorised(names)
    check(len(keys))
    places = places_of(contents, buckets)
    table = np.repeat(default[np.newaxis], len(keys), axis=0)
    table[codes, np.repeat(places, lengths)] = np.array(values, dtype=np.float64)  # None is NaN
    return dict(zip(keys, table, strict=True))


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
