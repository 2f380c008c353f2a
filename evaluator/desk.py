"""The desk: every question that has an end, whichever way it comes in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, TypeVar

from cube.span import Span
from cube.store.find import Found, find
from cube.store.ports import Store
from evaluator.answers import metric_rows
from evaluator.evaluation import Evaluation
from evaluator.query import Defaults, EventQuery, MetricQuery

T = TypeVar("T")
Clock: TypeAlias = Callable[[], int]
"""Returns the present instant."""

ASIDE = 2_000
"""Longer answers are written in a thread."""

_LONG_EXPRESSION = 300  # characters; parsing more than these takes milliseconds


class Desk:
    """Reads questions and answers them from one store."""

    def __init__(self, store: Store, evaluation: Evaluation, defaults: Defaults, clock: Clock) -> None:
        self.store = store
        self.evaluation = evaluation
        self.clock = clock
        self.defaults = defaults

    async def metric_query(self, raw: Mapping[str, Any], *, live: bool = False) -> MetricQuery:
        """Parse a question for metrics; raises `InvalidQuery` or `InvalidExpression`."""
        now = self.clock()
        return await _parse(raw, lambda: MetricQuery.parse(raw, now=now, defaults=self.defaults, live=live))

    async def event_query(self, raw: Mapping[str, Any], *, stream: bool = False) -> EventQuery:
        """Parse a question for events; raises `InvalidQuery` or `InvalidExpression`."""
        now = self.clock()
        return await _parse(
            raw, lambda: EventQuery.parse(raw, now=now, defaults=self.defaults, stream=stream)
        )

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
        """Return the names of all types, sorted."""
        async with self.store.events.read() as session:
            return await session.types()


async def aside(size: int, work: Callable[..., T], *arguments: Any) -> T:
    """Do some work on so many rows: in a thread where it could hold the event loop for long."""
    if size <= ASIDE:
        return work(*arguments)
    return await asyncio.to_thread(work, *arguments)


async def _parse(raw: Mapping[str, Any], parse: Callable[[], T]) -> T:
    expression = raw.get("expression")
    if isinstance(expression, str) and len(expression) > _LONG_EXPRESSION:
        return await asyncio.to_thread(parse)
    return parse()
