"""What the evaluator answers over HTTP."""

from __future__ import annotations

from cube.store.find import Found
from cube.web import Reply, Request, json_text
from evaluator.answers import event_rows
from evaluator.desk import Desk, aside


class GetMetrics:
    """``GET`` of metrics: one object per bucket (and group), ascending."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def __call__(self, request: Request) -> Reply:
        """Evaluate the expression over the span."""
        rows = await self._desk.metrics(await self._desk.metric_query(request.parameters()))
        return Reply(await aside(len(rows), json_text.encode, rows))


class GetEvents:
    """``GET`` of events: the latest of the span, ascending."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def __call__(self, request: Request) -> Reply:
        """Find the events that the expression selects."""
        query = await self._desk.event_query(request.parameters())
        found = await self._desk.events(query, query.start if query.stop is None else query.stop)
        return Reply(await aside(len(found) * 10, _write_events, found))


class GetTypes:
    """``GET`` of the types: their names, sorted."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def __call__(self, request: Request) -> Reply:
        """List the types."""
        return Reply.json(await self._desk.types())


def _write_events(found: list[Found]) -> bytes:
    return json_text.encode(list(event_rows(reversed(found))))
