"""Shredding: all fields of an hour's events read into columns, for its files, while nobody asks.

As for a question, the revisions of 10 seconds are read before the events, in one session. The hour's, which
is read first, only tells when a file is stale; it is never what is believed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Any, Final, NamedTuple

import numpy as np

from cube.columns import Block
from cube.columns.values import Path
from cube.model.tier import HOUR, TEN_SECONDS, Span
from cube.process.threads import run_in_thread
from cube.store.ports import ReadSession, Revisions
from evaluator.context import QueryContext
from evaluator.engine.reading import SEGMENT_ROWS, Reading, eventful, read_events
from evaluator.engine.segments import Segment
from evaluator.engine.store_blocks import StoreBlocks

READ_SECONDS = 10.0
"""A read for nobody that takes longer is given up: the store holds on to what was there when it began."""

MOST_PATHS = 64
"""Columns that are made of what an hour's events have, beside those that were asked for."""

MOST_CELLS = 1_000_000
"""Rows times columns of one segment, about: some 10 MB."""


class NotQuiet(Exception):
    """An hour cannot be read now: the store, or those who ask, are too busy, or it is being written to."""


class Shredded(NamedTuple):
    """A segment with all its columns; ``revision``: of its hour, read before."""

    revision: int
    segment: Segment


class Shredder:
    """Reads the hours of one store for its column files."""

    def __init__(
        self, context: QueryContext, blocks: StoreBlocks, read_seconds: float = READ_SECONDS
    ) -> None:
        self._context: Final = context
        self._blocks: Final = blocks
        self._read_seconds: Final = read_seconds

    async def segments(self, type: str, hour: int) -> AsyncGenerator[Shredded, None]:
        """Yield the segments of an hour, each read in a session of its own; raises `NotQuiet`."""
        span = Span(hour, hour + HOUR.step)
        while span:
            try:
                async with asyncio.timeout(self._read_seconds), self._context.idle_session() as session:
                    found = await self._next(session, type, span)
            except TimeoutError:
                raise NotQuiet from None
            if found is None:
                return
            yield found
            span = Span(found.segment.span.stop, span.stop)

    async def _next(self, session: ReadSession, type: str, span: Span) -> Shredded | None:
        hours = await session.revisions(type, HOUR, HOUR.cover(span))
        revisions = await session.revisions(type, TEN_SECONDS, span)
        rest = eventful(_kept(span, revisions), revisions.numbers)
        revision = hours.numbers.get(HOUR.floor(span.start))
        if revision is None or revisions.foreign or not revisions.complete or not rest:
            return None
        paths = await self._paths(session, type, rest)
        reading = Reading(session, paths, self._context.scheduler.idle_slice)
        rows = min(SEGMENT_ROWS, MOST_CELLS // max(1, len(paths)))
        rest, block = await read_events(reading, type, rest, paths, lambda rows: None, rows)
        numbers = revisions.numbers.part(rest)
        if not set(TEN_SECONDS.step * np.unique(block.times // TEN_SECONDS.step)) <= numbers.keys():
            raise NotQuiet  # an event whose bucket has not been raised yet: its writer may die before that
        return Shredded(revision, Segment.of(rest, numbers, block))

    async def _paths(self, session: ReadSession, type: str, span: Span) -> frozenset[Path]:
        """Return the paths of the leaves of a span's first events, and those that were asked for."""
        found: dict[Path, None] = {}
        async with aclosing(session.scan(type, span, None)) as blocks:
            async for block in blocks:
                async with self._context.scheduler.idle_slice():
                    await run_in_thread(_collect, block, found)
                break
        return frozenset(list(found)[:MOST_PATHS]) | self._blocks.of(type).wanted


def _kept(span: Span, revisions: Revisions) -> Span:
    """Return a span without what has expired."""
    return Span(TEN_SECONDS.ceil(max(span.start, revisions.expired_before or span.start)), span.stop)


def _collect(block: Block, found: dict[Path, None]) -> None:
    for value in block.data:
        for path in _leaves(value, ()):
            found[path] = None
        if len(found) > MOST_PATHS:
            return


def _leaves(value: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _leaves(inner, (*path, name))
    elif path:
        yield path
