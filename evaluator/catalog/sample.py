"""Samples: the newest events of a type, read within bounds of their number, bytes and time."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

import numpy as np

from cube.columns import Block, has_patterns, needed, selected
from cube.expression.nodes import EventExpression
from cube.model import instant
from cube.model.tier import EVER
from cube.store.equality import wanted_by
from cube.store.ports import ReadSession
from cube.store.slices import Slices
from evaluator.context import QueryContext
from evaluator.scheduling.scheduler import QueryCost

FIRST_ROWS: Final = 32
"""Of the first slice: events may be so wide that each takes milliseconds."""


@dataclass(frozen=True, slots=True)
class SampleLimits:
    """What a sample may take: events looked at, bytes that they were decoded from, seconds of reading."""

    events: int
    bytes: int
    seconds: float


@dataclass(slots=True)
class EventSample:
    """What was read: so many events, of ``[first, last]``, newest first.

    ``events``: those that passed the filters; ``looked_at``: all. ``is_whole``: there are no others.
    ``bytes``: of the blocks that they are in, the last of which may not have been looked through.
    ``until``: when its time is over, by `time.monotonic`.
    """

    events: int = 0
    looked_at: int = 0
    bytes: int = 0
    first: int | None = None
    last: int | None = None
    is_whole: bool = False
    until: float = math.inf

    @property
    def is_late(self) -> bool:
        """Whether its time is over."""
        return time.monotonic() > self.until

    def described(self) -> dict[str, Any]:
        """Return it as an answer tells it."""
        return {
            "events": self.events,
            "first": None if self.first is None else instant.format(self.first),
            "last": None if self.last is None else instant.format(self.last),
            "whole": self.is_whole,
        }


async def sample(
    context: QueryContext,
    expression: EventExpression,
    fields: Sequence[str] | None,
    bounds: SampleLimits,
    take: Callable[[Any], None],
) -> EventSample:
    """Hand the data of the newest events that an expression selects to `take`, in threads, piece by piece.

    ``fields``: the top-level names of the data that `take` needs; None is all of them.
    It ends at the first of the bounds, wherever that falls: between two events, however wide these are.
    Raises `QueueFull` and `Unavailable`.
    """
    made = EventSample(until=time.monotonic() + bounds.seconds)
    reduce = partial(_take, made, take, expression, bounds.events)
    async with context.session(QueryCost()) as (session, time_slice):
        slices = Slices(time_slice, searched=has_patterns(expression), rows=FIRST_ROWS)
        try:
            async with asyncio.timeout(bounds.seconds):
                blocks = scan_all(session, expression, fields, newest_first=True)
                made.is_whole = await _read(made, blocks, slices, bounds, reduce)
        except TimeoutError:
            made.is_whole = False
    context.counters.read(made.looked_at)
    return made


def scan_all(
    session: ReadSession,
    expression: EventExpression,
    fields: Sequence[str] | None,
    *,
    newest_first: bool,
) -> AsyncGenerator[Block, None]:
    """Scan all events that an expression's filters may pass, with the fields that these need, and some more.

    The caller closes it.
    """
    needs = needed(replace(expression, fields=()))
    names = None if fields is None else tuple(sorted({*fields, *(needs or ())}))
    wanted = wanted_by(expression.filters)
    return session.scan(expression.type, EVER, names, newest_first=newest_first, wanted=wanted)


async def _read(
    made: EventSample,
    blocks: AsyncGenerator[Block, None],
    slices: Slices,
    bounds: SampleLimits,
    take: Callable[[Block], EventSample],
) -> bool:
    """Tell whether all events were read; ``made`` is added to."""
    async with aclosing(blocks):
        async for block in blocks:
            made.bytes += block.size
            async with aclosing(slices.each(block, take)) as parts:
                async for _ in parts:
                    if made.looked_at >= bounds.events or made.is_late:
                        return False
            if made.bytes >= bounds.bytes:
                return False
    return True


def _take(
    made: EventSample, take: Callable[[Any], None], expression: EventExpression, most: int, block: Block
) -> EventSample:
    block = block.rows(0, most - made.looked_at)
    times, data = block.times, block.data
    for row in np.flatnonzero(selected(expression, block)).tolist():
        take(data[row])
        made.events += 1
        made.first = int(times[row])
        made.last = made.first if made.last is None else made.last
        if made.is_late:
            made.looked_at += row + 1
            return made
    made.looked_at += len(block)
    return made
