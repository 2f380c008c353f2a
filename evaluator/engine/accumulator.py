"""Accumulation: the partial results of a scan, merged and weighed as they come."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from cube.expression.nodes import Reduction
from cube.model.reduce import REDUCES, Partial
from evaluator.engine.codec import GroupKey, State, merge_states
from evaluator.engine.series import Bounds
from evaluator.query.limits import LimitExceeded

ENTRY_BYTES = 128
"""About what an entry of a tally, or a group's partial, takes in memory beside its text."""


class Accumulator:
    """The states of a scan's buckets, out of those of its slices, which come in order of time.

    Neighbours are merged as soon as they hold as many slices as each other: every state is merged a few
    times, and few wait. Raises `LimitExceeded` where there are too many groups, or all states together are
    over the bound of memory.
    """

    def __init__(self, reduction: Reduction, bounds: Bounds) -> None:
        self._reduce = REDUCES[reduction.reduce]
        self._bounds = bounds
        self._runs: dict[int, list[_Run]] = {}
        self._groups: set[GroupKey | None] = set()
        self._bytes = 0

    def add(self, states: Mapping[int, State]) -> None:
        """Take the states of one slice."""
        for bucket, state in states.items():
            self._groups.update(state)
            runs = self._runs.setdefault(bucket, [])
            self._push(runs, _Run(1, state, weight(state)))
            while len(runs) > 1 and runs[-2].slices <= runs[-1].slices:
                self._merge_last(runs)
        self._check()

    def states(self) -> dict[int, State]:
        """Return the states of all buckets."""
        for runs in self._runs.values():
            while len(runs) > 1:
                self._merge_last(runs)
        return {bucket: runs[0].state for bucket, runs in self._runs.items()}

    def _push(self, runs: list[_Run], run: _Run) -> None:
        runs.append(run)
        self._bytes += run.bytes

    def _merge_last(self, runs: list[_Run]) -> None:
        later, earlier = runs.pop(), runs.pop()
        self._bytes -= later.bytes + earlier.bytes
        state = merge_states(self._reduce, [earlier.state, later.state])
        self._push(runs, _Run(earlier.slices + later.slices, state, weight(state)))

    def _check(self) -> None:
        self._bounds.check(0, len(self._groups))
        check_memory(self._bytes, self._bounds)


class _Run(NamedTuple):
    slices: int
    state: State
    bytes: int


def check_memory(held: int, bounds: Bounds) -> None:
    """Raise `LimitExceeded` where a query holds more bytes than it may."""
    if held > bounds.memory:
        raise LimitExceeded(
            f"The query would hold more than {bounds.memory} bytes of partial results, which is the limit:"
            f" take a shorter span, fewer groups, or a reduce other than {_growing()}.",
            reason="memory",
            field="expression",
        )


def _growing() -> str:
    *most, last = sorted(reduce.name for reduce in REDUCES.values() if reduce.grows)
    return f"{', '.join(most)} and {last}"


def weight(state: State) -> int:
    """Return about how many bytes of memory a state takes."""
    return sum(ENTRY_BYTES + _text(key) + _entries(partial) for key, partial in state.items())


def _text(key: GroupKey | None) -> int:
    return len(key[1]) if key is not None and isinstance(key[1], str) else 0


def _entries(partial: Partial) -> int:
    if isinstance(partial, dict | list):
        return ENTRY_BYTES * len(partial)
    if isinstance(partial, (set, frozenset)):
        return ENTRY_BYTES * len(partial) + _lengths(partial)
    return 0


def _lengths(values: Iterable[bytes]) -> int:
    return sum(map(len, values))
