"""What streams read of the store: revisions, buckets, and events in order."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final, cast

from cube.columns import Block, has_patterns
from cube.expression.nodes import EventExpression
from cube.model.span import Span
from cube.model.tier import TEN_SECONDS
from cube.store.find import search
from cube.store.ports import EventStore, ReadOptions, ReadSession, Revisions, TimeSlice
from cube.store.slices import Slices
from evaluator.engine.scan import runs
from evaluator.engine.series import Bounds
from evaluator.scheduling.scheduler import QueryCost, Scheduler
from evaluator.scheduling.threads import Clock
from evaluator.streams.window import Arrival, meet


@dataclass(frozen=True, slots=True)
class Means:
    """What streams work with: the store, their share of the process, and how often they look.

    ``build``: builds a type's revisions, whoever else needs them.
    """

    events: EventStore
    build: Callable[[str], Awaitable[None]]
    scheduler: Scheduler
    bounds: Bounds
    clock: Clock
    period_ms: int

    @asynccontextmanager
    async def reading(self, expression: EventExpression, cost: QueryCost) -> AsyncIterator[Reading]:
        """Begin to read, as a part of the cost of a query; raises `QueueFull` at the beginning of a turn."""
        async with (
            self.scheduler.part(cost) as time_slice,
            self.events.read(ReadOptions(self.bounds.seconds, time_slice)) as session,
        ):
            yield Reading(session, time_slice, expression, cost)


class Reading:
    """One session of the store, for the events that one expression selects."""

    def __init__(
        self, session: ReadSession, time_slice: TimeSlice, expression: EventExpression, cost: QueryCost
    ) -> None:
        self.time_slice: Final = time_slice
        self.cost: Final = cost
        self._session = session
        self._expression = expression
        self._slices = Slices(time_slice, searched=has_patterns(expression))

    async def revisions(self, spans: Sequence[Span]) -> Revisions:
        """Read the revisions of 10 s of some aligned spans, as those of one."""
        read = [
            await self._session.revisions(self._expression.type, TEN_SECONDS, span)
            for span in spans or [Span(0, 0)]
        ]
        numbers = {bucket: number for each in read for bucket, number in each.numbers.items()}
        last = read[-1]
        return Revisions(numbers, last.complete, last.expired_before, last.known, last.foreign)

    def in_order(
        self, span: Span, *, limit: int | None = None, newest_first: bool = False
    ) -> AsyncGenerator[list[Arrival], None]:
        """Find events as `cube.store.find.find` does."""
        return search(
            self._session,
            self._expression,
            span,
            partial(meet, self._expression),
            None,
            limit=limit,
            newest_first=newest_first,
            time_slice=self.time_slice,
        )

    async def met_in(self, buckets: Iterable[int], numbers: Mapping[int, int]) -> list[Arrival]:
        """Return the events of some buckets; ``numbers``: the revisions of all that are known of around."""
        met: list[Arrival] = []
        buckets = set(buckets)
        for span in runs(buckets, numbers.keys() | buckets, TEN_SECONDS):
            blocks = cast(
                "AsyncGenerator[Block, None]",
                self._session.scan(self._expression.type, span, None, ids=True),
            )
            async with aclosing(blocks):
                async for block in blocks:
                    some = self._slices.each(block, partial(meet, self._expression))
                    async with aclosing(some):
                        async for arrivals in some:
                            met += arrivals
        return met


def is_unbuilt(revisions: Revisions) -> bool:
    """Tell whether the revisions of a type have to be built first: another tool has filled it."""
    return revisions.known and not revisions.complete and not revisions.foreign
