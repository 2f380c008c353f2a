"""Deleting events by an expression, over any store: slice by slice, noted before the first one.

The promise is that of a save: once a slice is done no later query shows what it deleted. What only comes into
the store later, from a spool, is told from new events by the note, see `DeletionStore`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cube.columns import check, paths, selected
from cube.columns.block import Block
from cube.errors import InvalidQuery, InvalidRequest
from cube.expression.grammar import parse_event
from cube.expression.nodes import EventExpression, Exists, Field
from cube.expression.printer import print_expression
from cube.model import instant
from cube.model.deletion import Deletion
from cube.model.event import Event
from cube.model.tier import EVER, WEEK, Span
from cube.process.threads import run_in_thread
from cube.store.ports import DeletedSlice, Store
from cube.store.selected_places import find_places, live_span

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Erasure:
    """A deletion that is asked for. ``by``: who does it; ``clock``: now, milliseconds since 1970."""

    store: Store
    expression: EventExpression
    span: Span
    by: str
    clock: Callable[[], int]

    def __post_init__(self) -> None:
        check(self.expression)

    async def begin(self) -> None:
        """Note it, before the first slice: what waits in spools is then deleted as well."""
        await self._note(0)

    async def delete(self, start: int) -> DeletedSlice:
        """Delete a slice that begins at a time of the span."""
        done = await self.store.events.delete(self.expression, Span(start, self.span.stop))
        await self._note(done.deleted)
        return done

    async def count(self, start: int) -> DeletedSlice:
        """Count a slice of what would be deleted: nothing that has expired."""
        async with self.store.events.read() as session:
            nothing = Span(WEEK.origin, WEEK.origin)
            expired_before = (await session.revisions(self.expression.type, WEEK, nothing)).expired_before
            span = live_span(Span(start, self.span.stop), expired_before)
            found = await find_places(session, self.expression, span, most=None)
        return DeletedSlice(len(found.places), found.following)

    def by_field(self) -> Iterator[tuple[str, Erasure]]:
        """Yield each field that the expression looks at, with what would count the events that have it."""
        for path in sorted(paths(self.expression), key=str):
            field = Field(tuple(path))
            expression = EventExpression(self.expression.type, None, (Exists(field),))
            yield print_expression(field), replace(self, expression=expression)

    def told(self, deleted: int) -> str:
        """Return the line that a log keeps of it: who deleted what, and how many events."""
        return f"{self.by} deleted {deleted} events: {self.what}"

    @property
    def what(self) -> str:
        """The expression and the span, as text."""
        span = self.span
        start = "" if span.start <= EVER.start else f" from {instant.format(span.start)}"
        stop = "" if span.stop >= EVER.stop else f" to {instant.format(span.stop)}"
        return f"{print_expression(self.expression)}{start}{stop}"

    async def _note(self, events: int) -> None:
        span = self.span
        await self.store.deletions.note(
            Deletion(
                self.expression.type,
                print_expression(self.expression),
                span.start,
                span.stop,
                self.clock(),
                self.by,
                events,
            )
        )


@dataclass(frozen=True, slots=True)
class StoredDeletions:
    """Which events were deleted after they had been accepted, by a store's notes; see `Replayer`."""

    store: Store

    async def are_any(self) -> bool:
        """Tell whether anything was deleted at all."""
        return bool(await self.store.deletions.all())

    async def of(self, arrived: Sequence[tuple[int, Event]]) -> frozenset[int]:
        """Return the places of events, each with the time of its arrival, that were deleted since.

        Where one is stored all the same it is deleted there.
        """
        found: set[int] = set()
        for deletion in await self.store.deletions.all():
            places = [
                place
                for place, (at, event) in enumerate(arrived)
                if event.type == deletion.type
                and at <= deletion.at
                and deletion.start <= event.time < deletion.stop
            ]
            expression = _reparsed(deletion) if places else None
            if expression is not None:
                rows = await self._selected(expression, [arrived[place][1] for place in places])
                found.update(places[row] for row in rows)
        return frozenset(found)

    async def _selected(self, expression: EventExpression, events: Sequence[Event]) -> list[int]:
        """Return which of some events an expression selects, and delete those from the store."""
        times = np.array([event.time for event in events], dtype=np.int64)
        ids = [event.id for event in events]
        block = Block(times, [event.data for event in events], ids)
        rows: list[int] = np.flatnonzero(await run_in_thread(selected, expression, block)).tolist()
        only = {ids[row] for row in rows}
        start: int | None = int(times[rows].min()) if rows else None
        while start is not None:
            span = Span(start, int(times[rows].max()) + 1)
            start = (await self.store.events.delete(expression, span, only)).following
        return rows


def _reparsed(deletion: Deletion) -> EventExpression | None:
    """Return a deletion's expression; None where another version of Cube wrote it, and it cannot be read."""
    try:
        return parse_event(deletion.expression)
    except InvalidRequest as error:
        _log.error("what was deleted by %s comes back from spools: %s", deletion.expression, error.message)
        return None


def refuse_unbounded(
    expression: EventExpression,
    start: int | None,
    stop: int | None,
    *,
    whole: bool,
    accepted: str = "all=true",
) -> None:
    """Raise `InvalidQuery` where all events of a type, or all since or before a time, are meant by accident.

    ``whole``: they are meant; ``accepted``: what says so.
    """
    if not (expression.filters or whole) and (start is None or stop is None):
        since = "" if start is None else f" since {instant.format(start)}"
        before = "" if stop is None else f" before {instant.format(stop)}"
        raise InvalidQuery(
            f"Got all events of the type {expression.type}{since}{before}; accepted is an expression"
            f' with a filter, as {expression.type}.eq(user, "x"), a start and a stop, or {accepted}.',
            field="expression",
        )
    if start is not None and stop is not None and start > stop:
        raise InvalidQuery(
            f"The start {instant.format(start)} is after the stop {instant.format(stop)}.", field="start"
        )
