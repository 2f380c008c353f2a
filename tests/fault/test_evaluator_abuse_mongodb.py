"""An evaluator on a MongoDB gives up a query in time, whatever the server does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cube.model.tier import HOUR, Span
from cube.store.mongo import open_store
from cube.store.read_options import ReadOptions
from tests.daemon import daemon
from tests.evaluator_running import DAY, event
from tests.fault.proxy import FaultyProxy, Mode
from tests.fault.test_evaluator_abuse import ask
from tests.mongo_server import MongoServer
from tests.tools import SLOW
from tests.unit.mongo_support import Commands, Database, database, sockets_dropped

__all__ = ["database", "sockets_dropped"]

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # see sockets_dropped

SPAN = Span(DAY, DAY + HOUR.step)


@pytest.fixture
def name(mongo_server: MongoServer) -> Iterator[str]:
    made = mongo_server.database()
    yield made
    mongo_server.forget(made)


async def fill(mongo_server: MongoServer, name: str, many: int) -> None:
    store = await open_store(mongo_server.url, name)
    await store.events.save("test", [event(DAY + n * 1_000, {"v": n}) for n in range(many)])
    await store.events.save("small", [event(DAY, {"v": 1}, type="small")])
    await store.close()


async def test_the_server_is_told_how_long_it_may_work(database: Database) -> None:
    commands = Commands()
    store = await database.open(commands)
    await store.events.save("test", [event(DAY)])
    commands.sent.clear()
    async with store.events.read(ReadOptions(seconds=7.5)) as session:
        await session.revisions("test", HOUR, SPAN)
        assert [len(block) async for block in session.scan("test", SPAN, ())] == [1]
    finds = [command for kind, _, command in commands.sent if kind == "find"]
    assert [find["maxTimeMS"] for find in finds] == [7_500, 7_500]


async def test_without_terms_the_server_may_take_its_time(database: Database) -> None:
    commands = Commands()
    store = await database.open(commands)
    async with store.events.read() as session:
        await session.revisions("test", HOUR, SPAN)
    assert not any("maxTimeMS" in command for _, _, command in commands.sent)


async def test_a_server_that_hangs_costs_a_query_no_more_than_its_time(
    mongo_server: MongoServer, proxy: FaultyProxy, name: str, tmp_path: Path
) -> None:
    await fill(mongo_server, name, 10)
    with daemon("evaluator", proxy.url, tmp_path, "--limits-query-seconds", "1", database=name) as evaluator:
        assert (await ask(evaluator, "sum(small(v))")).status == 200
        proxy.set(Mode.HANG)
        for of, expression in (("metric", "sum(test(v))"), ("event", "test(v)")):
            began = time.monotonic()
            answer = await ask(evaluator, expression, of=of)
            assert (answer.status, "more than 1 s" in answer.json["error"]) == (503, True)
            assert int(answer.headers["retry-after"]) >= 1
            assert time.monotonic() - began < 20  # the driver's own patience is 45 s
        proxy.set(Mode.PASS)
        while (answer := await ask(evaluator, "sum(test(v))")).status == 503:
            continue
        assert answer.json[0]["value"] == sum(range(10))


@SLOW
async def test_a_query_over_many_events_is_given_up_and_others_are_served(
    mongo_server: MongoServer, name: str, tmp_path: Path
) -> None:
    await fill(mongo_server, name, 20_000)
    flags = ("--limits-query-seconds", "0.3")
    with daemon("evaluator", mongo_server.url, tmp_path, *flags, database=name) as evaluator:
        dear = " + ".join(f"distinct(test(v).ne(v, -{number}))" for number in range(1, 30))
        answer = await ask(evaluator, dear)
        assert (answer.status, "more than 0.3 s" in answer.json["error"]) == (503, True)
        while (answer := await ask(evaluator, "sum(small(v))")).status == 503:
            continue  # 0.3 s are little on a machine that does much else
        assert answer.json[0]["value"] == 1
