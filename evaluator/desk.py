"""The desk of one environment: every question, whichever way it comes in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from cube.environment import Caller
from cube.span import Span
from cube.store.find import Found, find
from cube.store.ports import Store
from evaluator.answers import metric_rows
from evaluator.aside import Clock, aside
from evaluator.evaluation import Evaluation
from evaluator.live import Live
from evaluator.query import Defaults, EventQuery, MetricQuery
from evaluator.restriction import Restriction
from evaluator.stream import Streams

T = TypeVar("T")

_LONG_EXPRESSION = 300  # characters; parsing more than these takes milliseconds


@dataclass(frozen=True, slots=True)
class Desk:
    """Reads questions and answers them from one store; ``live`` and ``streams`` answer those without an end.

    ``restriction``: what the one who asks may see.
    """

    store: Store
    evaluation: Evaluation
    live: Live
    streams: Streams
    defaults: Defaults
    clock: Clock
    restriction: Restriction | None = None

    async def metric_query(self, raw: Mapping[str, Any], *, live: bool = False) -> MetricQuery:
        """Parse a question for metrics; raises `InvalidQuery`, `InvalidExpression` or `AccessDenied`."""
        now = self.clock()
        query = await _parse(raw, lambda: MetricQuery.parse(raw, now=now, defaults=self.defaults, live=live))
        if self.restriction is None:
            return query
        return replace(query, expression=self.restriction.metric(query.expression))

    async def event_query(self, raw: Mapping[str, Any], *, stream: bool = False) -> EventQuery:
        """Parse a question for events; raises `InvalidQuery`, `InvalidExpression` or `AccessDenied`."""
        now = self.clock()
        query = await _parse(
            raw, lambda: EventQuery.parse(raw, now=now, defaults=self.defaults, stream=stream)
        )
        if self.restriction is None:
            return query
        return replace(query, expression=self.restriction.event(query.expression))

    async def metrics(self, query: MetricQuery) -> list[dict[str, Any]]:
        """Return the rows of a metric query, ascending."""
        if not query.span:
            return []
        series = await self.evaluation.evaluate(query.expression, query.tier, query.span)
        groups = 1 if series.groups is None else len(series.groups)
        return await aside(len(series.default) * groups, metric_rows, series, query.tier, query.span)

    async def events(self, query: EventQuery, stop: int) -> list[Found]:
        """Return the latest events of a query before `stop`, newest first."""
        found: list[Found] = []
        async with self.store.events.read() as session:
            span = Span(query.start, stop)
            async for part in find(session, query.expression, span, limit=query.limit):
                found += part
        return found

    async def types(self) -> list[str]:
        """Return the names of all types that may be known of, sorted."""
        async with self.store.events.read() as session:
            names = await session.types()
        return names if self.restriction is None else self.restriction.types(names)


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


async def _parse(raw: Mapping[str, Any], parse: Callable[[], T]) -> T:
    expression = raw.get("expression")
    if isinstance(expression, str) and len(expression) > _LONG_EXPRESSION:
        return await asyncio.to_thread(parse)
    return parse()
