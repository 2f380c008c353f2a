"""Work on blocks, slice by slice."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest

from cube.columns.block import Block
from cube.store import slices as slices_module
from cube.store.slices import FIRST_ROWS, FIRST_SEARCHED_ROWS, MOST_ROWS, MOST_TOGETHER, Slices


def block(rows: int) -> Block:
    return Block(np.arange(rows, dtype=np.int64), list(range(rows)), list(range(rows)))


class Turns:
    """Counts the turns that were taken."""

    def __init__(self) -> None:
        self.taken = self.held = 0

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[None]:
        self.taken += 1
        self.held += 1
        try:
            yield
        finally:
            self.held -= 1


async def test_all_rows_are_worked_on_once_and_in_order() -> None:
    slices = Slices(Turns(), searched=True)
    seen = [row async for part in slices.each(block(5_000), lambda some: some.data) for row in part]
    assert seen == list(range(5_000))


async def test_cheap_rows_make_long_slices() -> None:
    turns = Turns()
    slices = Slices(turns)
    assert [size async for size in slices.each(block(FIRST_ROWS), len)] == [FIRST_ROWS]
    assert len([size async for size in slices.each(block(100_000), len)]) < 20
    assert turns.held == 0


async def test_slices_do_not_grow_without_end() -> None:
    """Each of many blocks takes no time, and so says that the next slice may be longer."""
    slices = Slices(Turns())
    for _ in range(100):  # 512 * 8**100 rows are more than an index may be
        assert [size async for size in slices.each(block(10), len)] == [10]
    assert len([size async for size in slices.each(block(4 * FIRST_ROWS), len)]) > 1
    for _ in range(40):
        assert sum([size async for size in slices.each(block(3 * MOST_ROWS), len)]) == 3 * MOST_ROWS
    assert max([size async for size in slices.each(block(3 * MOST_ROWS), len)]) == MOST_ROWS


async def test_dear_rows_make_short_slices() -> None:
    def work(some: Block) -> int:
        time.sleep(0.002 * len(some))
        return len(some)

    sizes = [size async for size in Slices(Turns(), searched=True).each(block(100), work)]
    assert sizes[0] == FIRST_SEARCHED_ROWS
    assert max(sizes) < 50


@pytest.mark.parametrize(
    ("ends", "rows", "sizes"),
    [
        ([3, 6, 9], 4, [3, 3, 4]),
        ([5], 4, [5, 5]),
        ([], 4, [10]),
        ([], 2, [2, 8]),
        ([9], 2, [2, 7, 1]),
        ([2, 3, 4], 10, [10]),
    ],
)
async def test_slices_end_where_that_is_preferred(
    monkeypatch: pytest.MonkeyPatch, ends: list[int], rows: int, sizes: list[int]
) -> None:
    """At the last such row that is near enough, or at the next one, if that is not much too far."""
    monkeypatch.setattr(slices_module, "_timed", lambda work, part: (work(part), slices_module.PIECE_SECONDS))
    slices = Slices(Turns(), rows=rows, ends=lambda _: ends)
    assert [size async for size in slices.each(block(10), len)] == sizes


async def test_who_is_cancelled_keeps_the_turn_until_the_thread_has_ended() -> None:
    turns, begun, go = Turns(), threading.Event(), threading.Event()

    def work(some: Block) -> None:
        begun.set()
        go.wait(10)

    async def worked() -> None:
        async for _ in Slices(turns).each(block(10), work):
            continue

    task = asyncio.create_task(worked())
    await asyncio.to_thread(begun.wait, 10)
    task.cancel()
    await asyncio.sleep(0)
    assert turns.held == 1
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_a_part_of_a_block_has_its_columns_named_alike() -> None:
    made = Block.from_json([1, 2, 3], ['{"a":1}', None, '{"a":3}'], [7, 8, 9], fields=("a",))
    part = made.rows(1, 3)
    assert (part.times.tolist(), part.ids) == ([2, 3], [8, 9])
    assert part.named("a") == made.named("a")[1:]  # type: ignore[index]  # records, not None
    assert list(part.data) == list(made.data)[1:]
    assert made.rows(0, 3) is made


async def in_turn(*blocks: Block) -> AsyncIterator[Block]:
    for one in blocks:
        yield one


async def test_short_blocks_are_worked_on_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices_module, "PIECE_SECONDS", 1e6)
    turns = Turns()
    slices = Slices(turns, rows=100)
    blocks = in_turn(block(100), block(0), block(30), block(100), block(1))
    assert [size async for size in slices.over(blocks, len)] == [100, 30, 100, 1]
    assert turns.taken == 1


async def test_no_more_of_them_wait_than_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices_module, "PIECE_SECONDS", 1e6)
    turns = Turns()
    slices = Slices(turns, rows=MOST_ROWS)
    blocks = in_turn(*(block(MOST_ROWS) for _ in range(5)))
    assert [size async for size in slices.over(blocks, len)] == [MOST_ROWS] * 5
    assert turns.taken == 2  # one, and four


async def test_those_in_memory_need_not_be_few_at_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices_module, "PIECE_SECONDS", 1e6)
    turns = Turns()
    slices = Slices(turns, rows=MOST_ROWS)
    blocks = in_turn(*(block(MOST_ROWS) for _ in range(4)))
    assert [size async for size in slices.over(blocks, len, MOST_TOGETHER)] == [MOST_ROWS] * 4
    assert turns.taken == 1


async def test_few_of_them_wait_before_the_first_piece() -> None:
    """What that ends in, such as an error over too many groups, ends without all of them."""
    taken = 0

    async def counted() -> AsyncIterator[Block]:
        nonlocal taken
        for _ in range(30):
            taken += 1
            yield block(1_000)

    async for _ in Slices(Turns(), rows=MOST_ROWS).over(counted(), len):
        break
    assert taken <= 10


async def test_a_piece_ends_once_it_has_lasted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices_module, "PIECE_SECONDS", 0.0)
    turns = Turns()
    slices = Slices(turns, rows=100)
    assert [size async for size in slices.over(in_turn(block(1), block(1), block(1)), len)] == [1, 1, 1]
    assert turns.taken == 3


async def test_a_long_block_among_short_ones_is_cut() -> None:
    slices = Slices(Turns(), rows=10)
    seen = [
        row
        async for part in slices.over(in_turn(block(10), block(25), block(3)), lambda some: list(some.data))
        for row in part
    ]
    assert seen == [*range(10), *range(25), *range(3)]


async def test_an_error_of_one_block_is_raised_and_no_turn_is_held() -> None:
    def fails(some: Block) -> int:
        if len(some) == 2:
            raise ValueError("two")
        return len(some)

    turns = Turns()
    sizes = Slices(turns, rows=10).over(in_turn(block(1), block(2)), fails)
    with pytest.raises(ValueError, match="two"):
        await anext(sizes)
    assert turns.held == 0
