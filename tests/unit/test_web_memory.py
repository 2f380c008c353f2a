"""Memory is given back when there is much more of it than at the least."""

from __future__ import annotations

import asyncio
import ctypes

import pytest

from cube.process import event_loop
from cube.process.event_loop import SURPLUS_BYTES, MemoryTrimmer, bound_arenas, resident_bytes


class Process:
    """A process whose memory a test sets; so much of it can be given back."""

    def __init__(self) -> None:
        self.resident = 100
        self.surplus = 0
        self.trims = 0
        self.trimmed = asyncio.Event()

    def trim(self) -> None:
        self.trims += 1
        self.resident -= self.surplus
        self.surplus = 0

    async def until_trims(self, count: int) -> None:
        async with asyncio.timeout(10):
            while self.trims < count:  # noqa: ASYNC110 - it is done by a thread
                await asyncio.sleep(0.002)


async def test_a_surplus_is_given_back_once() -> None:
    process = Process()
    trimmer = MemoryTrimmer(lambda: process.resident, process.trim, seconds=0.002)
    try:
        await asyncio.sleep(0.02)
        assert process.trims == 0
        process.surplus = 2 * SURPLUS_BYTES
        process.resident += process.surplus
        await process.until_trims(1)
        await asyncio.sleep(0.02)
        assert (process.trims, process.resident) == (1, 100)
    finally:
        trimmer.stop()


async def test_where_nothing_can_be_given_back_it_is_tried_less_and_less() -> None:
    process = Process()
    trimmer = MemoryTrimmer(lambda: process.resident, process.trim, seconds=0.002)
    try:
        process.resident += 2 * SURPLUS_BYTES
        await asyncio.sleep(0.3)
        assert 1 <= process.trims <= 8  # 0.002 s, twice that, and so on
    finally:
        trimmer.stop()


async def test_where_collecting_took_long_it_is_put_off_and_not_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Under a rush there is much to look through; what it leaves in cycles is freed after it."""
    process, clock, collected = Process(), [1_000.0], []

    def collect() -> int:
        collected.append(clock[0])
        clock[0] += 0.5  # the rush
        return 0

    monkeypatch.setattr(event_loop.gc, "collect", collect)
    monkeypatch.setattr(event_loop.time, "perf_counter", lambda: clock[0])
    trimmer = MemoryTrimmer(lambda: process.resident, process.trim, seconds=0.002)
    try:
        process.resident += 2 * SURPLUS_BYTES
        await process.until_trims(4)
        assert collected == [1_000.0]
        clock[0] += 49.0
        await process.until_trims(process.trims + 2)
        assert len(collected) == 1
        clock[0] += 2.0  # so that it stood still for a hundredth of the time
        await process.until_trims(process.trims + 2)
        assert len(collected) == 2
    finally:
        trimmer.stop()


def test_the_system_tells_and_takes() -> None:
    bound_arenas()
    assert resident_bytes() > 10_000_000
    if not hasattr(ctypes.CDLL(None), "malloc_trim"):
        pytest.skip("another C library than glibc")
