"""The collector put together: its routes, and an intake for each environment's store."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry

from collector.ingest.batch import Batch
from collector.ingest.context import IngestContext
from collector.ingest.quota import DECODING_SHARE, DecodingQuota
from collector.ingest.retention import Retention
from collector.ingest.spooling import ping
from collector.instrumentation import DialectCounters, RetentionCounters
from collector.protocols.native import routes
from collector.protocols.registry import dialects
from collector.protocols.shared.admission import LOOP_BYTES
from collector.protocols.shared.reading import SearchLimits
from collector.protocols.shared.service import DialectContext, dialect_routes
from collector.protocols.snowplow.payload import is_anonymous
from collector.protocols.udp import DatagramServer, listen
from cube.errors import CubeError, Unavailable
from cube.model.event import Event
from cube.settings import CollectorSettings, environments_of
from cube.store.ports import Store
from cube.web import Authenticator, Proxies, RequestEvents, Server, Service, Telemetry, serve

PROBE_SECONDS = 5.0
"""How long a write may take until the collector counts as not ready."""

_REQUEST_EVENT_BYTES = 150  # about the JSON text of one
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Collector:
    """A collector that listens; made by `start`, ended by `stop`. The stores are its caller's."""

    context: IngestContext
    server: Server
    datagrams: Mapping[str, DatagramServer]
    chores: Sequence[asyncio.Task[None]]

    @classmethod
    async def start(
        cls,
        stores: Mapping[str, Store],
        authenticator: Authenticator,
        settings: CollectorSettings,
        registry: CollectorRegistry,
        clock: Callable[[], int],
    ) -> Collector:
        """Listen, and begin to sweep. ``stores``: by the name of their environment.

        Raises `InvalidSettings` where a port cannot be had.
        """
        async with AsyncExitStack() as undo:
            context = await IngestContext.open(stores, authenticator, settings, registry, clock)
            undo.push_async_callback(context.close)
            datagrams = await listen(context)
            for opened in datagrams.values():
                undo.callback(opened.stop)
            server = _server(context)
            undo.pop_all()
        chores = map(asyncio.create_task, (_sweep(context), *_retention(context)))
        return cls(context, server, datagrams, tuple(chores))

    @property
    def addresses(self) -> dict[str, str]:
        return {"http": self.server.url, **{name: one.address for name, one in self.datagrams.items()}}

    def told(self, environment: str) -> dict[str, Any]:
        """Return what the daemon's status tells of an environment."""
        return self.context.intakes[environment].told()

    def close_revoked(self) -> None:
        self.server.service.close_revoked()

    async def stop(self, seconds: float) -> None:
        """Stop accepting, and store and answer what was accepted, within so many seconds."""
        deadline = asyncio.get_running_loop().time() + seconds
        for datagrams in self.datagrams.values():
            datagrams.stop()
        for chore in self.chores:
            chore.cancel()
        await self.server.stop(seconds)
        try:
            async with asyncio.timeout_at(deadline):
                await self.context.close()
        except TimeoutError:
            _log.error("the store did not take in time all that was accepted without an answer (by UDP)")


def _server(context: IngestContext) -> Server:
    settings, telemetry = context.settings, Telemetry(context.registry)

    async def ready() -> None:
        for intake in context.intakes.values():
            await intake.ready()
        await asyncio.gather(*(_check_store(store) for store in context.stores.values()))

    def offer(environment: str, event: Event) -> None:
        """Store an event about a request: a by-product, which is left out where there is no room for it."""
        try:
            offered = context.intakes[environment].offer(Batch((event,), _REQUEST_EVENT_BYTES))
            offered.add_done_callback(_note_failure)
        except CubeError as error:
            _log.debug("a %s event is left out: %s", event.type, error.message)

    shared = DialectContext(
        context,
        DialectCounters(context.registry),
        SearchLimits(events=settings.dialects.eye_events, seconds=settings.dialects.eye_seconds),
        DecodingQuota(settings.http.bodies_bytes // DECODING_SHARE, free=LOOP_BYTES),
    )
    requested = RequestEvents(context.authenticator, context.clock, offer, is_anonymous)
    service = Service(
        routes(context, telemetry, ready, dialect_routes(dialects(settings.dialects), shared)),
        access=context.authenticator,
        telemetry=telemetry,
        max_body_bytes=settings.limits.body_bytes,
        max_sockets=settings.limits.sockets,
        http=settings.http,
        on_request=requested if settings.self_events else None,
        proxies=Proxies(settings.trusted_proxies, settings.proxy_header),
        lenient=settings.dialects.snowplow and settings.dialects.datacoral,
    )
    return serve(service, settings)


def _note_failure(offered: asyncio.Future[int]) -> None:
    error = offered.exception()
    if error is not None:
        _log.warning("an event about a request could not be stored: %s", error)


async def _check_store(store: Store) -> None:
    """Return if a store can be read and written; raise `Unavailable` if not, or not in time."""
    await ping(store)
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            await store.probe()
    except TimeoutError:
        raise Unavailable(f"The store did not confirm a write within {PROBE_SECONDS:g} s.") from None


def _retention(context: IngestContext) -> list[Coroutine[None, None, None]]:
    """Return what deletes what is too old, in the store of each environment."""
    kept, counters = context.settings.retention, RetentionCounters(context.registry)
    return [
        Retention(
            context.stores[environment.name],
            counters,
            context.clock,
            event_days=environment.ages.event_days or 0,
            metric_days=environment.ages.metric_days or 0,
            lag=kept.lag_seconds,
        ).run(kept.period_seconds)
        for environment in environments_of(context.settings)
    ]


async def _sweep(context: IngestContext) -> None:
    """Settle, now and then, what processes noted that have died since."""
    seconds = context.settings.intake.sweep_seconds
    while True:
        for store in context.stores.values():
            try:
                settled = await store.events.sweep()
                if settled:
                    _log.info("settled %d notes that dead processes left", settled)
            except Unavailable as error:
                _log.warning("cannot look for the notes of dead processes now: %s", error.message)
            except Exception:
                _log.exception("a sweep met a fault; the next one is in %g s", seconds)
        await asyncio.sleep(seconds)
