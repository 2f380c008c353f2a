"""What the store makes of what real sets and clusters answer: by script, through a proxy of commands."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import pytest
from bson.datetime_ms import DatetimeMS
from pymongo.errors import OperationFailure

from cube.errors import InvalidEvent, Unavailable
from cube.model.tier import MINUTE, TEN_SECONDS, Span
from cube.store import mongo
from cube.store.metric_ports import CachedBucket, CacheKey
from cube.store.mongo import layout
from cube.store.mongo.store import MongoStore
from tests.evaluator_running import Bench
from tests.fault.cluster import Cluster
from tests.fault.commands import (
    THROTTLED,
    WRITES,
    CommandProxy,
    Fault,
    error,
    unconfirmed,
    write_error,
)
from tests.mongo_server import MongoServer
from tests.tools import LONG
from tests.unit.mongo_support import T0, all_numbers, event, rows, sockets_dropped

__all__ = ["sockets_dropped"]

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
BUCKET = TEN_SECONDS.floor(T0)
SPAN = Span(BUCKET, BUCKET + TEN_SECONDS.step)
KEY = CacheKey("test", "value", "sum(test)", 1)


@pytest.fixture
def commands(mongo_server: MongoServer) -> Iterator[CommandProxy]:
    with CommandProxy(mongo_server.port) as running:
        yield running


@pytest.fixture
async def store(mongo_server: MongoServer, commands: CommandProxy) -> AsyncIterator[MongoStore]:
    async with opened(mongo_server, commands) as store:
        yield store


@asynccontextmanager
async def opened(server: MongoServer, commands: CommandProxy) -> AsyncIterator[MongoStore]:
    name = server.database()
    store = await mongo.open_store(commands.url, name)
    try:
        yield store
    finally:
        commands.faults.clear()
        await store.close()
        server.forget(name)


@pytest.mark.parametrize(
    "code", [6, 70, 82, 91331, 112, 202, 249, 276, 343, 365, 371, 402, 433, 450, 462, 13388]
)
async def test_what_a_cluster_answers_in_passing_is_unavailable_and_goes(
    store: MongoStore, commands: CommandProxy, code: int
) -> None:
    await store.events.save("test", [event(T0, "before")])
    commands.faults = [Fault(["insert"], "test_events", answer=error(code), times=1)]
    with pytest.raises(Unavailable):
        await store.events.save("test", [event(T0, "during")])
    commands.faults = [Fault(["insert"], "test_events", answer=write_error(code, 0), times=1)]
    with pytest.raises(Unavailable):
        await store.events.save("test", [event(T0, "during")])
    await store.events.save("test", [event(T0, "during")])
    assert sorted(str(id) for _, id, _ in await rows(store)) == ["before", "during"]


@pytest.mark.parametrize("fault", [error(10107, labels=["RetryableWriteError"]), None])
async def test_a_write_that_an_election_meets_is_repeated_once_and_stored_once(
    store: MongoStore, commands: CommandProxy, fault: dict[str, Any] | None
) -> None:
    """With its error before it was done, or its reply lost after it was."""
    await store.events.save("test", [event(T0, "before")])
    for collection in ("test_events", "test_revisions", "cube_notes"):
        met = Fault(WRITES, collection, answer=fault, executed=fault is None, cut=fault is None, times=1)
        commands.faults.append(met)
    await store.events.save("test", [event(T0 + 7_200_000, collection) for collection in ("a", "b")])
    assert [fault.met for fault in commands.faults] == [1, 1, 1]
    assert sorted(str(id) for _, id, _ in await rows(store)) == ["a", "b", "before"]
    assert None not in await all_numbers(store, T0 + 7_200_000)


async def test_what_is_stored_and_only_its_reply_lost_is_not_replaced(
    store: MongoStore, commands: CommandProxy
) -> None:
    """But what was stored before under one of the ids is."""
    await store.events.save("test", [event(T0, "c", 1)])
    before = await all_numbers(store, T0)
    lost = Fault(["insert"], "test_events", executed=True, cut=True, times=1)
    commands.faults = [lost, Fault(["insert"], "cube_intents", answer=error(13, "Unauthorized"))]
    await store.events.save("test", [event(T0, id, 2) for id in ("a", "b")])
    assert lost.met == 1
    assert all(a != b for a, b in zip(before, await all_numbers(store, T0), strict=True))

    commands.faults = [Fault(["insert"], "test_events", executed=True, cut=True, times=1)]
    await store.events.save("test", [event(T0, id, 3) for id in ("c", "d")])
    found = sorted((id, data) for _, id, data in await rows(store))
    assert found == [("a", 2), ("b", 2), ("c", 3), ("d", 3)]


async def test_overload_is_waited_for_and_then_said(store: MongoStore, commands: CommandProxy) -> None:
    await store.events.save("test", [event(T0, "before")])
    commands.faults = [Fault(["insert"], "test_events", answer=THROTTLED, times=1)]
    await store.events.save("test", [event(T0, "after one refusal")])
    commands.faults = [Fault(["insert"], "test_events", answer=THROTTLED)]
    with pytest.raises(Unavailable, match="462 IngressRequestRateLimitExceeded"):
        await store.events.save("test", [event(T0, "never")])


async def test_a_write_without_a_majority_is_not_acknowledged_and_its_buckets_are_raised(
    store: MongoStore, commands: CommandProxy
) -> None:
    await store.events.save("test", [event(T0, "before")])
    before = await all_numbers(store, T0)
    commands.faults = [Fault(["insert"], "test_events", answer=unconfirmed(), executed=True, times=1)]
    with pytest.raises(Unavailable, match="majority|confirm|64"):
        await store.events.save("test", [event(T0, "unconfirmed")])
    assert all(a != b for a, b in zip(before, await all_numbers(store, T0), strict=True))


@pytest.mark.parametrize("code", [2, 9, 22, 52, 57, 121, 10334])
async def test_a_document_that_is_at_fault_is_told_and_the_others_are_stored_without_it(
    store: MongoStore, commands: CommandProxy, code: int
) -> None:
    commands.faults = [Fault(["insert"], "test_events", answer=write_error(code, 1), times=1)]
    events = [event(T0, id) for id in ("a", "b", "c")]
    with pytest.raises(InvalidEvent, match=f"code {code}") as refused:
        await store.events.save("test", events)
    assert refused.value.details["index"] == 1
    await store.events.save("test", [events[0], events[2]])
    assert sorted(str(id) for _, id, _ in await rows(store)) == ["a", "c"]


@pytest.mark.parametrize("code", [8, 13, 18, 26, 59, 391, 11000])
async def test_what_is_nobodys_fault_keeps_the_events(
    store: MongoStore, commands: CommandProxy, code: int, caplog: pytest.LogCaptureFixture
) -> None:
    """They are `Unavailable`, so that a spool keeps them, and an administrator reads why."""
    await store.events.save("test", [event(T0, "before")])
    refusal = {**error(code), "errmsg": "E11000 index: d.u_1 dup key: { d.u: 1 }"}
    commands.faults = [Fault(["insert"], "test_events", answer=refusal)]
    for _ in range(2):
        with pytest.raises(Unavailable, match=f"code {code}"):
            await store.events.save("test", [event(T0, "kept")])
    said = [record for record in caplog.records if record.levelname == "ERROR"]
    assert len(said) == 1, "once a minute, not for each commit"


async def test_metrics_that_may_not_be_saved_are_not_cached_and_not_missed(
    store: MongoStore, commands: CommandProxy, caplog: pytest.LogCaptureFixture
) -> None:
    commands.faults = [Fault({*WRITES, "createIndexes"}, "test_metrics", answer=error(13, "Unauthorized"))]
    await store.metrics.save(KEY, TEN_SECONDS, {BUCKET: CachedBucket(1, b"x")})
    assert "not cached" in caplog.text
    assert await store.metrics.read(KEY, TEN_SECONDS, SPAN) == {}
    commands.faults = []
    await store.metrics.save(KEY, TEN_SECONDS, {BUCKET: CachedBucket(1, b"x")})
    assert await store.metrics.read(KEY, TEN_SECONDS, SPAN) == {BUCKET: CachedBucket(1, b"x")}


async def test_a_user_who_only_reads_gets_every_answer(store: MongoStore, commands: CommandProxy) -> None:
    """Of types with revisions, and of one that another tool has filled: nothing is cached, twice over."""
    await store.events.save("test", [event(T0, "a"), event(T0 + 60_000, "b")])
    await store._layout.events("theirs").insert_one({"_id": "x", "t": DatetimeMS(T0)})
    commands.faults = [Fault({*WRITES, "createIndexes"}, answer=error(13, "Unauthorized"))]
    with ThreadPoolExecutor(1) as executor:
        bench = Bench(store, executor)
        for _ in range(2):
            assert await bench.values("sum(test)", MINUTE.step, T0, T0 + 120_000) == [1, 1]
            assert await bench.values("sum(theirs)", MINUTE.step, T0, T0 + 120_000) == [1, 0]
        await bench.pyramid.close()
    assert await store._layout.metrics("test").count_documents({}) == 0


async def test_revisions_that_may_not_be_built_leave_the_type_foreign(
    mongo_server: MongoServer, store: MongoStore, commands: CommandProxy
) -> None:
    """A user who only reads asks about a database that another tool has filled: nothing is cached."""
    await store.events.save("test", [event(T0, "a")])
    await store._layout.revisions("test").delete_many({})
    commands.faults = [Fault({*WRITES, "createIndexes"}, answer=error(13, "Unauthorized"))]
    await store.events.build("test")
    async with store.events.read() as session:
        assert (await session.revisions("test", TEN_SECONDS, SPAN)).foreign
    commands.faults = []
    await store.events.build("test")
    async with store.events.read() as session:
        found = await session.revisions("test", TEN_SECONDS, SPAN)
    assert found.complete
    assert not found.foreign


async def test_a_save_outlives_seconds_without_a_primary(store: MongoStore, commands: CommandProxy) -> None:
    await store.events.save("test", [event(T0, "before")])
    commands.step_down(12 if LONG else 5)
    await store.events.save("test", [event(T0, "during")])
    assert sorted(str(id) for _, id, _ in await rows(store)) == ["before", "during"]


@pytest.mark.parametrize("concern", ["majority", "local"])
async def test_events_are_never_older_than_the_revisions_read_before_them(
    mongo_server: MongoServer, monkeypatch: pytest.MonkeyPatch, concern: str
) -> None:
    """Of two primaries in an election the old one lacks what the revisions of another shard vouch for.

    With ``local``, as it was, it answers: so this test can see what it is about.
    """
    monkeypatch.setattr(layout, "_MAJORITY", layout.ReadConcern(concern))
    target = mongo_server.port
    with Cluster(target, mongo_server.url) as cluster:
        async with opened(mongo_server, cluster) as store:
            await store.events.save("test", [event(T0, "before")])
            cluster.cut_off(store._layout.database.name, "test_events")
            await store.events.save("test", [event(T0, "after")])
            async with store.events.read() as first:
                assert (await first.revisions("test", TEN_SECONDS, SPAN)).numbers
                found = {str(id) for _, id, _ in await rows(store)}  # in a session of its own
            assert (found == {"before", "after"}) is (concern == "majority")
            assert bool(cluster.stale_reads) is (concern == "local")


@pytest.mark.parametrize("code", [91, 189, 10107, 11602])
async def test_a_server_that_fails_by_itself_is_met_as_the_proxy_makes_it_fail(
    mongo_server: MongoServer, code: int
) -> None:
    """Where it offers ``failCommand``: with a retryable error the write is repeated, else it is told."""
    name = mongo_server.database()
    store = await mongo.open_store(f"{mongo_server.url}/?heartbeatFrequencyMS=500", name)
    admin = store._layout.client.get_database("admin")
    try:
        await store.events.save("test", [event(T0, "before")])
        data = {"failCommands": ["insert"], "errorCode": code, "errorLabels": ["RetryableWriteError"]}
        fail = {"configureFailPoint": "failCommand", "mode": {"times": 1}, "data": data}
        try:
            await admin.command(fail)
        except OperationFailure:
            pytest.skip("the server offers no failCommand")
        await store.events.save("test", [event(T0, "repeated")])
        await admin.command({**fail, "data": {"failCommands": ["insert"], "errorCode": 8}})
        with pytest.raises(Unavailable, match="code 8"):
            await store.events.save("test", [event(T0, "told")])
        assert sorted(str(id) for _, id, _ in await rows(store)) == ["before", "repeated"]
    finally:
        await store.close()
        mongo_server.forget(name)
