"""The collector put together: its routes, and an intake for each environment's store."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence

from prometheus_client import CollectorRegistry

from collector.ingest.batch import Limits
from collector.ingest.decoding import SHARE, Decoding
from collector.ingest.intake import Intakes
from collector.ingest.context import open_intakes
from collector.ingest.replayer import ping
from cube.web.request_events import RequestEvents
from collector.ingest.retention import Retention
from collector.instrumentation import DialectFigures, RetentionFigures
from collector.protocols.native.datagram import DatagramServer
from collector.protocols.native.routes import routes
from collector.protocols.registry import dialects
from collector.protocols.shared.context import LOOP_BYTES, DialectContext
from collector.protocols.shared.reading import SearchLimits
from collector.protocols.shared.service import dialect_routes
from collector.protocols.udp import receivers
from cube.errors import Unavailable
from cube.settings import CollectorSettings, environments_of
from cube.store.ports import EventStore, Store
from cube.web import Authenticator, Proxies, Server, Service, Telemetry, tls_context

PROBE_SECONDS = 5.0
"""How long a write may take until the collector counts as not ready."""

_log = logging.getLogger(__name__)


class Collector:
    """A collector that listens; made by `start`, ended by `stop`. The stores are its caller's."""

    def __init__(
        self,
        server: Server,
        datagrams: Mapping[str, DatagramServer],
        intakes: Intakes,
        chores: Sequence[asyncio.Task[None]],
    ) -> None:
        self._server = server
        self._datagrams = datagrams
        self._intakes = intakes
        self._chores = chores

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
        limits = Limits(settings.limits.event_bytes, settings.limits.batch_events)
        intakes = await open_intakes(stores, settings, registry, clock)
        datagrams: dict[str, DatagramServer] = {}
        try:
            for name, receiver, port in receivers(intakes, authenticator, settings, registry, clock, limits):
                datagrams[name] = await DatagramServer.listen(
                    receiver, host=settings.host, port=port, reuse_port=settings.reuse_port
                )
            server = _server(stores, authenticator, settings, registry, clock, intakes, limits)
        except BaseException:
            for opened in datagrams.values():
                opened.stop()
            await _close(intakes)
            raise
        events = [store.events for store in stores.values()]
        sweeper = asyncio.create_task(_sweep(events, settings.intake.sweep_seconds))
        chores = [sweeper, *_retention(stores, settings, registry, clock)]
        return cls(server, datagrams, intakes, chores)

    @property
    def addresses(self) -> dict[str, str]:
        """Where it listens, as the ready-file says it."""
        return {"http": self._server.url, **{name: one.address for name, one in self._datagrams.items()}}

    def close_revoked(self) -> None:
        """End the WebSockets whose openers' keys count no more."""
        self._server.service.close_revoked()

    async def stop(self, seconds: float) -> None:
        """Stop accepting, and store and answer what was accepted, within so many seconds."""
        deadline = asyncio.get_running_loop().time() + seconds
        for datagrams in self._datagrams.values():
            datagrams.stop()
        for chore in self._chores:
            chore.cancel()
        await self._server.stop(seconds)
        try:
            async with asyncio.timeout_at(deadline):
                await _close(self._intakes)
        except TimeoutError:
            _log.error("the store did not take in time all that was accepted without an answer (by UDP)")


async def _close(intakes: Intakes) -> None:
    await asyncio.gather(*(intake.close() for intake in intakes.values()))


def _server(
    stores: Mapping[str, Store],
    authenticator: Authenticator,
    settings: CollectorSettings,
    registry: CollectorRegistry,
    clock: Callable[[], int],
    intakes: Intakes,
    limits: Limits,
) -> Server:
    async def ready() -> None:
        for intake in intakes.values():
            await intake.ready()
        await asyncio.gather(*(_proved(store) for store in stores.values()))

    telemetry = Telemetry(registry)
    context = _dialect_context(stores, authenticator, settings, registry, clock, intakes, limits)
    foreign = dialect_routes(dialects(settings.dialects), context)
    service = Service(
        routes(
            intakes,
            limits,
            clock,
            telemetry,
            ready,
            foreign,
            decoded_bytes=settings.http.bodies_bytes // SHARE,
            spooled_status=200 if settings.spool.square_emitters else 202,
        ),
        access=authenticator,
        telemetry=telemetry,
        max_body_bytes=settings.limits.body_bytes,
        max_sockets=settings.limits.sockets,
        http=settings.http,
        on_request=RequestEvents(intakes, authenticator, clock) if settings.self_events else None,
        proxies=Proxies(settings.trusted_proxies, settings.proxy_header),
        lenient=settings.dialects.snowplow and settings.dialects.datacoral,
    )
    return Server(
        service,
        host=settings.host,
        port=settings.port,
        tls=tls_context(settings),
        reuse_port=settings.reuse_port,
    )


async def _proved(store: Store) -> None:
    """Return if a store can be read and written; raise `Unavailable` if not, or not in time."""
    await ping(store)
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            await store.probe()
    except TimeoutError:
        raise Unavailable(f"The store did not confirm a write within {PROBE_SECONDS:g} s.") from None


def _dialect_context(
    stores: Mapping[str, Store],
    authenticator: Authenticator,
    settings: CollectorSettings,
    registry: CollectorRegistry,
    clock: Callable[[], int],
    intakes: Intakes,
    limits: Limits,
) -> DialectContext:
    return DialectContext(
        authenticator,
        intakes,
        stores,
        limits,
        settings.limits.body_bytes,
        settings.dialects.types,
        clock,
        DialectFigures(registry),
        SearchLimits(events=settings.dialects.eye_events, seconds=settings.dialects.eye_seconds),
        Decoding(settings.http.bodies_bytes // SHARE, free=LOOP_BYTES),
    )


def _retention(
    stores: Mapping[str, Store],
    settings: CollectorSettings,
    registry: CollectorRegistry,
    clock: Callable[[], int],
) -> list[asyncio.Task[None]]:
    """Begin to delete what is too old, in the store of each environment."""
    kept, figures = settings.retention, RetentionFigures(registry)
    retentions = [
        Retention(
            stores[environment.name],
            figures,
            clock,
            event_days=environment.ages.event_days or 0,
            metric_days=environment.ages.metric_days or 0,
            lag=kept.lag_seconds,
        )
        for environment in environments_of(settings)
    ]
    return [asyncio.create_task(retention.run(kept.period_seconds)) for retention in retentions]


async def _sweep(stores: Iterable[EventStore], seconds: float) -> None:
    while True:
        for events in stores:
            await _sweep_once(events, seconds)
        await asyncio.sleep(seconds)


async def _sweep_once(events: EventStore, seconds: float) -> None:
    try:
        settled = await events.sweep()
        if settled:
            _log.info("settled %d notes that dead processes left", settled)
    except Unavailable as error:
        _log.warning("cannot look for the notes of dead processes now: %s", error.message)
    except Exception:
        _log.exception("a sweep met a fault; the next one is in %g s", seconds)
