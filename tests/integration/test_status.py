"""``GET /1.0/status`` over what real daemons tell of themselves, on both stores."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from collector.ingest.tally import IntakeTally
from cube.daemon import now
from cube.errors import Unavailable
from cube.model.environment import DEFAULT, Environment, Key, Scope, digest, make_key
from cube.settings import EvaluatorSettings
from cube.store.sqlite import open_store
from cube.store.status import StatusReporter
from cube.web import Authenticator, KeyRing
from evaluator.app import EvaluatorDaemon
from tests.authenticators import key
from tests.daemon import Daemon, daemon
from tests.evaluator_running import DAY, event, running
from tests.mongo_server import mongo_server
from tests.tools import LONG, SLOW
from tests.web_client import ask

__all__ = ["mongo_server"]

WAIT_SECONDS = 30.0
FLAGS = ("--status-seconds", "0.2")


@pytest.fixture(params=["sqlite", pytest.param("mongo", marks=SLOW)])
def start(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Daemon]]:
    """Starts daemons on one store that tell of themselves every 0.2 s."""
    url, database = f"sqlite:{tmp_path}", "test"
    with ExitStack() as stack:
        if request.param == "mongo":
            server = request.getfixturevalue("mongo_server")
            url, database = server.url, server.database()
            stack.callback(server.forget, database)

        def one(name: str, *flags: str) -> Daemon:
            return stack.enter_context(daemon(name, url, tmp_path, *FLAGS, *flags, database=database))

        yield one


async def status(port: int, key: str | None = None) -> dict[str, Any]:
    headers = {} if key is None else {"X-Api-Key": key}
    answer = await ask(port, "GET", "/1.0/status", headers=headers)
    assert answer.status == 200, answer.body
    found: dict[str, Any] = answer.json
    return found


async def until(evaluator: Daemon, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Return the first status that a condition holds for."""
    async with asyncio.timeout(WAIT_SECONDS):
        while not holds(found := await status(evaluator.port)):  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.05)
    return found


def living(found: dict[str, Any]) -> dict[int, bool]:
    return {each["pid"]: each["live"] for each in found["daemons"]}


async def post(collector: Daemon, *events: dict[str, Any]) -> int:
    return (await ask(collector.port, "POST", "/1.0/event", json.dumps(events).encode())).status


async def test_daemons_tell_what_they_do_and_are_missed_once_they_are_killed(
    start: Callable[..., Daemon],
) -> None:
    evaluator, killed, stopped = start("evaluator"), start("collector"), start("collector")
    secret = make_key()
    assert await post(killed, {"type": "a"}, {"type": "b"}, {"type": "a"}) == 200
    assert await post(stopped, {"type": "a"}, {"type": "b", "time": f"<b>{secret}</b>"}) == 400
    path = "/1.0/metric?expression=count(a(v).gt(v,1))&step=1000&start=0&stop=5000"
    assert (await ask(evaluator.port, "GET", path)).status == 200
    found = await until(evaluator, lambda found: bool(found["types"] and found["refusals"] and found["slow"]))
    assert {*living(found)} == {each.process.pid for each in (evaluator, killed, stopped)}
    one = next(each for each in found["daemons"] if each["pid"] == killed.process.pid)
    assert one["memory_bytes"] > 10**6
    assert {"cube", "python"} < set(one["versions"])
    assert one["addresses"]["http"] == killed.http
    assert [each["type"] for each in found["types"]] == ["a", "b"]

    (refused,) = found["refusals"]
    (example,) = refused["examples"]
    assert (refused["reason"], refused["events"], example["type"]) == ("invalid", 2, "b")
    assert "<b>[removed]</b>" in example["message"]
    assert secret not in json.dumps(found)
    (slow,) = found["slow"]
    assert (slow["expression"], slow["step"]) == ("count(a(v).gt(v,1))", 1000)
    assert (slow["start"], slow["stop"]) == ("1970-01-01T00:00:00.000Z", "1970-01-01T00:00:05.000Z")

    killed.process.kill()
    stopped.process.send_signal(signal.SIGTERM)
    stopped.process.wait(WAIT_SECONDS)
    found = await until(evaluator, lambda found: living(found).get(killed.process.pid) is False)
    assert stopped.process.pid not in living(found)
    await until(evaluator, lambda found: living(found)[evaluator.process.pid] is True)


@pytest.mark.skipif(not LONG, reason="three processes more")
async def test_each_process_of_a_port_tells_of_itself(start: Callable[..., Daemon]) -> None:
    evaluator, collector = start("evaluator"), start("collector", "--processes", "2")
    found = await until(evaluator, lambda found: len(found["daemons"]) == 3)
    workers = [each for each in found["daemons"] if each["kind"] == "collector"]
    assert {each["addresses"]["http"] for each in workers} == {collector.http}
    assert len({each["pid"] for each in workers}) == 2


async def test_a_key_sees_no_more_of_it_than_it_may(tmp_path: Path) -> None:
    secrets = [make_key(), make_key()]
    keys = [
        Key(name, digest(secret), DEFAULT, frozenset({Scope.READ}), types)
        for name, secret, types in zip(("all", "some"), secrets, (None, frozenset({"a"})), strict=True)
    ]
    access = Authenticator((Environment(DEFAULT, "test"),), KeyRing(keys))
    moment = now()
    async with running(tmp_path, access=access, now=moment) as made:
        tally = IntakeTally(lambda: moment, str)
        tally.arrivals.add("a", 1)
        tally.arrivals.add("b", 1)
        reporter = StatusReporter("collector", {DEFAULT: made.store}, {}, lambda _: tally.told() | WAITING, 5)
        await reporter.tell()
        assert (await ask(made.port, "GET", "/1.0/status")).status == 401
        everything, some = [await status(made.port, secret) for secret in secrets]
    assert [each["type"] for each in everything["types"]] == ["a", "b"]
    assert [each["type"] for each in some["types"]] == ["a"]
    assert [each["live"] for each in some["daemons"]] == [True]
    assert "pid" in everything["daemons"][0]
    assert "pid" not in some["daemons"][0]


async def test_an_environment_is_told_nothing_of_what_another_was_asked(tmp_path: Path) -> None:
    stores = {name: await open_store(tmp_path, name) for name in ("dev", "prod")}
    keys = [replace(key(name, Scope.READ), environment=name) for name in stores]
    access = Authenticator([Environment(name, name) for name in stores], KeyRing(keys))
    settings = EvaluatorSettings(port=0)
    evaluator = EvaluatorDaemon(stores, access, settings, CollectorRegistry(), lambda: DAY)
    try:
        await stores["prod"].events.save("test", [event(DAY - 1000)])
        port = int(evaluator.addresses["http"].rpartition(":")[2])
        path = f"/1.0/metric?expression=sum(test)&step=1000&start={DAY - 5000}&stop={DAY}"
        assert (await ask(port, "GET", path, headers={"X-Api-Key": "prod"})).status == 200
        told = {name: evaluator.told(name) for name in stores}
    finally:
        await evaluator.stop(5)
        for store in stores.values():
            await store.close()
    for what in ("asked", "buckets"):
        assert told["prod"][what]["total"] > 0
        assert told["dev"][what]["total"] == 0


WAITING = {"waiting": {"events": 0, "bytes": 0}}


class Refusing:
    """Reports of a store that does not answer, until it does."""

    def __init__(self) -> None:
        self.answers = False
        self.kept: dict[str, str] = {}

    @property
    def reports(self) -> Refusing:
        return self

    async def versions(self) -> dict[str, str]:
        return {}

    async def put(self, process: str, content: str) -> None:
        if not self.answers:
            raise Unavailable("The store is away.")
        self.kept[process] = content

    async def remove(self, process: str) -> None:
        del self.kept[process]


async def test_a_store_that_is_away_is_said_once_and_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    store: Any = Refusing()
    reporter = StatusReporter("collector", {"prod": store}, {}, lambda _: WAITING, 0.001)
    async with asyncio.timeout(WAIT_SECONDS), reporter.running():
        while len(caplog.records) < 1:  # noqa: ASYNC110 - nothing tells of a try
            await asyncio.sleep(0.001)
        await reporter.tell()
        store.answers = True
        while not store.kept:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        await reporter.remove(WAIT_SECONDS)
    assert store.kept == {}
    assert [record.getMessage() for record in caplog.records] == [
        "cannot tell the status of this process to the store of prod: The store is away."
    ]
