"""The evaluator put together: one table of routes, and a desk for each environment's store."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeAlias

from prometheus_client import CollectorRegistry

from cube.settings import EvaluatorLimits, EvaluatorSettings
from cube.store.ports import Store
from cube.web import (
    Gate,
    Operation,
    Request,
    Route,
    Server,
    Service,
    Telemetry,
    tls_context,
    with_standard_routes,
)
from evaluator import description
from evaluator.aside import Clock
from evaluator.conversation import Feed, Requests
from evaluator.desk import Desk, Desks
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


def routes(desks: Desks, limits: EvaluatorLimits, telemetry: Telemetry, ready: Ready) -> tuple[Route, ...]:
    """Return all that the evaluator answers."""
    events, metrics, types = description.operations(
        GetEvents(desks), GetMetrics(desks), GetTypes(desks), limits.rows
    )
    at_once = limits.requests
    table = (
        *_pair("event", events, EventFeed(desks), at_once, "Without stop a stream of events."),
        *_pair("metric", metrics, MetricFeed(desks), at_once, "Without stop metrics as they change."),
        *_pair("types", types, TypeFeed(desks), at_once, "Answered with an array."),
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

    ``stores``: by the name of their environment; they are their caller's. Raises `InvalidSettings` where
    the port cannot be had.
    """

    def __init__(
        self,
        stores: Mapping[str, Store],
        gate: Gate,
        settings: EvaluatorSettings,
        registry: CollectorRegistry,
        clock: Clock,
    ) -> None:
        self._executor = ThreadPoolExecutor(SCAN_THREADS, thread_name_prefix="cube-scan")
        self._own = (
            {name: SelfEvents(store.events, clock) for name, store in stores.items()}
            if settings.self_events
            else {}
        )
        self._gate = gate
        self._desks = {name: self._desk(name, store, settings, clock) for name, store in stores.items()}
        self._server = self._serve(stores, gate, settings, registry)

    @property
    def addresses(self) -> dict[str, str]:
        """Where it listens, as the ready-file says it."""
        return {"http": self._server.url}

    def close_revoked(self) -> None:
        """End the WebSockets whose openers' keys count no more."""
        self._server.service.close_revoked()

    async def stop(self, seconds: float) -> None:
        """Stop accepting, and answer what was accepted, within so many seconds."""
        await self._server.stop(seconds)
        for desk in self._desks.values():
            await desk.streams.close()
            await desk.evaluation.close()
        for own in self._own.values():
            await own.close()
        self._executor.shutdown(cancel_futures=True)

    def _desk(self, name: str, store: Store, settings: EvaluatorSettings, clock: Clock) -> Desk:
        own = self._own.get(name)
        bounds = Bounds(settings.limits.groups, settings.limits.cells)
        pyramid = Pyramid(
            store,
            ColumnScan(self._executor),
            scans=settings.limits.scans,
            bounds=bounds,
            on_computed=None if own is None else own.computed,
        )
        evaluation, stream = Evaluation(pyramid, bounds), settings.stream
        return Desk(
            store,
            evaluation,
            Live(pyramid, evaluation, clock, stream.poll_ms),
            Streams(store.events, clock, stream.poll_ms),
            Defaults(settings.limits.rows, stream.delay_ms, stream.late_ms),
            clock,
        )

    def _serve(
        self,
        stores: Mapping[str, Store],
        gate: Gate,
        settings: EvaluatorSettings,
        registry: CollectorRegistry,
    ) -> Server:
        async def ready() -> None:
            for store in stores.values():
                await store.ping()

        telemetry = Telemetry(registry)
        service = Service(
            routes(Desks(self._desks), settings.limits, telemetry, ready),
            access=gate,
            telemetry=telemetry,
            max_body_bytes=settings.limits.message_bytes,
            max_sockets=settings.limits.sockets,
            http=settings.http,
            on_request=self._requested if self._own else None,
        )
        return Server(
            service,
            host=settings.host,
            port=settings.port,
            tls=tls_context(settings),
            reuse_port=settings.reuse_port,
        )

    def _requested(self, request: Request) -> None:
        environment = self._gate.keyless if request.caller is None else request.caller.environment
        if environment is not None:
            self._own[environment.name].requested(request)
