"""States: what is known of a bucket's samples, merged, weighed, and as the bytes that are cached.

A bucket's *state* is a dict from group to partial; without a group its only key is None, and a
bucket without samples has the empty state. Two kinds of content are made of it:

=========  ============================================  =================================================
kind       without group                                 with group (several parts: an array; nil: the rest)
=========  ============================================  =================================================
value      a little-endian float64; b"" for "no value"   see `evaluator.engine.value_codec`
partial    msgpack of the partial; b"" without samples   msgpack of [[group, partial], …]
=========  ============================================  =================================================

Where a reduce's value is its own partial (`Reduce.exact_value`), only values are kept.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import islice
from typing import Any, NamedTuple, TypeAlias

import msgspec

from cube.columns.tallies import Tally
from cube.expression.nodes import Reduction
from cube.model.reduce import REDUCES, Partial, Reduce
from cube.model.tier import GroupKey, part_keys
from cube.settings import EvaluatorLimits
from evaluator.engine.series import PARTIAL, VALUE, check_memory, check_size
from evaluator.engine.value_codec import Written, decode_content, key_of, written

State: TypeAlias = "dict[GroupKey | None, Partial]"

States: TypeAlias = "dict[int, State | None]"
"""Bucket -> state; None where it is lost: it had events, is expired, and no metric of it is left."""

Encoded: TypeAlias = "dict[int, bytes]"
"""Bucket -> content."""

MAX_PARTIAL_BYTES = 64 * 1024
"""Larger partials are not kept: the bucket is scanned when a coarser one needs it."""

ENTRY_BYTES = 128
"""About what an entry of a tally, or a group's partial, takes in memory beside its text."""

WEIGHED = 256
"""So many keys of a set are weighed, and the others taken to be like them."""

_FLOAT = struct.Struct("<d")
_TALLY = dict[float, int]  # the form of those partials that are arrays in memory


def _packed(partial: Any) -> msgspec.Raw:
    """Return a tally as it is written; MessagePack has no arrays."""
    if not isinstance(partial, Tally):
        raise TypeError(f"Got a {type(partial).__name__}; accepted in a content is a tally.")
    return msgspec.Raw(partial.packed())


_ENCODER = msgspec.msgpack.Encoder(enc_hook=_packed)


def partial_kind(reduction: Reduction) -> str:
    """Return the kind of content that holds the partials of a reduction."""
    return VALUE if REDUCES[reduction.reduce].exact_value else PARTIAL


def encode(reduction: Reduction, states: States) -> Encoded:
    """Return the "partial" contents of the states that are not lost, and not too large to keep.

    None where the values are the partials.
    """
    if partial_kind(reduction) == VALUE:
        return {}
    known = [(bucket, state) for bucket, state in states.items() if state is not None]
    partials = ((bucket, encode_partial(reduction, state)) for bucket, state in known)
    return {bucket: content for bucket, content in partials if content is not None}


def encode_partials(reduction: Reduction, states: States) -> Encoded:
    """Return the partials of the states that are not lost, however large they are."""
    return {
        bucket: _encode_partial(reduction, state) for bucket, state in states.items() if state is not None
    }


def encode_partial(reduction: Reduction, state: State) -> bytes | None:
    """Make a state the "partial" content of its bucket; None where it is too large to keep."""
    content = _encode_partial(reduction, state)
    return content if len(content) <= MAX_PARTIAL_BYTES else None


def _encode_partial(reduction: Reduction, state: State) -> bytes:
    if reduction.group is None:
        return _ENCODER.encode(state[None]) if state else b""
    return _ENCODER.encode([(written(key), partial) for key, partial in state.items() if key])


def decode(reduction: Reduction, contents: Encoded) -> States:
    """Read states back from contents of the reduction's `partial_kind`."""
    return {bucket: decode_state(reduction, content) for bucket, content in contents.items()}


def decode_state(reduction: Reduction, content: bytes) -> State:
    """Read one state back; see `decode`."""
    reduce = REDUCES[reduction.reduce]
    if reduction.group is not None and reduce.exact_value:
        # Values are floats, whatever the partial's form is: a count is an int.
        return {group: reduce.form(value) for group, value in decode_content(content)}
    if reduction.group is not None:
        partials = _decoder(msgspec.Raw if reduce.form == _TALLY else reduce.form, True)(content)
        read = Tally.unpacked if reduce.form == _TALLY else None
        return {key_of(group): read(partial) if read else partial for group, partial in partials}
    if reduce.form == _TALLY:
        return {None: Tally.unpacked(content)} if content else {}
    if not reduce.exact_value:
        return {None: _decoder(reduce.form, False)(content)} if content else {}
    value = _FLOAT.unpack(content)[0] if content else None
    return {} if value == reduce.empty else {None: reduce.form(value)}


@cache
def _decoder(form: Any, is_grouped: bool) -> Callable[[bytes], Any]:
    grouped: Any = list[tuple[Written, form]]
    return msgspec.msgpack.Decoder(grouped if is_grouped else form).decode


def merge_states(reduce: Reduce, states: Sequence[State]) -> State:
    """Merge the states of finer buckets, at least one, in the order of their times."""
    if len(states) == 1:
        return states[0]
    parts: dict[GroupKey | None, list[Partial]] = {}
    for state in states:
        for key, partial in state.items():
            parts.setdefault(key, []).append(partial)
    return {key: found[0] if len(found) == 1 else reduce.merge(found) for key, found in parts.items()}


class Accumulator:
    """The states of a scan's buckets, out of those of its slices, which come in order of time.

    Neighbours are merged as soon as they hold as many slices as each other: every state is merged a few
    times, and few wait. Raises `LimitExceeded` where there are too many groups, or all states together take
    too much memory.
    """

    def __init__(self, reduction: Reduction, limits: EvaluatorLimits) -> None:
        self._reduce = REDUCES[reduction.reduce]
        self._limits = limits
        self._runs: dict[int, list[_Run]] = {}
        self._groups: set[GroupKey | None] = set()
        self._bytes = 0

    def add(self, states: Mapping[int, State]) -> None:
        for bucket, state in states.items():
            self._groups.update(state)
            runs = self._runs.setdefault(bucket, [])
            self._push(runs, 1, state)
            while len(runs) > 1 and runs[-2].slices <= runs[-1].slices:
                self._merge_last(runs)
        check_size(self._limits, 0, len(self._groups))
        check_memory(self._limits, self._bytes)

    def states(self) -> dict[int, State]:
        for runs in self._runs.values():
            while len(runs) > 1:
                self._merge_last(runs)
        return {bucket: runs[0].state for bucket, runs in self._runs.items()}

    def _push(self, runs: list[_Run], slices: int, state: State) -> None:
        runs.append(_Run(slices, state, weight(state)))
        self._bytes += runs[-1].bytes

    def _merge_last(self, runs: list[_Run]) -> None:
        later, earlier = runs.pop(), runs.pop()
        self._bytes -= later.bytes + earlier.bytes
        state = merge_states(self._reduce, [earlier.state, later.state])
        self._push(runs, earlier.slices + later.slices, state)


class _Run(NamedTuple):
    slices: int
    state: State
    bytes: int


def weight(state: State) -> int:
    """Return about how many bytes of memory a state takes."""
    size = 0
    for key, partial in state.items():
        size += ENTRY_BYTES
        if key is not None:
            size += sum(len(part[1]) for part in part_keys(key) if isinstance(part[1], str))
        if isinstance(partial, Tally):
            size += partial.nbytes
        elif isinstance(partial, (dict, list, set, frozenset)):
            size += ENTRY_BYTES * len(partial)
        if isinstance(partial, (set, frozenset)) and partial:
            some = list(
                islice(partial, WEIGHED)
            )  # sets are in no order, so any of them are as good as others
            size += sum(map(len, some)) * len(partial) // len(some)
    return size
