"""Work on blocks in pieces that last about as long as each other, whatever the work costs."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Executor
from contextlib import aclosing
from typing import TypeAlias, TypeVar

from cube.columns.block import Block
from cube.process.threads import run_in_thread
from cube.store.ports import TimeSlice

T = TypeVar("T")
Hold: TypeAlias = Callable[[int], None]

VALUE_FACTOR, ROW_BYTES = 2, 300
"""About what a block takes: so many times what it was decoded from, and so much more a row."""

PIECE_SECONDS = 0.01
"""What a piece should take: long against the cost of switching, short against what anybody notices."""

FIRST_ROWS = 512
"""The rows of a scan's first piece, whose cost nobody knows yet."""

FIRST_SEARCHED_ROWS = 1
"""The same where a pattern is searched for: that alone may take seconds."""

MOST_ROWS = 65_536
"""No slice has more: blocks are shorter, and nothing is learned of longer ones."""

_GROWTH = 8


def hold_nothing(_: int) -> None:
    """Tell nobody."""


class Slices:
    """Works on the blocks of one scan, slice by slice: in threads, each slice in a time slice of its own.

    How many rows a slice has follows from what the last one took, and is `MOST_ROWS` at most;
    ``searched``: whether patterns are searched for. Whoever gives up waits for the slice that is being
    worked on, so that nothing goes on beside those who have their time slice. ``hold`` is told about how many
    bytes of memory more (or less) the blocks take.
    ``rows``: of the first slice, unless it is searched.
    """

    def __init__(
        self,
        time_slice: TimeSlice,
        executor: Executor | None = None,
        *,
        searched: bool = False,
        hold: Hold = hold_nothing,
        rows: int = FIRST_ROWS,
    ) -> None:
        self._hold = hold
        self._time_slice = time_slice
        self._executor = executor
        self._rows = FIRST_SEARCHED_ROWS if searched else rows

    async def each(self, block: Block, work: Callable[[Block], T]) -> AsyncGenerator[T, None]:
        """Yield what the work makes of each slice of a block, in order."""
        size = VALUE_FACTOR * block.size + ROW_BYTES * len(block)
        self._hold(size)
        try:
            async with aclosing(self._each(block, work)) as slices:
                async for made in slices:
                    yield made
        finally:
            self._hold(-size)

    async def _each(self, block: Block, work: Callable[[Block], T]) -> AsyncGenerator[T, None]:
        first = 0
        while first < len(block):
            part = block.rows(first, first + self._rows)
            first += len(part)
            async with self._time_slice():
                made, seconds = await run_in_thread(_timed, work, part, executor=self._executor)
            self._adapt(len(part), seconds)
            yield made

    def _adapt(self, rows: int, seconds: float) -> None:
        """Learn from a slice; one that the block's end cut short says nothing of longer ones."""
        if seconds > 2 * PIECE_SECONDS:
            self._rows = max(1, int(rows * PIECE_SECONDS / seconds))
        elif rows == self._rows and seconds < PIECE_SECONDS / 2:
            growth = _GROWTH if seconds < PIECE_SECONDS / _GROWTH else 2
            self._rows = min(growth * rows, MOST_ROWS)


def _timed(work: Callable[[Block], T], part: Block) -> tuple[T, float]:
    began = time.perf_counter()
    made = work(part)
    return made, time.perf_counter() - began
