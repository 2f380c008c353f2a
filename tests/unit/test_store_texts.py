"""Scans that are told which texts are wanted: what each store leaves out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pymongo import AsyncMongoClient

from cube.model.event import Event
from cube.model.tier import Span
from cube.store import mongo, sqlite
from cube.store.ports import Store
from tests.mongo_server import MongoServer, mongo_server

__all__ = ["mongo_server"]

EVENTS = [Event("a", i, i, {"who": f"w{i % 4}", "n": i}) for i in range(12)]


async def scanned(store: Store, **texts: str | int) -> list[Any]:
    async with store.events.read() as session:
        blocks = session.scan(
            "a", Span(0, 100), (), ids=True, wanted={(name,): each for name, each in texts.items()}
        )
        return [id for block in [block async for block in blocks] for id in block.ids or ()]


@pytest.fixture
def ids() -> list[int]:
    return [1, 5, 9]


async def test_sqlite_leaves_out_data_without_the_text(tmp_path: Path, ids: list[int]) -> None:
    store = await sqlite.open_store(tmp_path, "test")
    try:
        await store.events.save("a", EVENTS)
        assert await scanned(store, who="w1") == ids
        assert await scanned(store, who="w1", n="w2") == []
        assert await scanned(store) == list(range(12))
    finally:
        await store.close()


async def test_mongodb_asks_for_the_text_where_an_index_begins_with_its_field(
    mongo_server: MongoServer, ids: list[int]
) -> None:
    name = mongo_server.database()
    store = await mongo.open_store(mongo_server.url, name)
    try:
        await store.events.save("a", EVENTS)
        assert await scanned(store, who="w1") == list(range(12))
        async with AsyncMongoClient[dict[str, Any]](mongo_server.url) as client:
            await client[name]["a_events"].create_index([("d.who", 1), ("t", -1)])
        assert await scanned(store, who="w1") == ids
        assert await scanned(store, n="w1") == list(range(12))
        assert await scanned(store) == list(range(12))
    finally:
        await store.close()
        mongo_server.forget(name)
