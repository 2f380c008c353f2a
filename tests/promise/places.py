"""Where the stores of one run are: files, or a database on the tests' server."""

from __future__ import annotations

import gc
import tempfile
import warnings
from typing import Any, TypeAlias

from pymongo import AsyncMongoClient

from cube.store import mongo, sqlite
from cube.store.ports import Store
from tests.fault.cluster import Cluster
from tests.mongo_server import MongoServer
from tests.promise.driver import Gated
from tests.promise.gated import GatedStore, GatedWriter


class SqlitePlace:
    """Files in a folder of their own."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()

    async def open(self, *, writes: bool) -> Store:
        """Open the database as one more process does; a save is one transaction, so its gate is in front."""
        store = await sqlite.open_store(self._folder.name, "promise")
        store.events._writer = GatedWriter(store.events._writer)  # type: ignore[assignment]  # before each
        return GatedStore(store)

    async def open_sweeper(self) -> Store:
        """Open it as a process that takes all others for dead."""
        return await sqlite.open_store(self._folder.name, "promise")

    async def close(self) -> None:
        """Remove it."""
        self._folder.cleanup()


class MongoPlace:
    """A database on the tests' server."""

    def __init__(self, server: MongoServer) -> None:
        self._server = server
        self._url = server.url
        self._name = server.database()
        self._clients: list[AsyncMongoClient[Any]] = []

    async def open(self, *, writes: bool) -> Store:
        """Open the database as one more process does: a writer with gates before each call to the server."""
        if not writes:
            return GatedStore(await mongo.open_store(self._url, self._name))
        client: AsyncMongoClient[Any] = AsyncMongoClient(self._url)
        self._clients.append(client)
        return await mongo.open_store(self._url, self._name, client=Gated(client))

    async def open_sweeper(self) -> Store:
        """Open it as a process that takes all others for dead."""
        return await mongo.open_store(self._url, self._name, lease_seconds=0.0)

    async def close(self) -> None:
        """Remove it."""
        for client in self._clients:
            await client.close()
        self._server.forget(self._name)


class ClusterPlace(MongoPlace):
    """The same on a cluster, of which the shard of the events may have two primaries.

    The old one answers what it can, from what it had when it was cut off.
    """

    def __init__(self, server: MongoServer) -> None:
        super().__init__(server)
        self._cluster = Cluster(server.port, server.url).__enter__()
        self._url = self._cluster.url

    def split(self) -> None:
        """From now on the events' present primary hears of nothing new, and goes on answering."""
        self._cluster.cut_off(self._name, "test_events")

    async def close(self) -> None:
        """Remove it."""
        await super().close()
        self._cluster.__exit__()
        with warnings.catch_warnings():  # PyMongo and asyncio leave sockets that were cut to the collector
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()


Place: TypeAlias = SqlitePlace | MongoPlace
