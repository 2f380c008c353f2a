"""Deadlines: no query is worked on forever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from cube.errors import CubeError
from evaluator.instrumentation import QueryCounters
from evaluator.query.limits import DeadlineExceeded


@asynccontextmanager
async def within(seconds: float) -> AsyncIterator[None]:
    """Cancel what is done here once it has taken so many seconds; then raise `DeadlineExceeded`."""
    timeout = asyncio.timeout(seconds)
    try:
        async with timeout:
            yield
    except TimeoutError:
        if not timeout.expired():
            raise
        raise DeadlineExceeded(seconds) from None


class Deadline:
    """Bounds queries in time, and counts what was refused of them."""

    def __init__(self, seconds: float, counters: QueryCounters) -> None:
        self._seconds = seconds
        self._counters = counters

    @asynccontextmanager
    async def query(self) -> AsyncIterator[None]:
        """Do what one query needs; raises `DeadlineExceeded` where that takes too long."""
        try:
            async with within(self._seconds):
                yield
        except CubeError as error:
            self._counters.refused(error)
            raise
