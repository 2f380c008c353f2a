"""Retention by a running collector, asked about by a running evaluator: right values or none, forever."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from tornado.websocket import websocket_connect

from cube.client import Emitter, Evaluator
from cube.model import instant
from cube.model.tier import TIERS
from tests.daemon import Daemon, daemon
from tests.mongo_server import mongo_server

__all__ = ["mongo_server"]

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
WAIT_SECONDS = 30
RETENTION = [
    *("--retention-event-days", "2"),
    *("--retention-lag-seconds", "0.2"),
    *("--retention-period-seconds", "0.1"),
]
EXPRESSIONS = ["sum(test(v))", "median(test(v))", "distinct(test(v))", "sum(test(v)).group(g)"]

Answers = dict[tuple[str, int], dict[tuple[int, Any], float | None]]


@dataclass
class Place:
    """A store, and the daemons that run on it."""

    url: str
    database: str
    directory: Path
    running: ExitStack
    now: int = field(default_factory=lambda: int(time.time() * 1000))

    def collector(self, *flags: str) -> Daemon:
        return self.running.enter_context(
            daemon("collector", self.url, self.directory, *flags, database=self.database)
        )

    def evaluator(self) -> Daemon:
        return self.running.enter_context(
            daemon("evaluator", self.url, self.directory, database=self.database)
        )

    @property
    def old(self) -> int:
        """A midnight that is older than the events may be."""
        return (self.now - 5 * DAY) // DAY * DAY


@pytest.fixture(params=["sqlite", "mongo"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    with ExitStack() as running:
        if request.param == "mongo":
            server = request.getfixturevalue("mongo_server")
            database = server.database()
            running.callback(server.forget, database)
            yield Place(server.url, database, tmp_path, running)
        else:
            yield Place(f"sqlite:{tmp_path}", "test", tmp_path, running)


def event(time: int, number: int, type: str = "test") -> dict[str, Any]:
    data = {"v": number, "g": "even" if number % 2 == 0 else "odd"}
    return {"type": type, "time": time, "id": f"{type}-{number}", "data": data}


def ask(evaluator: Evaluator, old: int) -> Answers:
    """Ask everything at every tier, of what will expire."""
    answers: Answers = {}
    for expression in EXPRESSIONS:
        for step in TIERS:
            count = min(20, max(1, 2 * HOUR // step))
            rows = evaluator.metrics(expression, step=step, start=old, stop=old + count * step)
            answers[expression, step] = {(row.time, row.group): row.value for row in rows}
    return answers


def until_deleted(evaluator: Evaluator, type: str, before: int) -> None:
    """Return when no event before a time is left."""
    deadline = time.monotonic() + WAIT_SECONDS
    while evaluator.events(type, start=before - 30 * DAY, stop=before):
        assert time.monotonic() < deadline, "the events are still there"
        time.sleep(0.05)


def test_what_was_asked_before_is_right_ever_after_and_the_rest_has_no_value(place: Place) -> None:
    old = place.old
    first = place.collector()
    with Emitter(first.http) as emitter, Evaluator(place.evaluator().http) as evaluator:
        emitter.send([event(old + number * 7 * MINUTE, number) for number in range(30)])
        emitter.send([event(old, number, "gone") for number in range(3)])
        emitter.send([event(place.now - HOUR, 1000)])
        before = ask(evaluator, old)

        place.collector(*RETENTION)
        until_deleted(evaluator, "test", old + DAY)
        until_deleted(evaluator, "gone", old + DAY)

        for (expression, step), told in ask(evaluator, old).items():
            asked = before[expression, step]
            assert all(value in (None, asked.get(row, 0)) for row, value in told.items()), (expression, step)
            if TIERS[step].cached:
                # A bucket without events (0, no number of its own) may answer nothing; all others answer.
                lost = [row for row, value in asked.items() if value and told.get(row) != value]
                assert lost == [], (expression, step)
        assert [
            row.value for row in evaluator.metrics("sum(gone)", step=HOUR, start=old, stop=old + HOUR)
        ] == [None]
        live = evaluator.metrics("sum(test)", step=HOUR, start=place.now - HOUR, stop=place.now)
        assert sum(row.value or 0 for row in live) == 1


def test_a_late_event_is_refused_and_counted_and_a_replaced_one_counts_where_it_is_now(place: Place) -> None:
    old = place.old
    first = place.collector()
    with Emitter(first.http) as emitter, Evaluator(place.evaluator().http) as evaluator:
        emitter.send([event(old, 1), event(old + MINUTE, 2), event(place.now - HOUR, 3)])
        asked = {"step": MINUTE, "start": old, "stop": old + 2 * MINUTE}
        assert [row.value for row in evaluator.metrics("sum(test(v))", **asked)] == [1, 2]

        retaining = place.collector(*RETENTION)
        until_deleted(evaluator, "test", old + DAY)
        status, told = post(first, [event(place.now, 4), event(old, 5)])
        assert (status, told["index"], told["id"]) == (400, 1, "test-5")
        assert "have expired" in told["error"]
        assert figure(first, 'cube_events_failed_total{error="InvalidEvent"}') == 2
        assert figure(retaining, "cube_expired_events_total") == 2

        emitter.send([event(place.now - HOUR, 1)])
        assert [row.value for row in evaluator.metrics("sum(test(v))", **asked)] == [1, 2]
        live = evaluator.metrics("sum(test(v))", step=DAY, start=place.now - DAY, stop=place.now)
        assert sum(row.value or 0 for row in live) == 1 + 3


async def test_a_stream_goes_on_while_what_it_began_with_expires(place: Place) -> None:
    collector, evaluator = place.collector(), place.evaluator()
    post(collector, [event(place.old, 1), event(place.now - 10 * MINUTE, 2)])
    url = evaluator.http.replace("http", "ws")
    stream = await websocket_connect(f"{url}/1.0/event/get")
    metric = await websocket_connect(f"{url}/1.0/metric/get")
    start = place.old - DAY
    await stream.write_message(json.dumps({"expression": "test(v)", "start": start, "delay": 0}))
    await metric.write_message(json.dumps({"expression": "sum(test(v))", "step": DAY, "start": start}))
    assert [(await heard(stream))["data"]["v"] for _ in range(2)] == [1, 2]
    rows = [await heard(metric)]
    while "live" not in rows[-1]:
        rows.append(await heard(metric))
    assert sum(row.get("value") or 0 for row in rows) == 3

    place.collector(*RETENTION)
    with Evaluator(evaluator.http) as asking:
        until_deleted(asking, "test", place.old + DAY)
    post(collector, [event(place.now - 10 * MINUTE, 4)])

    assert (await heard(stream))["data"]["v"] == 4
    while "value" not in (told := await heard(metric)):  # days that were empty have no value once expired
        assert told["time"] < instant.format(place.now)
    assert told["value"] == 2 + 4
    for client in (stream, metric):
        client.close()
        while await client.read_message() is not None:
            continue


async def heard(client: Any) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(await asyncio.wait_for(client.read_message(), WAIT_SECONDS))
    return message


def post(collector: Daemon, events: list[dict[str, Any]]) -> tuple[int, Any]:
    try:
        with urlopen(Request(f"{collector.http}/1.0/event", json.dumps(events).encode())) as answer:
            return answer.status, json.load(answer)
    except HTTPError as error:
        with error:
            return error.code, json.load(error)


def figure(collector: Daemon, name: str) -> float:
    with urlopen(f"{collector.http}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(name + " "))
