"""Texts are decoded in turn, within a quota."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from collector.ingest.quota import DecodingQuota


class Text:
    """A text that is decoded until it is told to be handed over."""

    def __init__(self, decoding: DecodingQuota, size: int) -> None:
        self.is_decoded = False
        self._over = asyncio.Event()
        self.task = asyncio.create_task(self._run(decoding, size))

    async def _run(self, decoding: DecodingQuota, size: int) -> None:
        async with decoding.of(size):
            self.is_decoded = True
            await self._over.wait()

    async def hand_over(self) -> None:
        self._over.set()
        await self.task


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_texts_over_the_limit_wait_in_order_of_arrival() -> None:
    decoding = DecodingQuota(100)
    first, second, small = Text(decoding, 60), Text(decoding, 60), Text(decoding, 10)
    await settle()
    assert [first.is_decoded, second.is_decoded, small.is_decoded] == [True, False, False]
    await first.hand_over()
    await settle()
    assert [second.is_decoded, small.is_decoded] == [True, True]
    assert decoding.held == 70
    await second.hand_over()
    await small.hand_over()
    assert decoding.held == 0


async def test_one_that_is_larger_is_decoded_when_nothing_else_is() -> None:
    decoding = DecodingQuota(100)
    first, large, last = Text(decoding, 60), Text(decoding, 500), Text(decoding, 1)
    await settle()
    assert not large.is_decoded
    await first.hand_over()
    await settle()
    assert [large.is_decoded, last.is_decoded] == [True, False]
    await large.hand_over()
    await settle()
    assert last.is_decoded
    await last.hand_over()


async def test_small_ones_need_not_wait() -> None:
    decoding = DecodingQuota(100, free=10)
    first, small = Text(decoding, 100), Text(decoding, 10)
    await settle()
    assert small.is_decoded
    assert decoding.held == 100
    await small.hand_over()
    await first.hand_over()


@pytest.mark.parametrize("called", [False, True])
async def test_who_leaves_holds_nobody_up(called: bool) -> None:
    decoding = DecodingQuota(100)
    first, gone, last = Text(decoding, 90), Text(decoding, 90), Text(decoding, 10)
    await settle()
    if called:
        first._over.set()
        await first.task
    gone.task.cancel()
    with suppress(asyncio.CancelledError):
        await gone.task
    await settle()
    assert last.is_decoded
    await last.hand_over()
    await first.hand_over()
    assert decoding.held == 0
