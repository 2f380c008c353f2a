"""A collector in this process, on a SQLite store whose writes a test can hold up or break."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry

from collector.app import Collector
from cube.model.environment import DEFAULT
from cube.model.event import EventId
from cube.settings import CollectorSettings, environments_of
from cube.store.ports import Store
from cube.store.sqlite import open_store
from cube.web import Authenticator, KeyRing
from tests.contract.builders import rows
from tests.stores import StoreProxy

NOW = 1_311_033_600_000


class GatedStore(StoreProxy):
    """A real store, whose saves a test may hold up (``gate``) or have fail (``error``), and its sweeps."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.gate = asyncio.Event()
        self.gate.set()
        self.begun = asyncio.Event()
        self.error: Exception | None = None
        self.sweep_error: Exception | None = None
        self.saves = 0
        self.sweeps = 0
        self.swept_thrice = asyncio.Event()

    async def before(self, call: str, *_: Any) -> None:
        if call == "events.save":
            self.begun.set()
            await self.gate.wait()
            if self.error is not None:
                raise self.error
            self.saves += 1
        elif call == "events.sweep":
            self.sweeps += 1
            if self.sweeps >= 3:
                self.swept_thrice.set()
            if self.sweep_error is not None:
                raise self.sweep_error


class Stage:
    """A collector that runs, and what it stored."""

    def __init__(self, store: GatedStore, collector: Collector, registry: CollectorRegistry) -> None:
        self.store = store
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
            store.gate.set()
            await collector.stop(5)
    finally:
        await store.close()
