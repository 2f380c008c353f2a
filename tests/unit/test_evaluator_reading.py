"""How far events are read at once, in whole buckets."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import nullcontext
from typing import Any, cast

import numpy as np
import pytest

from cube.columns import Block, PackedBlock
from cube.columns.values import Path
from cube.model.tier import TEN_SECONDS, Span
from cube.store.ports import ReadSession
from evaluator.engine.reading import Reading, read_events

PATHS = frozenset[Path]({("n",)})
PIECE = 500


class _Session:
    """A session whose buckets of ten seconds have so many events, read `PIECE` at a time."""

    def __init__(self, sizes: Sequence[int]) -> None:
        self.read = 0
        step = TEN_SECONDS.step
        spread = [place * step + np.arange(size) * step // max(1, size) for place, size in enumerate(sizes)]
        self._times = np.concatenate(spread).astype(np.int64)

    async def packed(
        self, type: str, span: Span, paths: Collection[Path]
    ) -> AsyncGenerator[Sequence[PackedBlock], None]:
        first, last = np.searchsorted(self._times, (span.start, span.stop)).tolist()
        for start in range(first, last, PIECE):
            times = self._times[start : min(start + PIECE, last)]
            self.read += len(times)
            yield [PackedBlock.of(Block(times, [{"n": 1}] * len(times)), paths)]


@pytest.mark.parametrize(
    ("sizes", "rows", "whole", "read"),
    [
        ([2_000, 2_000, 2_000], 3_000, 2_000, 2_500),  # two do not fit: the second is hardly begun
        ([2_000, 2_000, 2_000], 4_000, 4_000, 4_500),
        ([300] * 20, 3_000, 2_700, 3_000),  # another piece would be too many
        ([5_000, 100], 3_000, 5_000, 5_100),  # more than fits, and still whole
        ([1_000] * 10, 100_000, 10_000, 10_000),
        ([1_000, 0, 0, 0, 0, 0, 0, 0, 2_000], 3_500, 3_000, 3_000),  # few in each: so they are not many
    ],
)
async def test_as_many_whole_buckets_are_read_as_fit_and_little_of_the_next(
    sizes: Sequence[int], rows: int, whole: int, read: int
) -> None:
    session = _Session(sizes)
    reading = Reading(cast("ReadSession", cast("Any", session)), PATHS, nullcontext)
    asked = Span(0, len(sizes) * TEN_SECONDS.step)

    span, block = await read_events(reading, "t", asked, PATHS, lambda count: None, rows)

    assert (len(block), session.read) == (whole, read)
    assert span.start == 0
    assert span.stop % TEN_SECONDS.step == 0
    assert np.array_equal(block.times, session._times[session._times < span.stop])
