"""Every statement of the store is one that a cluster sharded by ``{_id: "hashed"}`` takes.

What a mongos asks for (the manual, "Sharded Cluster" of each command): the whole shard key, by equality,
in whatever changes or upserts one document; no unique index beside that of ``_id``; nothing capped;
nothing that only a lone server has.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from bson import ObjectId

from cube.model.tier import DAY, HOUR, Span
from cube.store.metric_ports import CachedBucket, CacheKey
from cube.store.mongo.store import MongoStore
from tests.mongo_server import mongo_server
from tests.unit.mongo_support import T0, Commands, Database, database, event, rows, sockets_dropped

__all__ = ["database", "mongo_server", "sockets_dropped"]

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # see sockets_dropped

EXPECTED = {
    "bulkWrite": False,
    "createIndexes": True,
    "delete": True,
    "endSessions": True,
    "find": True,
    "findAndModify": True,
    "getMore": False,
    "hello": True,
    "insert": True,
    "listCollections": True,
    "listIndexes": False,
    "update": True,
}
"""The commands that the store sends, and whether this walk meets them for certain."""

KEY = CacheKey("test", "sum(test)", "value", 1)


@pytest.fixture
async def sent(database: Database) -> list[tuple[str, str, dict[str, Any]]]:
    """All that two stores send in a walk through every method, a sweep after a death included."""
    commands = Commands()
    store, dying = await database.open(commands), await database.open(commands, lease_seconds=0.0)
    await dying.events.save("test", [event(T0 + i, id=f"early-{i}") for i in range(3)])
    await store.events.save("test", [event(T0, id="a"), event(T0, id="b"), event(T0), event(T0, id=1.5)])
    await store.events.save("test", [event(T0 + DAY.step, id="a"), event(T0 + 9, id="b", timed=False)])
    await store.events.save("test", [event(T0 + 2 * DAY.step, id="a")])
    await database.raw["theirs_events"].insert_one({"_id": ObjectId(), "t": None})
    await store.events.build("theirs")
    await _metrics(store)
    await rows(store)
    await database.raw["cube_notes"].insert_one(
        {"_id": "dead:test:0", "process": "dead", "type": "test", "hour": T0}
    )
    await store.events.sweep()
    await store.names.claim("group", ["one", "two"], 5)
    await store.events.expire("test", T0 + DAY.step)
    await store.events.delete_events("test", T0 + DAY.step)
    await store.metrics.delete(T0 + DAY.step)
    await store.events.forget("test", T0 + DAY.step)
    await store.events.delete_revisions("test", T0 + DAY.step)
    await store.ping()
    await store.probe()
    await store.close()
    await dying.close()
    return commands.sent


async def _metrics(store: MongoStore) -> None:
    for start in (T0, T0 + 400 * HOUR.step):
        await store.metrics.save(
            KEY, HOUR, {start: CachedBucket(1, b"x"), start + HOUR.step: CachedBucket(2, b"y")}
        )
    await store.metrics.read(KEY, HOUR, Span(T0, T0 + DAY.step))


async def test_no_command_is_one_that_only_a_lone_server_has(
    sent: list[tuple[str, str, dict[str, Any]]],
) -> None:
    names = {name for name, _, _ in sent}
    assert names <= EXPECTED.keys()
    assert {name for name, certain in EXPECTED.items() if certain} - {"endSessions"} <= names


async def test_what_changes_one_document_names_it_by_its_id(
    sent: list[tuple[str, str, dict[str, Any]]],
) -> None:
    """Other fields may stand beside it. A mongos would send the rest to all shards, or refuse it."""
    queries = list(_single(sent))
    assert len({collection for collection, _ in queries}) >= 6
    for collection, query in queries:
        id = query.get("_id")
        assert id is not None, (collection, query)
        assert not isinstance(id, dict | list), (collection, query)


async def test_no_update_changes_an_id(sent: list[tuple[str, str, dict[str, Any]]]) -> None:
    changes = [
        (update["q"], update["u"])
        for name, _, command in sent
        if name == "update"
        for update in command["updates"]
    ]
    changes += [(command["query"], command["update"]) for name, _, command in sent if name == "findAndModify"]
    assert changes
    for query, change in changes:
        assert change.get("_id", query.get("_id")) == query.get("_id")
        assert not any("_id" in part for part in change.values() if isinstance(part, dict))


async def test_no_index_is_unique_and_no_collection_capped(
    sent: list[tuple[str, str, dict[str, Any]]],
) -> None:
    indexes = [index for name, _, command in sent if name == "createIndexes" for index in command["indexes"]]
    assert {tuple(index["key"]) for index in indexes} == {("t",), ("e",), ("key",)}
    assert not any(index.keys() - {"key", "name"} for index in indexes)
    assert not any(name == "create" for name, _, _ in sent)


def _single(sent: list[tuple[str, str, dict[str, Any]]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The queries of what changes, deletes or upserts one document."""
    for name, collection, command in sent:
        if name == "update":
            yield from ((collection, one["q"]) for one in command["updates"] if not one.get("multi"))
        elif name == "delete":
            yield from ((collection, one["q"]) for one in command["deletes"] if one["limit"] == 1)
        elif name == "findAndModify":
            yield collection, command["query"]
