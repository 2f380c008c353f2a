"""The places (times and ids) of the events that an expression selects, slice by slice: for a deletion."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import aclosing, nullcontext
from dataclasses import replace
from functools import partial
from typing import Final, NamedTuple, TypeAlias

import numpy as np

from cube.columns import has_patterns, needed, selected
from cube.columns.block import Block
from cube.expression.nodes import EventExpression
from cube.model.event import EventId
from cube.model.tier import Span
from cube.store.equality import wanted_by
from cube.store.ports import ReadSession
from cube.store.slices import Slices

SLICE_EVENTS: Final = 2_000
"""So many events are found, about, and then deleted, before others are looked for."""

SLICE_SECONDS: Final = 2.0
"""A slice looks for so long: a snapshot on SQLite must not last."""


Place: TypeAlias = tuple[int, EventId]
"""An event's time and id."""


class PlacesSlice(NamedTuple):
    """The events that a slice of a scan found; ``following``: where the next one begins, None at the end."""

    places: list[Place]
    following: int | None


async def find_places(
    session: ReadSession, expression: EventExpression, span: Span, *, most: int | None
) -> PlacesSlice:
    """Find the first events that an expression selects in a span, for `SLICE_SECONDS`, about ``most``.

    ``most`` None: those of whole milliseconds alone, so that none is counted by two slices.
    """
    expression = shown_by_filters(expression)
    places: list[Place] = []
    slices, deadline = (
        Slices(nullcontext, searched=has_patterns(expression)),
        time.monotonic() + SLICE_SECONDS,
    )
    wanted = wanted_by(expression.filters)
    scan = session.scan(expression.type, span, needed(expression), ids=True, wanted=wanted)
    async with aclosing(scan) as blocks:
        async for block in blocks:
            async with aclosing(slices.each(block, partial(places_of, expression))) as parts:
                async for part in parts:
                    places += part
            last = int(block.times[-1])
            if most is not None and len(places) >= most:
                return PlacesSlice(places, places[-1][0])
            if last > span.start and time.monotonic() > deadline:
                return PlacesSlice([place for place in places if place[0] < last], last)
    return PlacesSlice(places, None)


def live_span(span: Span, expired_before: int | None) -> Span:
    """Return what of a span has not expired."""
    if expired_before is None:
        return span
    return Span(max(span.start, min(expired_before, span.stop)), span.stop)


def shown_by_filters(expression: EventExpression) -> EventExpression:
    """Return an expression that selects the same, and needs no more of the data than it does for that."""
    return replace(expression, fields=()) if expression.fields is None else expression


def places_of(expression: EventExpression, block: Block) -> list[Place]:
    """Return the time and id of each row that an expression selects."""
    rows: Sequence[int] = np.flatnonzero(selected(expression, block)).tolist()
    times, ids = block.times.tolist(), block.known_ids
    return [(times[row], ids[row]) for row in rows]
