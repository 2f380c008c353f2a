"""The contents of cached cells: what a bucket's metric and its partial look like as bytes.

A bucket's *state* is a dict from group to partial; without a group its only key is None, and a
bucket without samples has the empty state. Two kinds of content are made of it:

=========  ============================================  =====================================
kind       without group                                 with group
=========  ============================================  =====================================
value      a little-endian float64; b"" for "no value"   msgpack of [[group, float | nil], …]
partial    msgpack of the partial; b"" without samples   msgpack of [[group, partial], …]
=========  ============================================  =====================================

Where a reduce's value is its own partial (`Reduce.exact_value`), only values are kept.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from cube.expression.nodes import Reduction
from cube.model.metric import Group, group_key
from cube.model.reduce import REDUCES, Partial, Reduce

GroupKey: TypeAlias = "tuple[int, Group]"
State: TypeAlias = "dict[GroupKey | None, Partial]"
Floats: TypeAlias = npt.NDArray[np.float64]

VALUE, PARTIAL = "value", "partial"

MAX_PARTIAL_BYTES = 64 * 1024
"""Larger partials are not kept: the bucket is scanned when a coarser one needs it."""

_FLOAT = struct.Struct("<d")
_NO_VALUE = _FLOAT.pack(float("nan"))
_ENCODER = msgspec.msgpack.Encoder()


def partial_kind(reduction: Reduction) -> str:
    """Return the kind of cell that holds the partials of a reduction."""
    return VALUE if REDUCES[reduction.reduce].exact_value else PARTIAL


def encode_value(reduction: Reduction, state: State) -> bytes:
    """Finish a state and make it the content of a "value" cell."""
    reduce = REDUCES[reduction.reduce]
    if reduction.group is None:
        value = reduce.finish(state[None], reduction.argument) if state else reduce.empty
        return b"" if value is None else _FLOAT.pack(value)
    return _ENCODER.encode(
        [(key[1], reduce.finish(partial, reduction.argument)) for key, partial in state.items() if key]
    )


def encode_partial(reduction: Reduction, state: State) -> bytes | None:
    """Make a state the content of a "partial" cell; None where it is too large to keep."""
    if reduction.group is None:
        content = _ENCODER.encode(state[None]) if state else b""
    else:
        content = _ENCODER.encode([(key[1], partial) for key, partial in state.items() if key])
    return content if len(content) <= MAX_PARTIAL_BYTES else None


def decode_state(reduction: Reduction, content: bytes) -> State:
    """Read a state back from a cell of `partial_kind`."""
    reduce = REDUCES[reduction.reduce]
    if reduction.group is not None and reduce.exact_value:
        # Values are floats, whatever the partial's form is: a count is an int.
        return {group_key(group): reduce.form(value) for group, value in _pairs_of(float)(content)}
    if reduction.group is not None:
        return {group_key(group): partial for group, partial in _pairs_of(reduce.form)(content)}
    if not reduce.exact_value:
        return {None: _one_of(reduce.form)(content)} if content else {}
    value = _FLOAT.unpack(content)[0] if content else None
    return {} if value == reduce.empty else {None: reduce.form(value)}


def decode_values(contents: Iterable[bytes]) -> Floats:
    """Read the values of ungrouped "value" cells; NaN is "no value"."""
    return np.frombuffer(b"".join(content or _NO_VALUE for content in contents), dtype="<f8")


def decode_groups(content: bytes) -> list[tuple[GroupKey, float]]:
    """Read one grouped "value" cell; NaN is "no value"."""
    return [
        (group_key(group), float("nan") if value is None else value)
        for group, value in _pairs_of(float | None)(content)
    ]


def merge_states(reduce: Reduce, states: Sequence[State]) -> State:
    """Merge the states of finer buckets, at least one, in the order of their times."""
    if len(states) == 1:
        return states[0]
    parts: dict[GroupKey | None, list[Partial]] = {}
    for state in states:
        for key, partial in state.items():
            parts.setdefault(key, []).append(partial)
    return {key: found[0] if len(found) == 1 else reduce.merge(found) for key, found in parts.items()}


def merge_buckets(reduction: Reduction, parts: Mapping[int, Sequence[State]]) -> dict[int, State]:
    """Merge the parts of each bucket."""
    reduce = REDUCES[reduction.reduce]
    return {bucket: merge_states(reduce, states) for bucket, states in parts.items()}


@cache
def _one_of(form: Any) -> Callable[[bytes], Any]:
    return msgspec.msgpack.Decoder(form).decode


@cache
def _pairs_of(form: Any) -> Callable[[bytes], list[tuple[Group, Any]]]:
    return msgspec.msgpack.Decoder(list[tuple[int | float | str | bool, form]]).decode
