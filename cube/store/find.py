"""Event queries over any store: which events an expression selects, in an exact order."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, Protocol, Required, TypedDict, TypeVar, Unpack

import numpy as np

from cube.columns import has_patterns, needed, project, selected
from cube.columns.block import Block
from cube.expression.nodes import EventExpression
from cube.model.event import EventId, id_key
from cube.model.tier import Span
from cube.store.equality import wanted_by
from cube.store.ports import ReadSession
from cube.store.read_options import TimeSlice
from cube.store.slices import Hold, Slices, hold_nothing


class Found(NamedTuple):
    """One event that a query found; ``data``: what its expression shows of it, or `ABSENT`."""

    time: int
    id: EventId
    data: Any


class Ordered(Protocol):
    """What has a place in the order of events."""

    @property
    def time(self) -> int:
        """When it was, in milliseconds since 1970."""

    @property
    def id(self) -> EventId:
        """Which one of that time it is."""


P = TypeVar("P", bound=Ordered)


class SearchOptions(TypedDict, total=False):
    """Which of the events of a span, and how they are read; see `search`."""

    limit: Required[int | None]
    newest_first: bool
    offset: int
    time_slice: TimeSlice
    hold: Hold


def find(
    session: ReadSession, expression: EventExpression, span: Span, **options: Unpack[SearchOptions]
) -> AsyncGenerator[list[Found], None]:
    """Find the events that `expression` selects in a span, as `search` does."""
    select = partial(select_found, expression)
    return search(session, expression, span, select, needed(expression), **options)


async def search(
    session: ReadSession,
    expression: EventExpression,
    span: Span,
    select: Callable[[Block], list[P]],
    fields: Sequence[str] | None,
    *,
    limit: int | None,
    newest_first: bool = True,
    offset: int = 0,
    time_slice: TimeSlice = nullcontext,
    hold: Hold = hold_nothing,
) -> AsyncGenerator[list[P], None]:
    """Find what `select` makes of the rows of a block that `expression` selects, in lists that are not empty.

    ``fields``: what `select` needs of the data; None is all of it. What is found is ordered by time and,
    among equal times, by `id_key`; with ``newest_first`` both run downwards. The first ``offset`` are passed
    over, and the scan ends once ``limit`` (None: all) were found. Events are selected in threads, each piece
    in a time slice. ``hold`` is told about how many bytes of memory more (or less) the events take that are
    read and not selected yet.
    """
    if limit is not None and limit < 1:
        return
    passed, stop = 0, None if limit is None else offset + limit
    wanted = wanted_by(expression.filters)
    scan = session.scan(expression.type, span, fields, ids=True, newest_first=newest_first, wanted=wanted)
    slices = Slices(time_slice, searched=has_patterns(expression), hold=hold)
    async with aclosing(in_order(scan, select, newest_first, stop, slices)) as parts:
        async for part, _ in parts:
            asked = part[max(0, offset - passed) : None if stop is None else stop - passed]
            passed += len(part)
            if asked:
                yield asked
            if stop is not None and passed >= stop:
                return


async def count(
    session: ReadSession, expression: EventExpression, span: Span, *, time_slice: TimeSlice = nullcontext
) -> int:
    """Count the events that `expression` selects in a span."""
    if expression.fields is None:  # it shows all data and demands none: only its filters' is read
        expression = replace(expression, fields=())
    total, slices = 0, Slices(time_slice, searched=has_patterns(expression))
    scan = session.scan(expression.type, span, needed(expression), wanted=wanted_by(expression.filters))
    async with aclosing(scan) as blocks:
        async for block in blocks:
            async with aclosing(slices.each(block, partial(_count, expression))) as counts:
                async for number in counts:
                    total += number
    return total


async def in_order(
    scan: AsyncGenerator[Block, None],
    select: Callable[[Block], list[P]],
    newest_first: bool,
    most: int | None,
    slices: Slices,
    *,
    has_order: bool = False,
) -> AsyncGenerator[tuple[list[P], int | None], None]:
    """Find in parts that share no time: events of a slice's last time wait for the next slice.

    There is a part, which may be empty, for each slice, with the time before which all has been yielded, and
    a last one, with None. Of more than ``most`` events of one time only the first in order are kept.
    ``has_order``: the scan has events of one time in order already; then none wait, and parts may share one.
    """
    waiting: list[P] = []
    async with aclosing(scan) as blocks:
        async for block in blocks:
            async with aclosing(slices.each(block, partial(_with_last, select))) as selections:
                async for found, last in selections:
                    if has_order:
                        yield found, last
                        continue
                    waiting += found
                    ready = [found for found in waiting if found.time != last]
                    waiting = waiting[len(ready) :]
                    if most is not None and len(waiting) > most:
                        waiting = _sorted(waiting, newest_first)[:most]
                    yield _sorted(ready, newest_first), last
    yield _sorted(waiting, newest_first), None


def _with_last(select: Callable[[Block], list[P]], block: Block) -> tuple[list[P], int]:
    """Return what is selected of a block, and the time of its last event, selected or not."""
    return select(block), int(block.times[-1])


def select_found(
    expression: EventExpression, block: Block, is_passed: Callable[[int, EventId], bool] | None = None
) -> list[Found]:
    """Return the events of a block, which has ids, that an expression selects; without those passed over."""
    rows = np.flatnonzero(selected(expression, block)).tolist()
    times, ids = block.times.tolist(), block.known_ids
    if is_passed is not None:
        rows = [row for row in rows if not is_passed(times[row], ids[row])]
    data = block.data if rows else ()
    return [Found(times[row], ids[row], project(expression.fields, data[row])) for row in rows]


def _count(expression: EventExpression, block: Block) -> int:
    return int(np.count_nonzero(selected(expression, block)))


def _sorted(found: list[P], newest_first: bool) -> list[P]:
    return sorted(found, key=lambda one: (one.time, id_key(one.id)), reverse=newest_first)
