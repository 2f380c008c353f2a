"""Reading ahead: what somebody will ask for as soon as it has closed."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from functools import partial
from typing import Final

from cube.errors import CubeError
from cube.model.tier import TEN_SECONDS, Span
from cube.store.read_options import ReadOptions
from evaluator.context import QueryContext
from evaluator.engine.blocks import TypeBlocks
from evaluator.engine.reading import Reading
from evaluator.engine.store_blocks import StoreBlocks
from evaluator.scheduling.scheduler import QueryCost

PAUSE_SECONDS: Final = 1.0
"""From one look to the next."""

LOOK_BACK: Final = 60_000
"""What has closed longer ago is left to whoever asks."""

AFTER_FAULT_SECONDS: Final = 60.0

_log = logging.getLogger(__name__)


class ReadAhead:
    """Reads ahead what is asked for again and again, in one store, from `run` until that is cancelled.

    What closes while nobody asks, and what is open, of each type of which somebody asks for the newest
    buckets; behind all queries.
    """

    def __init__(self, context: QueryContext, blocks: StoreBlocks) -> None:
        self.blocks = blocks
        self._context = context

    async def run(self) -> None:
        """Read about once a second; what the store refuses is tried again later."""
        while True:
            await asyncio.sleep(PAUSE_SECONDS)
            try:
                await self.look()
            except CubeError as error:
                _log.warning("nothing is read ahead for a while: %s", error)
                await asyncio.sleep(AFTER_FAULT_SECONDS)
            except Exception:
                _log.exception("reading ahead met a fault; the next try is in %g s", AFTER_FAULT_SECONDS)
                await asyncio.sleep(AFTER_FAULT_SECONDS)

    async def look(self) -> None:
        """Read once what has come, of all types that are followed."""
        now = self._context.clock()
        for blocks in self.blocks.followed(now):
            await self.read(blocks, now)

    async def read(self, blocks: TypeBlocks, now: int) -> None:
        """Read what of a type has closed since somebody asked, and the bucket that is open."""
        context, cost = self._context, QueryCost.background(TEN_SECONDS.step)
        current = TEN_SECONDS.floor(now)
        time_slice = partial(context.scheduler.time_slice, cost)
        async with context.store.events.read(
            ReadOptions(context.limits.query_seconds, time_slice)
        ) as session:
            reading = Reading(session, blocks.wanted, time_slice, follows=False)
            newest = TEN_SECONDS.floor(min(blocks.ahead.newest(now), current))
            span = Span(max(newest, current - LOOK_BACK), current + TEN_SECONDS.step)
            revisions = await session.revisions(blocks.type, TEN_SECONDS, span)
            is_expired = revisions.expired_before is not None and revisions.expired_before > span.start
            if revisions.foreign or not revisions.complete or is_expired:
                return
            if current in revisions.numbers:
                await blocks.ahead.read(reading, current, blocks.wanted)
            closed = revisions.numbers.part(Span(span.start, current))
            async with aclosing(blocks.blocks(reading, TEN_SECONDS, closed)) as read:
                async for _ in read:
                    continue
