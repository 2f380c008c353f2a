"""Event queries over any store: which events an expression selects, in an exact order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from cube.columns import needed, project, selected
from cube.columns.block import Block
from cube.event import EventId, id_key
from cube.expression.nodes import Comparison, EventExpression, Field
from cube.span import Span
from cube.store.ports import ReadSession


class Found(NamedTuple):
    """One event that a query found; ``data``: what its expression shows of it, or `ABSENT`."""

    time: int
    id: EventId
    data: Any


async def find(
    session: ReadSession,
    expression: EventExpression,
    span: Span,
    *,
    limit: int | None,
    newest_first: bool = True,
    offset: int = 0,
) -> AsyncGenerator[list[Found], None]:
    """Find the events that `expression` selects in a span, in lists that are not empty.

    They are ordered by time and, among equal times, by `id_key`; with ``newest_first`` both run
    downwards. The first ``offset`` are passed over, and the scan ends once ``limit`` (None: all)
    were found.
    """
    if limit is not None and limit < 1:
        return
    passed, stop = 0, None if limit is None else offset + limit
    async with aclosing(_in_order(session, expression, span, newest_first)) as parts:
        async for part in parts:
            wanted = part[max(0, offset - passed) : None if stop is None else stop - passed]
            passed += len(part)
            if wanted:
                yield wanted
            if stop is not None and passed >= stop:
                return


async def count(session: ReadSession, expression: EventExpression, span: Span) -> int:
    """Count the events that `expression` selects in a span."""
    if expression.fields is None:  # it shows all data and demands none: only its filters' is read
        expression = replace(expression, fields=())
    total = 0
    scan = session.scan(expression.type, span, needed(expression), texts=_texts(expression))
    async with aclosing(_blocks(scan)) as blocks:
        async for block in blocks:
            total += await asyncio.to_thread(_count, expression, block)
    return total


async def _in_order(
    session: ReadSession, expression: EventExpression, span: Span, newest_first: bool
) -> AsyncGenerator[list[Found], None]:
    """Find in parts that share no time: events of a block's last time wait for the next block."""
    waiting: list[Found] = []
    scan = session.scan(
        expression.type,
        span,
        needed(expression),
        ids=True,
        newest_first=newest_first,
        texts=_texts(expression),
    )
    async with aclosing(_blocks(scan)) as blocks:
        async for block in blocks:
            waiting += await asyncio.to_thread(_select, expression, block)
            last = int(block.times[-1])
            ready = [found for found in waiting if found.time != last]
            if ready:
                waiting = waiting[len(ready) :]
                yield _sorted(ready, newest_first)
    if waiting:
        yield _sorted(waiting, newest_first)


async def _blocks(scan: AsyncIterator[Block]) -> AsyncGenerator[Block, None]:
    """Pass on the blocks that hold events; closing this closes the scan."""
    try:
        async for block in scan:
            if len(block):
                yield block
    finally:
        if isinstance(scan, AsyncGenerator):
            await scan.aclose()


def _texts(expression: EventExpression) -> dict[str, str]:
    """Return the filters of an expression that a store may apply, too."""
    texts: dict[str, str] = {}
    for each in expression.filters:
        match each:
            case Comparison("eq", Field((str(name),)), str(text)):
                texts.setdefault(name, text)
            case _:
                pass
    return texts


def _select(expression: EventExpression, block: Block) -> list[Found]:
    rows = np.flatnonzero(selected(expression, block)).tolist()
    times, ids = block.times.tolist(), _ids(block)
    data = block.data if rows else ()
    return [Found(times[row], ids[row], project(expression.fields, data[row])) for row in rows]


def _count(expression: EventExpression, block: Block) -> int:
    return int(np.count_nonzero(selected(expression, block)))


def _ids(block: Block) -> Sequence[EventId]:
    if block.ids is None:
        raise TypeError("a scan that was asked for ids gave a block without them")
    return block.ids


def _sorted(found: list[Found], newest_first: bool) -> list[Found]:
    return sorted(found, key=lambda one: (one.time, id_key(one.id)), reverse=newest_first)
