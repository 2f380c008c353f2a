"""How long the store waits, what it tells the server of that, and what it says of what goes on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from bson.datetime_ms import DatetimeMS

from cube.errors import Unavailable
from cube.store import mongo
from cube.store.mongo import calls, sharding
from cube.store.mongo.store import MongoStore
from tests.end_to_end.serving import PATIENCE_SECONDS
from tests.fault.cluster import Cluster
from tests.fault.commands import WRITES, CommandProxy, Fault, error
from tests.fault.wire import Document, Message
from tests.mongo_server import MongoServer
from tests.unit.mongo_support import T0, all_numbers, event, rows, sockets_dropped

__all__ = ["sockets_dropped"]

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
SOCKET_MILLISECONDS = 600


class Watched(CommandProxy):
    """A proxy that keeps the commands that it passes on."""

    def __init__(self, target_port: int) -> None:
        super().__init__(target_port)
        self.seen: list[Document] = []

    def route(self, message: Message) -> None:
        self.seen.append(dict(message.body))


@pytest.fixture
def commands(mongo_server: MongoServer) -> Iterator[Watched]:
    with Watched(mongo_server.port) as running:
        yield running


@asynccontextmanager
async def opened(
    server: MongoServer, commands: CommandProxy, options: str = "", **settings: Any
) -> AsyncIterator[MongoStore]:
    name = server.database()
    store = await mongo.open_store(f"{commands.url}/?{options}", name, **settings)
    try:
        yield store
    finally:
        commands.faults = []
        await store.close()
        server.forget(name)


async def test_the_server_ends_each_write_before_a_sweep_may_have_raised(
    mongo_server: MongoServer, commands: Watched
) -> None:
    """Inserts, replacements, revisions, notes and intents: no write is without `maxTimeMS`."""
    async with opened(mongo_server, commands) as store:
        await store.events.save("test", [event(T0, "a")])
        await store.events.save("test", [event(T0 + 7_200_000, "a"), event(T0, "b")])
        written = [each for each in commands.seen if next(iter(each)) in WRITES]
        kinds = {str(each[next(iter(each))]) for each in written}
        assert kinds >= {"test_events", "test_revisions", "cube_notes", "cube_intents"}
        assert all(0 < each["maxTimeMS"] <= calls.WRITE_SECONDS * 1_000 for each in written)


@pytest.mark.parametrize("collection", ["test_revisions", "cube_notes"])
async def test_an_upsert_that_meets_its_own_first_try_is_written_again(
    mongo_server: MongoServer, commands: Watched, collection: str
) -> None:
    """The reply to the first try is lost, and a new primary does not remember it: its id is there already."""
    duplicate = {"index": 0, "code": 11000, "keyPattern": {"_id": 1}, "errmsg": "E11000 index: _id_ dup key"}
    answer = {"ok": 1.0, "n": 0, "nModified": 0, "writeErrors": [duplicate]}
    async with opened(mongo_server, commands) as store:
        fault = Fault(["update"], collection, answer=answer, executed=True, times=2)
        commands.faults = [fault]
        await store.events.save("test", [event(T0, "once")])
        assert fault.met == 2
        assert [str(id) for _, id, _ in await rows(store)] == ["once"]
        assert None not in await all_numbers(store, T0)


async def test_an_index_is_waited_for_longer_than_a_socket(
    mongo_server: MongoServer, commands: Watched
) -> None:
    """That of a new type is made before its first event; every other call is given up as the URL says."""
    seconds = 2 * SOCKET_MILLISECONDS / 1_000
    async with opened(mongo_server, commands, f"socketTimeoutMS={SOCKET_MILLISECONDS}") as store:
        build = Fault(["createIndexes"], "test_events", delay_seconds=seconds, times=1)
        commands.faults = [build]
        await store.events.save("test", [event(T0, "a")])
        assert build.met == 1
        names = [next(iter(each)) for each in commands.seen if "test_events" in map(str, each.values())]
        assert names.index("createIndexes") < names.index("insert")
        commands.faults = [Fault(["find"], delay_seconds=seconds)]
        with pytest.raises(Unavailable):
            await store.ping()


async def test_the_index_of_a_foreign_type_is_made_or_it_is_said_that_there_is_none(
    mongo_server: MongoServer, commands: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with opened(mongo_server, commands) as store:
        await store._layout.events("theirs").insert_one({"_id": "x", "t": DatetimeMS(T0)})
        name = store._layout.database.name
        refused = Fault(["createIndexes"], "theirs_events", answer=error(13, "Unauthorized"), times=1)
        commands.faults = [refused]
        for said in ("theirs_events has no index on t yet", "built the index on t of theirs_events"):
            other = await mongo.open_store(commands.url, name, foreign=["theirs"])
            async with asyncio.timeout(PATIENCE_SECONDS):
                while said not in caplog.text:  # noqa: ASYNC110 - a task of the store's says it
                    await asyncio.sleep(0.02)
            await other.close()
        assert refused.met == 1


async def test_sharding_that_loses_sight_of_a_build_says_that_it_may_go_on(
    mongo_server: MongoServer,
) -> None:
    with Cluster(mongo_server.port, mongo_server.url) as cluster:
        cluster.faults = [Fault(["createIndexes"], "test_events", cut=True)]
        with pytest.raises(Unavailable, match="index of test_events may be still building; run this again"):
            await sharding.shard(cluster.url, mongo_server.database(), "test")
