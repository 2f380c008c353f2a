"""A collector in this process, on a SQLite store whose writes a test can hold up or break."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry

from collector.app import Collector
from cube.model.environment import DEFAULT
from cube.model.event import Event, EventId
from cube.settings import CollectorSettings, environments_of
from cube.store.ports import UNBOUNDED, MetricStore, Names, ReadOptions, ReadSession
from cube.store.sqlite import SqliteStore, open_store
from cube.web import Authenticator, KeyRing
from tests.contract.builders import rows

NOW = 1_311_033_600_000


class GatedEvents:
    """The events of a real store behind a gate: a test may close it, or have every write fail."""

    def __init__(self, store: SqliteStore) -> None:
        self._events = store.events
        self.gate = asyncio.Event()
        self.gate.set()
        self.begun = asyncio.Event()
        self.error: Exception | None = None
        self.sweep_error: Exception | None = None
        self.saves = 0
        self.sweeps = 0
        self.swept_thrice = asyncio.Event()

    async def save(self, type: str, events: Sequence[Event]) -> None:
        self.begun.set()
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        self.saves += 1
        await self._events.save(type, events)

    async def sweep(self) -> int:
        self.sweeps += 1
        if self.sweeps >= 3:
            self.swept_thrice.set()
        if self.sweep_error is not None:
            raise self.sweep_error
        return await self._events.sweep()

    def read(self, options: ReadOptions = UNBOUNDED) -> AbstractAsyncContextManager[ReadSession]:
        return self._events.read(options)

    async def build(self, type: str) -> None:
        await self._events.build(type)

    async def expire(self, type: str, before: int) -> None:
        await self._events.expire(type, before)


class GatedStore:
    """A store with gated events."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        self.events = GatedEvents(store)

    @property
    def metrics(self) -> MetricStore:
        return self._store.metrics

    @property
    def names(self) -> Names:
        return self._store.names

    async def ping(self) -> None:
        await self._store.ping()

    async def probe(self) -> None:
        await self._store.probe()

    async def close(self) -> None:
        await self._store.close()


class Stage:
    """A collector that runs, and what it stored."""

    def __init__(self, store: GatedStore, collector: Collector, registry: CollectorRegistry) -> None:
        self.store = store
        self.events = store.events
        self.collector = collector
        self.registry = registry
        self.port = urlsplit(collector.addresses["http"]).port or 0
        host, _, port = collector.addresses["udp"].rpartition(":")
        self.udp = (host, int(port))

    async def stored(self, type: str) -> list[tuple[int, EventId, Any]]:
        """Return all events of a type as (time, id, data), by time."""
        return await rows(self.store, type)

    async def types(self) -> list[str]:
        async with self.store.events.read() as session:
            return await session.types()

    async def until_stored(self, type: str, count: int) -> None:
        """Return when so many events of a type are stored."""
        async with asyncio.timeout(10):
            while len(await self.stored(type)) < count:  # noqa: ASYNC110 - nothing tells of a write
                await asyncio.sleep(0.005)

    def figure(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)


@asynccontextmanager
async def staged(directory: Path, settings: CollectorSettings | None = None) -> AsyncIterator[Stage]:
    """Run a collector on free ports with a store in `directory`."""
    store = GatedStore(await open_store(directory, "test"))
    registry = CollectorRegistry()
    settings = replace(settings or CollectorSettings(), port=0, udp_port=0)
    try:
        gate = Authenticator(environments_of(settings), KeyRing(settings.keys))
        collector = await Collector.start({DEFAULT: store}, gate, settings, registry, lambda: NOW)
        try:
            yield Stage(store, collector, registry)
        finally:
            store.events.gate.set()
            await collector.stop(5)
    finally:
        await store.close()
