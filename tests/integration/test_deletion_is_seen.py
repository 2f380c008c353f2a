"""Once events are deleted, nothing that an evaluator answers counts or shows them, whatever it keeps."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from cube.expression import parse_event
from cube.model.tier import EVER
from cube.store import mongo
from cube.store.deletion import Erasure
from tests.evaluator_running import DAY, Running, Start, event, running, running_on, start
from tests.mongo_server import MongoServer, mongo_server
from tests.tools import SLOW
from tests.web_client import ask

__all__ = ["mongo_server", "start"]

MINUTE, HOUR = 60_000, 3_600_000
SPAN = {"start": DAY - HOUR, "stop": DAY}
STEPS = ("10s", "15m", "1h")


async def get(made: Running, path: str, **parameters: Any) -> Any:
    answer = await ask(made.port, "GET", f"/1.0/{path}?{urlencode(parameters)}")
    assert answer.status == 200, answer.body
    return answer.json


async def erase(made: Running, text: str) -> int:
    """Delete as a collector does, on the evaluator's own store."""
    erasure = Erasure(made.store, parse_event(text), EVER, "somebody", lambda: DAY)
    await erasure.begin()
    done = await erasure.delete(EVER.start)
    assert done.following is None
    return done.deleted


async def answers(made: Running) -> Mapping[str, Any]:
    """Whatever shows who the users are, at several steps and places."""
    groups = {
        step: [
            (row.get("group"), row.get("value"))
            for row in await get(made, "metric", expression="sum(test).group(user)", step=step, **SPAN)
            if row.get("value")
        ]
        for step in STEPS
    }
    counted = [
        row.get("value")
        for row in await get(made, "metric", expression="distinct(test(user))", step="1h", **SPAN)
    ]
    events = [row["data"]["user"] for row in await get(made, "event", expression="test(user)", **SPAN)]
    values = [row["value"] for row in (await get(made, "values", type="test", field="user"))["values"]]
    fields = [row["examples"] for row in (await get(made, "fields", type="test"))["fields"]]
    text = 'sum(test.eq(user, ""))'
    found = await get(made, "expression", expression=text, at=text.index('""') + 1)
    completed = [item["text"].strip('"') for item in found["completions"]["items"]]
    return {
        "groups": {step: sorted({group for group, _ in rows}) for step, rows in groups.items()},
        "totals": {step: sum(value for _, value in rows) for step, rows in groups.items()},
        "distinct": counted,
        "events": sorted(set(events)),
        "values": sorted(values),
        "fields": sorted(fields[0]),
        "completed": sorted(completed),
    }


def expected(count: int, *users: str) -> Mapping[str, Any]:
    return {
        "groups": {step: [*users] for step in STEPS},
        "totals": dict.fromkeys(STEPS, count),
        "distinct": [len(users)],
        "events": [*users],
        "values": [*users],
        "fields": [*users],
        "completed": [*users],
    }


async def test_no_answer_shows_what_is_deleted_though_all_was_asked_before(tmp_path: Path) -> None:
    async with running(tmp_path) as made:
        await check_answers(made)


@SLOW
async def test_no_answer_on_a_mongodb_shows_it_either(mongo_server: MongoServer) -> None:
    name = mongo_server.database()
    async with running_on(await mongo.open_store(mongo_server.url, name)) as made:
        await check_answers(made)
    mongo_server.forget(name)


async def check_answers(made: Running) -> None:
    """Ask, delete, and ask again."""
    users = ["ann", "bob", "cid", "ann"]
    times = [DAY - HOUR + number * 20_000 for number in range(20)]
    await made.save(*(event(time, {"user": users[place % 4]}) for place, time in enumerate(times)))
    assert await answers(made) == expected(20, "ann", "bob", "cid")

    assert await erase(made, 'test.eq(user, "ann")') == 10

    assert await answers(made) == expected(10, "bob", "cid")


async def test_live_metrics_and_event_streams_follow_a_deletion(start: Start) -> None:
    async with start() as made:
        await made.save(event(DAY - 30_000, {"user": "ann"}), event(DAY - 30_000, {"user": "bob"}))
        metrics = await made.socket("/1.0/metric/get")
        await metrics.ask(expression="sum(test)", step=MINUTE, start=DAY - MINUTE, id=1)
        values = []
        while not values or "live" not in values[-1]:
            values.append(await metrics.next())
        assert [row["value"] for row in values if row.get("value")] == [2]
        events = await made.socket("/1.0/event/get")
        await events.ask(expression="test(user)", start=DAY - MINUTE, delay=0)
        assert sorted(row["data"]["user"] for row in await events.some(2)) == ["ann", "bob"]

        await erase(made, 'test.eq(user, "ann")')
        changed = await metrics.next()
        assert (changed["time"], changed["value"]) == ("2011-07-17T23:59:00.000Z", 1)

        await made.save(event(DAY - 29_000, {"user": "new"}))
        assert (await events.next())["data"]["user"] == "new"
