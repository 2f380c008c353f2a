"""The collector put together: one table of routes, one intake, one store that is handed in."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeAlias

from prometheus_client import CollectorRegistry

from collector.batch import Limits
from collector.datagram import Datagrams, DatagramServer
from collector.figures import DatagramFigures, IntakeFigures
from collector.handlers import EventFeed, PutEvents
from collector.intake import Intake
from collector.request_events import RequestEvents
from cube.errors import Unavailable
from cube.settings import CollectorSettings
from cube.store.ports import EventStore, Store
from cube.web import Operation, Origins, Route, Server, Service, Telemetry, with_standard_routes

_log = logging.getLogger(__name__)

Ready: TypeAlias = Callable[[], Awaitable[None]]

_FEED = (
    "As a WebSocket: an event, or an array, per message; answered only if it is wrong, or where"
    ' {"events": [...], "ack": TOKEN} asks for {"ack": TOKEN}.'
)
_EVENT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["type"],
    "properties": {
        "type": {"type": "string", "pattern": "^[a-z_][a-zA-Z0-9_]{0,63}$"},
        "time": {
            "type": ["string", "number"],
            "description": "ISO 8601, or milliseconds since 1970; absent is now.",
        },
        "id": {
            "type": ["string", "number"],
            "minLength": 1,
            "maxLength": 512,
            "description": "An event with an id that is stored replaces it.",
        },
        "data": {"description": "Any JSON; property names match [a-zA-Z_][a-zA-Z0-9_$]*."},
    },
}


def routes(
    intake: Intake, limits: Limits, clock: Callable[[], int], telemetry: Telemetry, ready: Ready
) -> tuple[Route, ...]:
    """Return all that the collector answers."""
    put = Operation(
        PutEvents(intake, limits, clock),
        "Store an array of events, or one event: all of them or none.",
        body={"oneOf": [_EVENT_SCHEMA, _batch(limits)]},
        replies={200: "All are stored durably."},
    )
    table = (
        Route("/1.0/event", {"POST": put, "PUT": put}),
        Route(
            "/1.0/event/put",
            {"POST": put, "PUT": put},
            socket=partial(EventFeed, intake, limits, clock),
            socket_summary=_FEED,
        ),
    )
    return with_standard_routes("Cube collector", table, telemetry, ready)


def _batch(limits: Limits) -> dict[str, Any]:
    return {"type": "array", "items": _EVENT_SCHEMA, "maxItems": limits.events}


class Collector:
    """A collector that listens; made by `start`, ended by `stop`. The store is its caller's."""

    def __init__(
        self, server: Server, datagrams: DatagramServer, intake: Intake, sweeper: asyncio.Task[None]
    ) -> None:
        self._server = server
        self._datagrams = datagrams
        self._intake = intake
        self._sweeper = sweeper

    @classmethod
    async def start(
        cls, store: Store, settings: CollectorSettings, registry: CollectorRegistry, clock: Callable[[], int]
    ) -> Collector:
        """Listen, and begin to sweep. Raises `InvalidSettings` where a port cannot be had."""
        limits = Limits(settings.limits.event_bytes, settings.limits.batch_events)
        intake = _intake(store, settings, registry)
        receiver = Datagrams(intake, limits, DatagramFigures(registry), clock)
        datagrams = await DatagramServer.listen(receiver, host=settings.host, port=settings.udp_port)
        try:
            server = _server(store, settings, registry, clock, intake, limits)
        except BaseException:
            datagrams.stop()
            raise
        sweeper = asyncio.create_task(_sweep(store.events, settings.intake.sweep_seconds))
        return cls(server, datagrams, intake, sweeper)

    @property
    def addresses(self) -> dict[str, str]:
        """Where it listens, as the ready-file says it."""
        return {"http": f"http://{self._server.address}", "udp": self._datagrams.address}

    async def stop(self, seconds: float) -> None:
        """Stop accepting, and store and answer what was accepted, within so many seconds."""
        deadline = asyncio.get_running_loop().time() + seconds
        self._datagrams.stop()
        self._sweeper.cancel()
        await self._server.stop(seconds)
        try:
            async with asyncio.timeout_at(deadline):
                await self._intake.close()
        except TimeoutError:
            _log.error("the store did not take in time all that was accepted without an answer (by UDP)")


def _intake(store: Store, settings: CollectorSettings, registry: CollectorRegistry) -> Intake:
    return Intake(
        store.events,
        waiting_events=settings.intake.waiting_events,
        waiting_bytes=settings.intake.waiting_bytes,
        commit_events=settings.intake.commit_events,
        figures=IntakeFigures(registry),
    )


def _server(
    store: Store,
    settings: CollectorSettings,
    registry: CollectorRegistry,
    clock: Callable[[], int],
    intake: Intake,
    limits: Limits,
) -> Server:
    async def ready() -> None:
        intake.check()
        await store.ping()

    telemetry = Telemetry(registry)
    service = Service(
        routes(intake, limits, clock, telemetry, ready),
        access=Origins(settings.origins),
        telemetry=telemetry,
        max_body_bytes=settings.limits.body_bytes,
        max_sockets=settings.limits.sockets,
        on_request=RequestEvents(intake, clock) if settings.self_events else None,
    )
    return Server(service, host=settings.host, port=settings.port)


async def _sweep(events: EventStore, seconds: float) -> None:
    while True:
        try:
            settled = await events.sweep()
            if settled:
                _log.info("settled %d notes that dead processes left", settled)
        except Unavailable as error:
            _log.warning("cannot look for the notes of dead processes now: %s", error.message)
        except Exception:
            _log.exception("a sweep met a fault; the next one is in %g s", seconds)
        await asyncio.sleep(seconds)
