"""The desk of one environment: every question, whichever way it comes in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

from cube.model.environment import Caller
from cube.model.span import Span
from cube.store.find import find
from cube.store.ports import ReadOptions, Store
from cube.store.slices import in_thread
from cube.web import Unfinished
from evaluator.api.response_writer import Pieces, Show, paced, same
from evaluator.api.rows import Row, event_rows, metric_parts
from evaluator.engine.evaluation import Evaluation
from evaluator.engine.series import Bounds
from evaluator.query.queries import Defaults, EventQuery, MetricQuery
from evaluator.query.restriction import Restriction
from evaluator.scheduling.deadline import Deadline
from evaluator.scheduling.scheduler import QueryCost, Scheduler
from evaluator.scheduling.threads import Clock
from evaluator.streams.event_streams import Streams
from evaluator.streams.live_metrics import Live

T = TypeVar("T")

_LONG_EXPRESSION = 300  # characters; parsing more than these takes milliseconds


@dataclass(frozen=True, slots=True)
class Desk:
    """Reads questions and answers them from one store; ``live`` and ``streams`` answer those without an end.

    ``answers``: bounds what all answers hold. ``restriction``: what the one who asks may see.
    """

    store: Store
    evaluation: Evaluation
    live: Live
    streams: Streams
    defaults: Defaults
    clock: Clock
    scheduler: Scheduler
    bounds: Bounds
    deadline: Deadline
    answers: Unfinished
    restriction: Restriction | None = None

    async def metric_query(self, raw: Mapping[str, Any], *, live: bool = False) -> MetricQuery:
        """Parse a question for metrics; raises `InvalidQuery`, `InvalidExpression` or `AccessDenied`."""
        now = self.clock()
        query = await self._parse(
            raw, lambda: MetricQuery.parse(raw, now=now, defaults=self.defaults, live=live)
        )
        if self.restriction is None:
            return query
        return replace(query, expression=self.restriction.metric(query.expression))

    async def event_query(self, raw: Mapping[str, Any], *, stream: bool = False) -> EventQuery:
        """Parse a question for events; raises `InvalidQuery`, `InvalidExpression` or `AccessDenied`."""
        now = self.clock()
        query = await self._parse(
            raw, lambda: EventQuery.parse(raw, now=now, defaults=self.defaults, stream=stream)
        )
        if self.restriction is None:
            return query
        return replace(query, expression=self.restriction.event(query.expression))

    def pieces(self) -> Pieces:
        """Begin an answer, which counts among all that are held at once from its first row on."""
        return Pieces(self.bounds.answer, self.answers)

    async def write_metrics(self, query: MetricQuery, pieces: Pieces, show: Show = same) -> None:
        """Write what `show` makes of the rows of a metric query, ascending.

        Raises `DeadlineExceeded` or `LimitExceeded` where the query is over its limits, `AnswerDropped`
        answers are.
        """
        cost = QueryCost(query.span.stop - query.span.start)
        async with self.deadline.query(), pieces.growing():
            parts = await self._metric_parts(query, cost)
            rows = (map(show, part) for part in parts)
            async with aclosing(paced(map(pieces.add, rows), partial(self.scheduler.turn, cost))) as written:
                async for _ in written:
                    continue

    async def write_events(self, query: EventQuery, stop: int, pieces: Pieces, show: Show = same) -> None:
        """Write what `show` makes of the latest events of a query before `stop`, newest first.

        Raises as `write_metrics` does.
        """
        span = Span(query.start, stop)
        async with (
            self.deadline.query(),
            pieces.growing(),
            self.scheduler.part(QueryCost(stop - query.start)) as time_slice,
            self.store.events.read(ReadOptions(self.bounds.seconds, time_slice)) as session,
            aclosing(
                find(
                    session,
                    query.expression,
                    span,
                    limit=query.limit,
                    time_slice=time_slice,
                    hold=pieces.hold,
                )
            ) as parts,
        ):
            async for part in parts:
                async with time_slice():
                    await in_thread(None, pieces.add, map(show, event_rows(part)))

    async def types(self) -> list[str]:
        """Return the names of all types that may be known of, sorted."""
        async with self.deadline.query(), self.store.events.read(ReadOptions(self.bounds.seconds)) as session:
            names = await session.types()
        return names if self.restriction is None else self.restriction.types(names)

    async def _metric_parts(self, query: MetricQuery, cost: QueryCost) -> Iterator[list[Row]]:
        if not query.span:
            return iter(())
        series = await self.evaluation.evaluate(query.expression, query.tier, query.span, cost)
        return metric_parts(series, query.tier, query.span)

    async def _parse(self, raw: Mapping[str, Any], parse: Callable[[], T]) -> T:
        expression = raw.get("expression")
        if not isinstance(expression, str) or len(expression) <= _LONG_EXPRESSION:
            return parse()
        async with self.scheduler.turn(QueryCost()):
            return await in_thread(None, parse)


class Desks:
    """The desks of all environments, by name."""

    def __init__(self, desks: Mapping[str, Desk]) -> None:
        self._desks = desks

    def of(self, caller: Caller) -> Desk:
        """Return the desk of a caller's environment, restricted to what its key allows.

        Raises `AccessDenied` where the key's filter cannot be read.
        """
        desk = self._desks[caller.environment.name]
        return desk if caller.key is None else replace(desk, restriction=Restriction.of(caller))
