"""Long work in short transactions, between which other processes get SQLite's lock."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

_SHORTEST_PAUSE_SECONDS = 0.005


async def in_slices(delete_some: Callable[[], Awaitable[int]], size: int) -> int:
    """Run `delete_some` until it finds less than `size`; return how much it found in all.

    After each it pauses for as long as that took: SQLite's lock is not fair, and a process that takes it
    again at once could keep the others from it.
    """
    total = 0
    while True:
        began = time.monotonic()
        deleted = await delete_some()
        total += deleted
        if deleted < size:
            return total
        await pause_after(began)


async def pause_after(began: float) -> None:
    """Pause for as long as what began at a time, of the monotonic clock, took."""
    await asyncio.sleep(max(_SHORTEST_PAUSE_SECONDS, time.monotonic() - began))
