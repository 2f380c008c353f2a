"""An evaluator whose MongoDB is killed in the middle of its work, and comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterator
from typing import Any, TypeVar
from urllib.parse import urlencode

import pytest
import pytest_asyncio

from cube.store import mongo
from tests.evaluator_running import DAY, Running, event, running_on
from tests.mongo_server import MongoServer
from tests.unit.mongo_support import sockets_dropped
from tests.web_client import Answer, ask

__all__ = ["sockets_dropped"]

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # see sockets_dropped

T = TypeVar("T")
EVENTS = 6_000
"""Two blocks of a scan."""
LAST = "2011-07-18T00:00:05.999Z"
METRIC: dict[str, Any] = {"expression": "sum(test)", "step": 60_000, "start": DAY, "stop": DAY + 60_000}
FOUND: dict[str, Any] = {"expression": "test.gt(v,5998)", "start": DAY, "stop": DAY + 60_000}
RIGHT = {"time": "2011-07-18T00:00:00.000Z", "value": EVENTS}


class Failing:
    """An evaluator, and the server that it needs."""

    def __init__(self, server: MongoServer, evaluator: Running) -> None:
        self.server = server
        self.evaluator = evaluator

    async def get(self, path: str, parameters: dict[str, Any]) -> Answer:
        return await ask(self.evaluator.port, "GET", f"{path}?{urlencode(parameters)}")

    async def killed_in_a_scan(self, asking: Awaitable[T]) -> T:
        """Kill the server once the first block of the question's scan has been read; return its answer."""
        seen = self.evaluator.seen
        seen.shut_after = 1
        seen.shut.clear()
        task = asyncio.ensure_future(asking)
        await asyncio.wait_for(seen.shut.wait(), 20)
        self.server.kill()
        seen.gate.set()
        return await task


@pytest.fixture(scope="module")
def server() -> Iterator[MongoServer]:
    """One for all tests; those that store more have events of their own."""
    with MongoServer() as server:
        asyncio.run(fill(server))
        yield server


async def fill(server: MongoServer) -> None:
    store = await mongo.open_store(server.url, "test")
    await store.events.save("test", [event(DAY + number, {"v": number}) for number in range(EVENTS)])
    await store.close()


@pytest_asyncio.fixture
async def failing(server: MongoServer) -> AsyncIterator[Failing]:
    store = await mongo.open_store(f"{server.url}/?serverSelectionTimeoutMS=2500", "test")
    await store._layout.metrics("test").delete_many({})
    async with running_on(store, now=DAY + 60_000) as evaluator:
        yield Failing(server, evaluator)


async def test_over_http_it_is_a_503_and_the_next_question_is_answered(failing: Failing) -> None:
    broken = await failing.killed_in_a_scan(failing.get("/1.0/metric", METRIC))
    others = (("/1.0/metric", METRIC), ("/1.0/event", FOUND), ("/1.0/types", {}), ("/readyz", {}))
    for answer in (broken, *await asyncio.gather(*(failing.get(*each) for each in others))):
        assert answer.status == 503
        assert int(answer.headers["retry-after"]) >= 1
        assert answer.json["error"].startswith("MongoDB does not answer")
    failing.server.start()
    assert (await failing.get("/1.0/metric", METRIC)).json == [RIGHT]
    assert [row["time"] for row in (await failing.get("/1.0/event", FOUND)).json] == [LAST]
    assert (await failing.get("/readyz", {})).status == 200


@pytest.mark.parametrize(
    ("path", "question", "answers"),
    [
        ("/1.0/metric/get", METRIC, [{**RIGHT, "id": 1}, {"time": "2011-07-18T00:01:00.000Z", "id": 1}]),
        ("/1.0/event/get", FOUND, [{"time": LAST, "id": 1}, {"end": True, "id": 1}]),
    ],
)
async def test_over_a_websocket_the_request_fails_and_the_socket_lives_on(
    failing: Failing, path: str, question: dict[str, Any], answers: list[Any]
) -> None:
    socket = await failing.evaluator.socket(path)
    await socket.ask(id=1, **question)
    failed = await failing.killed_in_a_scan(socket.next())
    assert failed["id"] == 1
    assert failed["error"].startswith("MongoDB does not answer")
    assert failed["retry_after"] >= 1
    failing.server.start()
    await socket.ask(id=1, **question)
    assert await socket.some(2) == answers


async def test_streams_and_live_metrics_wait_for_it_and_miss_nothing(failing: Failing) -> None:
    evaluator = failing.evaluator
    events = await evaluator.socket("/1.0/event/get")
    await events.ask(expression="test(v).gt(v,5998)", start=DAY, delay=0)
    assert (await events.next())["data"] == {"v": 5_999}
    metrics = await evaluator.socket("/1.0/metric/get")
    await metrics.ask(expression="sum(test)", step=60_000, start=DAY)
    assert (await metrics.some(3))[2] == {"live": True}

    await evaluator.save(event(DAY + 59_000, {"v": 20_000}))
    failing.server.kill()
    failing.server.start()
    await evaluator.save(event(DAY + 59_500, {"v": 30_000}))

    assert {(await events.next())["data"]["v"] for _ in range(2)} == {20_000, 30_000}
    while (await metrics.next())["value"] != EVENTS + 2:
        continue
