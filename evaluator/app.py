"""The evaluator put together: one table of routes, and a desk for each environment's store."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeAlias

from prometheus_client import CollectorRegistry

from cube.errors import Unavailable
from cube.settings import EvaluatorLimits, EvaluatorSettings
from cube.store.ports import Store
from cube.web import (
    Gate,
    Operation,
    Proxies,
    Request,
    Route,
    Server,
    Service,
    Telemetry,
    tls_context,
    with_standard_routes,
)
from cube.web.websocket import Talk
from evaluator.api import routes as description
from evaluator.api.handlers import GetEvents, GetMetrics, GetTypes
from evaluator.api.request_events import SelfEvents
from evaluator.api.service import Desk, Desks
from evaluator.api.session import Feed, Requests
from evaluator.api.socket_handlers import EventFeed, MetricFeed, TypeFeed
from evaluator.engine.evaluation import Evaluation
from evaluator.engine.pyramid import Pyramid
from evaluator.engine.scan import ColumnScan
from evaluator.engine.series import Bounds
from evaluator.instrumentation import QueryCounters
from evaluator.query.queries import Defaults
from evaluator.scheduling.deadline import Deadline
from evaluator.scheduling.scheduler import OVERRUNS, Scheduler
from evaluator.scheduling.send_queue import SendQueue
from evaluator.scheduling.threads import Clock
from evaluator.streams.event_streams import Streams
from evaluator.streams.live_metrics import Live
from evaluator.streams.reader import Means

SCAN_THREADS = 1 + OVERRUNS
"""Threads that reduce blocks: one at a time, and those whose piece lasts."""

READY_SECONDS = 5.0
"""How long a store may take to answer until the evaluator counts as not ready."""

Ready: TypeAlias = Callable[[], Awaitable[None]]

_SOCKET = (
    "As a WebSocket: each message is a request, an object with the same keys and an id that is echoed on"
    ' every answer; {"id": ID, "cancel": true} ends it. '
)


def routes(desks: Desks, limits: EvaluatorLimits, telemetry: Telemetry, ready: Ready) -> tuple[Route, ...]:
    """Return all that the evaluator answers."""
    send_queue = SendQueue()

    def requests(feed: Feed) -> Talk:
        return partial(Requests, feed, limits.requests, send_queue)

    events, metrics, types = description.operations(
        GetEvents(desks), GetMetrics(desks), GetTypes(desks), limits.rows
    )
    table = (
        *_pair("event", events, requests(EventFeed(desks)), "Without stop a stream of events."),
        *_pair("metric", metrics, requests(MetricFeed(desks)), "Without stop metrics as they change."),
        *_pair("types", types, requests(TypeFeed(desks)), "Answered with an array."),
    )
    return with_standard_routes("Cube evaluator", table, telemetry, ready)


def _pair(name: str, get: Operation, talk: Talk, summary: str) -> tuple[Route, Route]:
    return (
        Route(f"/1.0/{name}", {"GET": get}),
        Route(
            f"/1.0/{name}/get",
            {"GET": get},
            socket=talk,
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
        self._counters = QueryCounters(registry)
        self._telemetry = Telemetry(registry)
        self._answers = self._telemetry.answers(settings.http.answers_bytes)
        self._scheduler = Scheduler(long=settings.limits.scans, waiting=settings.limits.scans_waiting)
        self._desks = {name: self._desk(name, store, settings, clock) for name, store in stores.items()}
        self._server = self._serve(stores, gate, settings)

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
        bounds, stream = Bounds.of(settings.limits), settings.stream
        pyramid = Pyramid(
            store,
            ColumnScan(self._executor, bounds, self._counters),
            scheduler=self._scheduler,
            bounds=bounds,
            counters=self._counters,
            on_computed=None if own is None else own.computed,
        )
        evaluation = Evaluation(pyramid, self._scheduler, bounds)
        deadline = Deadline(bounds.seconds, self._counters)
        return Desk(
            store,
            evaluation,
            Live(pyramid, evaluation, deadline, clock, stream.poll_ms),
            Streams(Means(store.events, pyramid.build, self._scheduler, bounds, clock, stream.poll_ms)),
            Defaults(settings.limits.rows, stream.delay_ms, stream.late_ms),
            clock,
            self._scheduler,
            bounds,
            deadline,
            self._answers,
        )

    def _serve(
        self,
        stores: Mapping[str, Store],
        gate: Gate,
        settings: EvaluatorSettings,
    ) -> Server:
        async def ready() -> None:
            try:
                async with asyncio.timeout(READY_SECONDS):
                    await asyncio.gather(*(store.ping() for store in stores.values()))
            except TimeoutError:
                raise Unavailable(f"The store did not answer within {READY_SECONDS:g} s.") from None

        service = Service(
            routes(Desks(self._desks), settings.limits, self._telemetry, ready),
            access=gate,
            telemetry=self._telemetry,
            answers=self._answers,
            max_body_bytes=settings.limits.message_bytes,
            max_sockets=settings.limits.sockets,
            http=settings.http,
            proxies=Proxies(settings.trusted_proxies, settings.proxy_header),
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
