"""Pages: a walk through the events that an expression selects, some of them at a time, over any store.

A walk goes up or down in the order of events. What is stored meanwhile is found where its place is still to
come; nothing comes twice, and nothing that was there all along is left out.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal, TypeAlias

from cube.columns import has_patterns, needed
from cube.expression.nodes import EventExpression
from cube.model.event import EventId
from cube.model.place import EventPlace, rough
from cube.model.tier import Span
from cube.store.equality import wanted_by
from cube.store.find import Found, in_order, select_found
from cube.store.ports import ReadSession
from cube.store.read_options import TimeSlice
from cube.store.slices import Hold, Slices, hold_nothing

LOOKED_ON: Final = 8
"""A full page looks through so many slices more for another event: a filter may pass nothing for long."""

Cut: TypeAlias = Literal["limit", "time", "bytes"]


@dataclass(frozen=True, slots=True)
class Walk:
    """Which events of a span, in which direction, and from where on; ``place`` None: from the span's end."""

    expression: EventExpression
    span: Span
    downwards: bool = True
    place: EventPlace | None = None

    @property
    def left(self) -> Span:
        """The part of the span that is still to come."""
        start, stop = self.span.start, self.span.stop
        if self.place is None:
            return self.span
        if self.downwards:
            return Span(start, max(start, min(stop, self.place.time + 1)))
        return Span(min(stop, max(start, self.place.time)), stop)

    @property
    def is_passed(self) -> Callable[[int, EventId], bool] | None:
        """What tells of an event of that part whether the walk has passed it; None: of none."""
        place = self.place
        if place is None or place.id is None:
            return None
        return lambda time, id: time == place.time and place.is_passed(id, downwards=self.downwards)


class EventPage:
    """The next ``limit`` events of a walk.

    ``seconds``: after so many it ends where it is; None: only where it is full. ``hides``: there are events
    that the reader must not know of: it ends at the time of none of those. After `parts`, ``cut`` says
    why it ended before the walk did, if it did, or may have (see `LOOKED_ON`), and ``place`` where the next
    one begins: None where nothing was found, nor passed.
    """

    def __init__(self, walk: Walk, limit: int, seconds: float | None = None, *, hides: bool = False) -> None:
        self.walk: Final = walk
        self.cut: Cut | None = None
        self.place: EventPlace | None = walk.place
        self._limit = limit
        self._seconds = seconds
        self._hides = hides

    async def parts(
        self, session: ReadSession, time_slice: TimeSlice = nullcontext, hold: Hold = hold_nothing
    ) -> AsyncGenerator[list[Found], None]:
        """Find the events, in lists that are not empty, as `cube.store.find.search` does."""
        found, looked_on, clock = 0, 0, asyncio.get_running_loop().time
        begun = clock()
        async with aclosing(self._scan(session, time_slice, hold)) as parts:
            async for part, last in parts:
                asked = part[: self._limit - found]
                found += len(asked)
                if asked:
                    yield asked
                    self.end_at(asked[-1])
                looked_on += found == self._limit and last is not None
                if len(asked) < len(part) or looked_on > LOOKED_ON:
                    self.cut = "limit"
                    return
                if self._lasts(clock() - begun, found) and self._advance(last, found):
                    return

    def end_at(self, found: Found) -> None:
        """Say that the page ends with this event."""
        self.place = EventPlace(found.time, found.id)

    def _lasts(self, seconds: float, found: int) -> bool:
        return self._seconds is not None and seconds > self._seconds and found < self._limit

    def _advance(self, last: int | None, found: int) -> bool:
        """End the page before all events of a time; not where the walk was there already."""
        walk, before = self.walk, self.place
        if last is None or (before is not None and before.time == last):
            return False
        if self._hides:
            edge = walk.span.stop if walk.downwards else walk.span.start
            last = rough(last, edge if before is None else before.time)
        if last is not None:
            self.place = EventPlace(last, None)
        elif not found:
            return False
        self.cut = "time"
        return True

    def _scan(
        self, session: ReadSession, time_slice: TimeSlice, hold: Hold
    ) -> AsyncGenerator[tuple[list[Found], int | None], None]:
        walk = self.walk
        expression = walk.expression
        select = partial(select_found, expression, is_passed=walk.is_passed)
        scan = session.scan(
            expression.type,
            walk.left,
            needed(expression),
            ids=True,
            newest_first=walk.downwards,
            wanted=wanted_by(expression.filters),
            after=walk.place,
        )
        slices = Slices(time_slice, searched=has_patterns(expression), hold=hold)
        return in_order(scan, select, walk.downwards, self._limit + 1, slices, has_order=session.orders_ids)
