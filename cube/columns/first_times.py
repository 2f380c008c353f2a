"""When each key of a reduction first comes: all that a count of different keys since some time depends on."""

from __future__ import annotations

from typing import Final

import numpy as np

from cube.columns.block import Block
from cube.columns.key_events import Codes, KeyNumbers
from cube.expression.nodes import EventExpression, Reduction
from cube.model.tier import Span

_LATEST: Final = np.iinfo(np.int64).max
_TIME_BYTES: Final = 8


class FirstTimes:
    """Gathers the blocks of a span, in any order; ``bytes``: about what the keys and their times take.

    ``reduction``: a "distinct" of a value, without a group. Raises `ValueError` for any other.
    """

    def __init__(self, reduction: Reduction, span: Span) -> None:
        if reduction.value is None:
            raise ValueError(f"Got {reduction}; accepted is a reduction of a value.")
        self._numbers = KeyNumbers(reduction.value)
        self._selections = (EventExpression(reduction.type, (), reduction.filters),)
        self._span = span
        self._times = np.zeros(0, dtype=np.int64)

    @property
    def bytes(self) -> int:
        return self._numbers.bytes + _TIME_BYTES * len(self._times)

    def add(self, block: Block) -> None:
        """Take in those events of a block that are in the span."""
        found = self._numbers.read(self._selections, self._selections[0].type, block.in_use(), self._span)
        new = len(self._numbers) - len(self._times)
        if new:
            self._times = np.concatenate((self._times, np.full(new, _LATEST)))
        np.minimum.at(self._times, found.keys, found.times)

    def ascending(self) -> Codes:
        """Return the first time of each key in order: before an instant as many keys came as times are."""
        return np.sort(self._times)
