"""What the evaluator answers over HTTP."""

from __future__ import annotations

from cube.web import Reply, Request
from evaluator.api.service import Desks


class GetMetrics:
    """``GET`` of metrics: one object per bucket (and group), ascending."""

    def __init__(self, desks: Desks) -> None:
        self._desks = desks

    async def __call__(self, request: Request) -> Reply:
        """Evaluate the expression over the span."""
        desk = self._desks.of(request.admitted)
        query = await desk.metric_query(request.parameters())
        with desk.pieces() as pieces:
            await desk.write_metrics(query, pieces)
            return Reply(pieces.array())


class GetEvents:
    """``GET`` of events: the latest of the span, ascending."""

    def __init__(self, desks: Desks) -> None:
        self._desks = desks

    async def __call__(self, request: Request) -> Reply:
        """Find the events that the expression selects."""
        desk = self._desks.of(request.admitted)
        query = await desk.event_query(request.parameters())
        stop = query.start if query.stop is None else query.stop
        with desk.pieces() as pieces:
            await desk.write_events(query, stop, pieces)
            pieces.rows.reverse()
            return Reply(pieces.array())


class GetTypes:
    """``GET`` of the types: their names, sorted."""

    def __init__(self, desks: Desks) -> None:
        self._desks = desks

    async def __call__(self, request: Request) -> Reply:
        """List the types."""
        return Reply.json(await self._desks.of(request.admitted).types())
