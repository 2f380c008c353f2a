"""Whether a store can be read and written, asked of every kind."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import OperationFailure

from cube.errors import Unavailable
from cube.expression import parse_event
from cube.model.event import Event
from cube.model.tier import Span
from cube.store.mongo import open_store
from cube.store.ports import Store
from cube.store.record_ports import StoredText
from tests.mongo_server import MongoServer

from .databases import Database


async def test_a_store_that_works_says_so_and_shows_no_type(store: Store) -> None:
    for _ in range(2):
        await store.ping()
        await store.probe()
    async with store.events.read() as session:
        assert await session.types() == []


async def test_whoever_commits_makes_another_version(database: Database) -> None:
    store, other = await database.open(), await database.open()
    steps = (
        lambda: store.events.save("test", [Event("test", 1, "a", {"v": 1})]),
        lambda: other.events.save("test", [Event("test", 1, "b", {"v": 1})]),
        lambda: other.events.expire("test", 0),
        lambda: other.events.delete(parse_event("test"), Span(0, 10)),
        lambda: other.definitions.save(StoredText("a", 1, 0, "sum(test)"), 0, 10),
    )
    versions = [store.events.version()]
    for step in steps:
        await step()
        versions.append(store.events.version())
        assert store.events.version() == versions[-1]
    if versions[0] is None:  # only a server would know
        assert set(versions) == {None}
    else:
        assert len(set(versions)) == len(versions)


async def test_several_processes_may_prove_it_at_once(database: Database) -> None:
    stores = [await database.open() for _ in range(4)]
    await asyncio.gather(*(store.probe() for store in stores))


@pytest.mark.parametrize(
    ("code", "sentence"), [(14031, "MongoDB cannot do this now"), (20, "lets its database not be written to")]
)
async def test_a_mongodb_that_refuses_to_write_is_unavailable(
    mongo_server: MongoServer, monkeypatch: pytest.MonkeyPatch, code: int, sentence: str
) -> None:
    name = mongo_server.database()
    store = await open_store(mongo_server.url, name)

    async def refuse(*_: Any, **__: Any) -> None:
        raise OperationFailure("refused", code)

    monkeypatch.setattr(AsyncCollection, "update_one", refuse)
    try:
        with pytest.raises(Unavailable, match=sentence):
            await store.probe()
        await store.ping()
    finally:
        await store.close()
        mongo_server.forget(name)
