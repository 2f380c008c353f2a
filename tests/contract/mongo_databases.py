"""MongoDB databases for the contract: over PyMongo's asynchronous client, and over Motor's."""

from __future__ import annotations

import gc
import warnings
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import AsyncMongoClient

from cube.errors import Unavailable
from cube.model.event import Event
from cube.store import mongo
from cube.store.mongo.documents import encode
from cube.store.ports import Store
from tests.fault.cluster import Cluster
from tests.fault.commands import Fault
from tests.mongo_server import MongoServer


class MongoDatabase:
    """A database of its own name on the tests' server."""

    def __init__(
        self, server: MongoServer, connect: Callable[[str], Any] | None, url: str | None = None
    ) -> None:
        self._server = server
        self._url = url or server.url
        self._connect = connect
        self._name = server.database()
        self._clients: list[Any] = []
        self._opened: list[Store] = []

    @classmethod
    @asynccontextmanager
    async def make(
        cls, server: MongoServer, connect: Callable[[str], Any] | None, url: str | None = None
    ) -> AsyncIterator[MongoDatabase]:
        database = cls(server, connect, url)
        try:
            yield database
        finally:
            for store in database._opened:
                await store.close()
            for client in database._clients:
                client.close()
            server.forget(database._name)

    async def open(self) -> Store:
        """Open it with a client of its own."""
        client = None
        if self._connect is not None:
            client = self._connect(self._url)
            self._clients.append(client)
        store = await mongo.open_store(self._url, self._name, client=client)
        self._opened.append(store)
        return store

    async def fill(self, type: str, events: Sequence[Event]) -> None:
        """Insert documents and nothing else."""
        async with AsyncMongoClient[dict[str, Any]](self._server.url) as client:
            await client[self._name][f"{type}_events"].insert_many([encode(event) for event in events])


class ClusterDatabase(MongoDatabase):
    """One that saves again what was not known to be stored, as the spool does.

    PyMongo repeats a write whose reply was lost, but not where its monitor has just lost the server too.
    """

    async def open(self) -> Store:
        store: Any = await super().open()
        save = store.events.save

        async def again(type: str, events: Sequence[Event]) -> None:
            try:
                await save(type, events)
            except Unavailable:
                await save(type, events)

        store.events.save = again
        return cast("Store", store)


@asynccontextmanager
async def on_cluster(server: MongoServer) -> AsyncIterator[MongoDatabase]:
    """The same over what says that it is a cluster, and loses the reply to the first events stored."""
    with Cluster(server.port, server.url) as cluster:
        async with ClusterDatabase.make(server, None, cluster.url) as database:
            cluster.faults = [Fault(("insert", "update"), "_events", executed=True, cut=True, times=1)]
            yield database
    with warnings.catch_warnings():  # PyMongo and asyncio leave sockets that were cut to the collector
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


CLIENTS: dict[str, Callable[[str], Any] | None] = {"mongo": None, "mongo-motor": AsyncIOMotorClient}
"""How the store gets its client: it makes PyMongo's itself, or Motor's is handed in."""
