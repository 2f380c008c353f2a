"""What the evaluator answers over HTTP."""

from __future__ import annotations

from cube.store.find import Found
from cube.web import Reply, Request, json_text
from evaluator.answers import event_rows
from evaluator.aside import aside
from evaluator.desk import Desks


class GetMetrics:
    """``GET`` of metrics: one object per bucket (and group), ascending."""

    def __init__(self, desks: Desks) -> None:
        self._desks = desks

    async def __call__(self, request: Request) -> Reply:
        """Evaluate the expression over the span."""
        desk = self._desks.of(request.admitted)
        rows = await desk.metrics(await desk.metric_query(request.parameters()))
        return Reply(await aside(len(rows), json_text.encode, rows))


class GetEvents:
    """``GET`` of events: the latest of the span, ascending."""

    def __init__(self, desks: Desks) -> None:
        self._desks = desks

    async def __call__(self, request: Request) -> Reply:
        """Find the events that the expression selects."""
        desk = self._desks.of(request.admitted)
        query = await desk.event_query(request.parameters())
        found = await desk.events(query, query.start if query.stop is None else query.stop)
        return Reply(await aside(len(found) * 10, _write_events, found))


class GetTypes:
    """``GET`` of the types: their names, sorted."""

    def __init__(self, desks: Desks) -> None:
        self._desks = desks

    async def __call__(self, request: Request) -> Reply:
        """List the types."""
        return Reply.json(await self._desks.of(request.admitted).types())


def _write_events(found: list[Found]) -> bytes:
    return json_text.encode(list(event_rows(reversed(found))))
