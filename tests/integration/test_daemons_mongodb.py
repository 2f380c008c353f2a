"""Both daemons on a MongoDB, as processes: the known metrics, a warm query's finds, and every client."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pymongo import AsyncMongoClient

from cube.client import DatagramEmitter, Emitter, Evaluator, SocketEmitter
from cube.store import mongo
from tests.daemon import daemon
from tests.end_to_end.serving import cube, wait_until
from tests.evaluator_running import DAY, bench_on, event, known_events
from tests.integration.test_evaluator_http import KNOWN, START, STOP
from tests.mongo_server import MongoServer, mongo_server
from tests.unit.mongo_support import Commands, sockets_dropped

__all__ = ["mongo_server", "sockets_dropped"]

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # see sockets_dropped

MINUTE = 60_000


@dataclass(frozen=True, slots=True)
class Daemons:
    """A running collector and evaluator on one database."""

    collector: str
    udp: str
    evaluator: str

    def count(self, type: str) -> float | None:
        with Evaluator(self.evaluator) as evaluator:
            (metric,) = evaluator.metrics(f"count({type})", step=86_400_000, start=DAY, stop=DAY + 1)
        return metric.value


@pytest.fixture(scope="module")
def daemons(mongo_server: MongoServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemons]:
    """One pair for the whole module: every test has types of its own."""
    directory, name = tmp_path_factory.mktemp("daemons"), mongo_server.database()
    with (
        daemon("collector", mongo_server.url, directory, database=name) as collector,
        daemon("evaluator", mongo_server.url, directory, database=name) as evaluator,
    ):
        yield Daemons(collector.http, str(collector.udp), evaluator.http)
    mongo_server.forget(name)


def raw(type: str, id: int, data: Any = None) -> dict[str, Any]:
    return {"type": type, "time": DAY + id, "id": id, "data": data}


def test_the_known_metrics_cold_and_warm(daemons: Daemons) -> None:
    with Emitter(daemons.collector) as emitter:
        emitter.send({"type": "test", "time": each.time, "data": each.data} for each in known_events())
    with Evaluator(daemons.evaluator) as evaluator:
        for expression, step, expected in [*KNOWN, *KNOWN]:
            found = evaluator.metrics(expression, step=int(float(step)), start=START, stop=STOP)
            assert [metric.value for metric in found] == expected, expression


async def test_events_of_a_socket_are_counted(daemons: Daemons) -> None:
    async with SocketEmitter(daemons.collector) as emitter:
        assert await emitter.send(raw("by_socket", id) for id in range(700)) == 700
        assert daemons.count("by_socket") == 700
        assert await emitter.send([raw("by_socket", 0), raw("by_socket", 700)]) == 2
        assert daemons.count("by_socket") == 701


def test_events_of_datagrams_are_counted(daemons: Daemons) -> None:
    host, _, port = daemons.udp.rpartition(":")
    with DatagramEmitter(host, int(port)) as emitter:
        assert emitter.send(raw("by_datagram", id) for id in range(20)) == 20
    wait_until(lambda: daemons.count("by_datagram") == 20, "the datagrams to be stored")


def test_the_command_stores_and_asks(daemons: Daemons, tmp_path: Path) -> None:
    lines = "".join(json.dumps(raw("by_command", id, {"v": id})) + "\n" for id in range(3))
    asked = ("--start", str(DAY), "--stop", str(DAY + MINUTE), "--evaluator", daemons.evaluator)
    put = cube("put", "-", "--collector", daemons.collector, cwd=tmp_path, text=lines)
    assert (put.stdout, put.stderr) == ("3 events stored.\n", "")
    events = cube("event", "by_command(v).gt(v,1)", *asked, cwd=tmp_path)
    assert json.loads(events.stdout) == {"id": 2, "time": "2011-07-18T00:00:00.002Z", "data": {"v": 2}}
    metrics = cube("metric", "sum(by_command(v))", "--step", str(MINUTE), *asked, cwd=tmp_path)
    assert json.loads(metrics.stdout) == {"time": "2011-07-18T00:00:00.000Z", "value": 3}
    types = cube("types", "--evaluator", daemons.evaluator, cwd=tmp_path)
    assert "by_command" in [json.loads(line)["type"] for line in types.stdout.splitlines()]


async def test_a_warm_query_sends_two_finds_and_reads_no_event(mongo_server: MongoServer) -> None:
    commands, name = Commands(), mongo_server.database()
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(mongo_server.url, event_listeners=[commands])
    async with client, bench_on(await mongo.open_store(mongo_server.url, name, client=client)) as made:
        await made.save(*(event(DAY + minute * MINUTE, {"v": minute}) for minute in range(0, 1440, 7)))
        span = (MINUTE, DAY, DAY + 1440 * MINUTE)
        cold = await made.values("sum(test(v))", *span)
        commands.sent.clear()
        assert await made.values("sum(test(v))", *span) == cold
        assert [sent[:2] for sent in commands.sent] == [("find", "test_revisions"), ("find", "test_metrics")]
    mongo_server.forget(name)
