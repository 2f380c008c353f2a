"""Stores on the tests' server, what they sent to it, and ways to break off."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from pymongo import AsyncMongoClient, monitoring

from cube.model.event import ABSENT, Event, EventId
from cube.model.made_id import make_id
from cube.model.tier import CACHED_TIERS, Span, Tier
from cube.store.mongo import open_store
from cube.store.mongo.store import MongoStore
from cube.store.ports import Store
from tests.mongo_server import MongoServer

T0 = 1_311_033_600_000  # 2011-07-19T00:00Z
WHOLE = Span(T0 - 10**10, T0 + 10**10)


class Commands(monitoring.CommandListener):
    """Every command of one client, as (name, collection, command)."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, dict[str, Any]]] = []

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        command = dict(event.command)
        self.sent.append((event.command_name, str(command.get(event.command_name)), command))

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Nothing to note."""

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Nothing to note."""

    def writes(self) -> list[tuple[str, str]]:
        kinds = ("insert", "update", "delete", "findAndModify")
        return [(name, collection) for name, collection, _ in self.sent if name in kinds]


class Database:
    """A database on the server; `open` makes a store with a client whose commands are noted."""

    def __init__(self, server: MongoServer) -> None:
        self.url = server.url
        self.name = server.database()
        self.client = connect(server.url)
        self.raw = self.client[self.name]
        self._opened: list[MongoStore] = []
        self._clients: list[AsyncMongoClient[dict[str, Any]]] = [self.client]

    async def open(self, commands: Commands | None = None, **options: Any) -> MongoStore:
        client = connect(self.url, *([commands] if commands else []))
        self._clients.append(client)
        store = await open_store(self.url, self.name, client=client, **options)
        self._opened.append(store)
        return store

    async def close(self) -> None:
        for store in self._opened:
            await store.close()
        for client in self._clients:
            await client.close()


@pytest.fixture
async def database(mongo_server: MongoServer) -> AsyncIterator[Database]:
    made = Database(mongo_server)
    yield made
    await made.close()
    mongo_server.forget(made.name)


def event(time: int = T0, id: EventId | None = None, data: Any = ABSENT, *, timed: bool = True) -> Event:
    return Event("test", time, make_id() if id is None else id, data, timed)


def connect(url: str, *listeners: Commands) -> AsyncMongoClient[dict[str, Any]]:
    return AsyncMongoClient(url, event_listeners=listeners, serverSelectionTimeoutMS=5_000)


async def rows(store: Store, fields: Sequence[str] | None = None) -> list[tuple[int, EventId, Any]]:
    found: list[tuple[int, EventId, Any]] = []
    async with store.events.read() as session:
        async for block in session.scan("test", WHOLE, fields, ids=True):
            assert block.ids is not None
            found += zip(block.times.tolist(), block.ids, block.data, strict=True)
    return found


async def numbers(store: Store, tier: Tier, *times: int) -> list[int | None]:
    """The revisions of the buckets of some times."""
    span = Span(tier.floor(min(times)), tier.floor(max(times)) + tier.step)
    async with store.events.read() as session:
        found = await session.revisions("test", tier, span)
    return [found.numbers.get(tier.floor(time)) for time in times]


async def all_numbers(store: Store, time: int) -> list[int | None]:
    """The revisions of a time's buckets, at every cached tier."""
    return [(await numbers(store, tier, time))[0] for tier in CACHED_TIERS]


@pytest.fixture(autouse=True)
async def sockets_dropped() -> AsyncIterator[None]:
    """When a test's stores are gone, collect the sockets that their monitors were just connecting.

    PyMongo 4.20 leaves a socket to the garbage collector when `close` cancels a monitor that is
    connecting (`pool_shared._async_create_connection` catches `OSError` alone); the modules that
    import this ignore that one warning.
    """
    yield
    others = asyncio.all_tasks() - {asyncio.current_task()}
    if others:
        await asyncio.wait(others, timeout=1)
    gc.collect()
