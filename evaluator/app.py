"""The evaluator put together: one table of routes, one pyramid, one store that is handed in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeAlias

from prometheus_client import CollectorRegistry

from cube.settings import EvaluatorSettings
from cube.store.ports import Store
from cube.web import (
    Operation,
    Origins,
    Route,
    Server,
    Service,
    Telemetry,
    with_standard_routes,
)
from evaluator import description
from evaluator.conversation import Feed, Requests
from evaluator.desk import Clock, Desk
from evaluator.evaluation import Evaluation
from evaluator.feeds import EventFeed, MetricFeed, TypeFeed
from evaluator.handlers import GetEvents, GetMetrics, GetTypes
from evaluator.live import Live
from evaluator.pyramid import Pyramid
from evaluator.query import Defaults
from evaluator.scan import ColumnScan
from evaluator.self_events import SelfEvents
from evaluator.series import Bounds
from evaluator.stream import Streams

SCAN_THREADS = 2
"""Threads that reduce blocks: numpy lets go of the interpreter's lock now and then, no more."""

Ready: TypeAlias = Callable[[], Awaitable[None]]

_SOCKET = (
    "As a WebSocket: each message is a request, an object with the same keys and an id that is echoed on"
    ' every answer; {"id": ID, "cancel": true} ends it. '
)


def routes(
    desk: Desk, live: Live, streams: Streams, requests: int, telemetry: Telemetry, ready: Ready
) -> tuple[Route, ...]:
    """Return all that the evaluator answers; ``requests`` may run at once on one WebSocket."""
    events, metrics, types = description.operations(
        GetEvents(desk), GetMetrics(desk), GetTypes(desk), desk.defaults.rows
    )
    table = (
        *_pair("event", events, EventFeed(desk, streams), requests, "Without stop a stream of events."),
        *_pair("metric", metrics, MetricFeed(desk, live), requests, "Without stop metrics as they change."),
        *_pair("types", types, TypeFeed(desk), requests, "Answered with an array."),
    )
    return with_standard_routes("Cube evaluator", table, telemetry, ready)


def _pair(name: str, get: Operation, feed: Feed, requests: int, summary: str) -> tuple[Route, Route]:
    return (
        Route(f"/1.0/{name}", {"GET": get}),
        Route(
            f"/1.0/{name}/get",
            {"GET": get},
            socket=partial(Requests, feed, requests),
            socket_summary=_SOCKET + summary,
        ),
    )


class Evaluator:
    """An evaluator that listens from when it is made, in a running event loop; ended by `stop`.

    The store is its caller's. Raises `InvalidSettings` where the port cannot be had.
    """

    def __init__(
        self, store: Store, settings: EvaluatorSettings, registry: CollectorRegistry, clock: Clock
    ) -> None:
        self._executor = ThreadPoolExecutor(SCAN_THREADS, thread_name_prefix="cube-scan")
        self._own = SelfEvents(store.events, clock) if settings.self_events else None
        bounds = Bounds(settings.limits.groups, settings.limits.cells)
        self.pyramid = Pyramid(
            store,
            ColumnScan(self._executor),
            scans=settings.limits.scans,
            bounds=bounds,
            on_computed=None if self._own is None else self._own.computed,
        )
        self._streams = Streams(store.events, clock, settings.stream.poll_ms)
        self._server = self._serve(store, settings, Evaluation(self.pyramid, bounds), registry, clock)

    @property
    def addresses(self) -> dict[str, str]:
        """Where it listens, as the ready-file says it."""
        return {"http": f"http://{self._server.address}"}

    async def stop(self, seconds: float) -> None:
        """Stop accepting, and answer what was accepted, within so many seconds."""
        await self._server.stop(seconds)
        await self._streams.close()
        await self.pyramid.close()
        if self._own is not None:
            await self._own.close()
        self._executor.shutdown(cancel_futures=True)

    def _serve(
        self,
        store: Store,
        settings: EvaluatorSettings,
        evaluation: Evaluation,
        registry: CollectorRegistry,
        clock: Clock,
    ) -> Server:
        defaults = Defaults(settings.limits.rows, settings.stream.delay_ms, settings.stream.late_ms)
        telemetry = Telemetry(registry)
        service = Service(
            routes(
                Desk(store, evaluation, defaults, clock),
                Live(self.pyramid, evaluation, clock, settings.stream.poll_ms),
                self._streams,
                settings.limits.requests,
                telemetry,
                store.ping,
            ),
            access=Origins(settings.origins),
            telemetry=telemetry,
            max_body_bytes=settings.limits.message_bytes,
            max_sockets=settings.limits.sockets,
            on_request=None if self._own is None else self._own.requested,
        )
        return Server(service, host=settings.host, port=settings.port)
