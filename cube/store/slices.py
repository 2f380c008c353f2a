"""Work on the blocks of a scan in threads, slice by slice, each in a time slice of its own.

Slices last about as long as each other, whatever the work costs.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Sequence
from concurrent.futures import Executor
from contextlib import aclosing
from typing import TypeAlias, TypeVar

from cube.columns.block import Block
from cube.process.threads import run_in_thread
from cube.store.read_options import TimeSlice

T = TypeVar("T")
Hold: TypeAlias = Callable[[int], None]
Ends: TypeAlias = Callable[[Block], Sequence[int]]

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

FIRST_TOGETHER, MOST_TOGETHER = 8_192, 4 * MOST_ROWS
"""Blocks of so many rows together, at first and then at most, wait to be worked on in one piece."""

_GROWTH = 8

_LONGER = 4
"""A slice is so many times as long as it should be, at most, to end where slices preferably end."""


def hold_nothing(_: int) -> None:
    """Tell nobody."""


class Slices:
    """Works on the blocks of one scan, slice by slice: in threads, each slice in a time slice of its own.

    How many rows a slice has follows from what the last one took, and is `MOST_ROWS` at most;
    ``searched``: whether patterns are searched for. Whoever gives up waits for the slice that is being
    worked on, so that nothing goes on beside those who have their time slice. ``hold`` is told about how many
    bytes of memory more (or less) the blocks take.
    ``rows``: of the first slice, unless it is searched. ``ends``: rows of a block before which slices
    preferably end, ascending; the end of a block is one, too.
    """

    def __init__(
        self,
        time_slice: TimeSlice,
        executor: Executor | None = None,
        *,
        searched: bool = False,
        hold: Hold = hold_nothing,
        rows: int = FIRST_ROWS,
        ends: Ends | None = None,
    ) -> None:
        self._ends = ends
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

    async def over(
        self, blocks: AsyncIterable[Block], work: Callable[[Block], T], first: int = FIRST_TOGETHER
    ) -> AsyncGenerator[T, None]:
        """Yield what the work makes of each slice of some blocks, in order.

        A block that is no longer than a slice is one, and as many as there is time for are one piece; at
        first those of ``first`` rows, so that what ends in an error has not read far. Of what they take
        nobody is told.
        """
        ready: deque[Block] = deque()
        most = first
        async for block in blocks:
            if ready and sum(map(len, ready)) + len(block) > most:
                most = MOST_TOGETHER
                async with aclosing(self._pieces(ready, work)) as slices:
                    async for made in slices:
                        yield made
            if len(block):
                ready.append(block)
        async with aclosing(self._pieces(ready, work)) as slices:
            async for made in slices:
                yield made

    async def _pieces(self, ready: deque[Block], work: Callable[[Block], T]) -> AsyncGenerator[T, None]:
        while ready:
            if len(ready[0]) > self._rows:
                async with aclosing(self._each(ready.popleft(), work)) as slices:
                    async for made in slices:
                        yield made
                continue
            async with self._time_slice():
                done = await run_in_thread(_piece, work, ready, self._rows, executor=self._executor)
            for rows, made, seconds in done:
                self._adapt(rows, seconds, is_last=True)
                yield made

    async def _each(self, block: Block, work: Callable[[Block], T]) -> AsyncGenerator[T, None]:
        first, ends = 0, None
        while first < len(block):
            stop = first + self._rows
            if stop < len(block) and self._ends is not None:
                ends = [*self._ends(block), len(block)] if ends is None else ends
                stop = _preferred(ends, first, stop, first + _LONGER * self._rows)
            stop = min(stop, len(block))
            part = block.rows(first, stop)
            async with self._time_slice():
                made, seconds = await run_in_thread(_timed, work, part, executor=self._executor)
            self._adapt(len(part), seconds, is_last=stop == len(block))
            first = stop
            yield made

    def _adapt(self, rows: int, seconds: float, *, is_last: bool) -> None:
        """Learn from a slice; one that the block's end cut short says nothing of longer ones."""
        if seconds > 2 * PIECE_SECONDS:
            self._rows = max(1, int(rows * PIECE_SECONDS / seconds))
        elif (rows >= self._rows or not is_last) and seconds < PIECE_SECONDS / 2:
            growth = _GROWTH if seconds < PIECE_SECONDS / _GROWTH else 2
            self._rows = max(self._rows, min(growth * rows, MOST_ROWS))


def _preferred(ends: Sequence[int], first: int, stop: int, longest: int) -> int:
    """Return the last preferred end up to a row, else the first after it, else that row."""
    place = bisect_right(ends, stop)
    if place and ends[place - 1] > first:
        return ends[place - 1]
    return ends[place] if place < len(ends) and ends[place] <= longest else stop


def _piece(work: Callable[[Block], T], ready: deque[Block], most: int) -> list[tuple[int, T, float]]:
    """Work on blocks of so many rows at most, until a piece has lasted as long as it should."""
    done: list[tuple[int, T, float]] = []
    began = time.perf_counter()
    while ready and len(ready[0]) <= most and (not done or time.perf_counter() < began + PIECE_SECONDS):
        block = ready.popleft()
        done.append((len(block), *_timed(work, block)))
    return done


def _timed(work: Callable[[Block], T], part: Block) -> tuple[T, float]:
    began = time.perf_counter()
    made = work(part)
    return made, time.perf_counter() - began
