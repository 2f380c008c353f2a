"""Sharding a type's collections on a cluster, all by ``{_id: "hashed"}``; see docs/scale.md."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
import pymongo
from bson.codec_options import CodecOptions
from pymongo.errors import OperationFailure

from cube.errors import InvalidRequest, Unavailable
from cube.store.mongo.calls import answered, fetched
from cube.store.mongo.layout import Document, Layout, ServerInfo
from cube.store.mongo.maintenance import BUILD_SECONDS, ensure
from cube.store.mongo.metrics import MongoMetrics
from cube.store.mongo.store import connect
from cube.store.url import StoreUrl

KEY: Document = {"_id": "hashed"}


@dataclass(frozen=True, slots=True)
class Command:
    """A command for one database of the cluster; ``collection``: what it shards, if it does."""

    database: str
    document: Document
    collection: str | None = None

    def __str__(self) -> str:
        """Return it as mongosh takes it."""
        return f'db.getSiblingDB("{self.database}").runCommand({msgspec.json.encode(self.document).decode()})'


def commands(database: str, type: str) -> Iterator[Command]:
    """Return what shards a type's collections: a collection that holds documents needs the index before."""
    yield Command("admin", {"enableSharding": database})
    for kind in ("events", "revisions", "metrics"):
        name = f"{type}_{kind}"
        index = {"key": KEY, "name": "_id_hashed"}
        yield Command(database, {"createIndexes": name, "indexes": [index]})
        collection = f"{database}.{name}"
        yield Command("admin", {"shardCollection": collection, "key": KEY}, collection)


async def shard(url: str, database: str, type: str) -> list[str]:
    """Shard a type's collections, which need not exist yet; return those that were not sharded before.

    Raises `InvalidRequest` where the server is not a mongos, or a collection is sharded by another key,
    `Unavailable` where it does not answer or refuses.
    """
    client = connect(url)
    try:
        await _refuse_other_servers(client, url)
        layout = Layout(client, client.get_database(database, codec_options=CodecOptions()), (), ServerInfo())
        sharded = [name for name in _names(database, type) if await _is_sharded(client, name)]
        async with building(f"{type}_events"):
            await ensure(layout.events(type), "t")
        await MongoMetrics(layout).begin(type)  # Square's cache is capped, and could not be sharded
        for command in commands(database, type):
            if "createIndexes" in command.document:
                async with building(command.document["createIndexes"]):
                    await _send(client, command, BUILD_SECONDS)
            elif command.collection not in sharded:
                await _send(client, command)
    finally:
        await client.close()
    return [name for name in _names(database, type) if name not in sharded]


def _names(database: str, type: str) -> list[str]:
    return [command.collection for command in commands(database, type) if command.collection is not None]


async def _refuse_other_servers(client: Any, url: str) -> None:
    async with answered():
        hello = await client.get_database("admin").command("hello")
    if hello.get("msg") != "isdbgrid":
        raise InvalidRequest(
            f"The MongoDB at {StoreUrl.shown(url)} is not a mongos; accepted is the address of one, for"
            " only a sharded cluster can shard."
        )


async def _is_sharded(client: Any, name: str) -> bool:
    """Tell whether a collection is sharded as it has to be; refuse one that is in another way."""
    collection = client.get_database("config").get_collection("collections")
    found = await fetched(collection.find({"_id": name}, {"key": 1, "dropped": 1, "unsplittable": 1}))
    keys = [one["key"] for one in found if not one.get("dropped") and not one.get("unsplittable")]
    if not keys:
        return False
    if dict(keys[0]) != KEY:
        raise InvalidRequest(
            f"The collection {name} is sharded by {dict(keys[0])} already; accepted is {KEY}, which alone"
            " keeps an id unique across shards."
        )
    return True


@asynccontextmanager
async def building(name: str) -> AsyncIterator[None]:
    """Say of a build whose server is lost sight of that it goes on."""
    try:
        yield
    except Unavailable as error:
        raise Unavailable(
            f"The index of {name} may be still building; run this again to see: {error.message}"
        ) from error


async def _send(client: Any, command: Command, seconds: float | None = None) -> None:
    try:
        async with answered(seconds):
            with pymongo.timeout(seconds):  # in place of the socket's own; None: that
                await client.get_database(command.database).command(command.document)
    except OperationFailure as error:
        reason = (error.details or {}).get("errmsg", error.code)
        raise Unavailable(f"The cluster refused {command}: {reason}") from None
