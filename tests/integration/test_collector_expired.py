"""What retention would delete is refused when it comes, at every way into a collector, and said."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tornado.websocket import websocket_connect

from cube.settings import CollectorSettings, RetentionSettings
from tests.collector_stage import NOW, Stage, staged
from tests.web_client import ask

DAY = 86_400_000
OLD = NOW - 2 * DAY - 60_000


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    settings = replace(CollectorSettings(), retention=RetentionSettings(event_days=2))
    async with staged(tmp_path, settings) as made:
        yield made


def at(id: int, time: int) -> dict[str, Any]:
    return {"type": "a", "id": id, "time": time}


async def test_a_batch_with_an_expired_event_is_refused_though_its_type_is_not_there(stage: Stage) -> None:
    events = [at(1, NOW), at(2, OLD)]
    answer = await ask(stage.port, "POST", "/1.0/event", json.dumps(events).encode())
    assert answer.status == 400
    told = answer.json
    assert (told["index"], told["id"], told["field"], told["reason"]) == (1, 2, "time", "expired")
    assert "events before 2011-07-17T00:00:00.000Z have expired" in told["error"]
    assert await stage.types() == []
    assert stage.figure("cube_events_refused_total", reason="expired") == 2


async def test_what_is_kept_is_stored(stage: Stage) -> None:
    events = [at(1, NOW - 2 * DAY), {"type": "a", "id": 2}]
    assert (await ask(stage.port, "POST", "/1.0/event", json.dumps(events).encode())).status == 200
    assert [id for _, id, _ in await stage.stored("a")] == [1, 2]


async def test_a_socket_is_told_and_lives_on(stage: Stage) -> None:
    client = await websocket_connect(f"ws://127.0.0.1:{stage.port}/1.0/event/put")
    for event in (at(1, OLD), at(2, NOW)):
        await client.write_message(json.dumps({"events": [event], "ack": event["id"]}))
    answers = [json.loads(str(await asyncio.wait_for(client.read_message(), 10))) for _ in range(2)]
    client.close()
    by_ack = {answer["ack"]: answer for answer in answers}
    assert (by_ack[1]["reason"], by_ack[2]) == ("expired", {"ack": 2})


async def test_of_a_datagram_what_is_kept_is_stored_and_the_rest_counted(stage: Stage) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        own.sendto(json.dumps([at(1, OLD), at(2, NOW)]).encode(), stage.udp)
    await stage.until_stored("a", 1)
    assert [id for _, id, _ in await stage.stored("a")] == [2]
    assert stage.figure("cube_udp_dropped_total", reason="invalid") == 1


CLOUDEVENT = {"specversion": "1.0", "id": "1", "source": "/x", "type": "a", "time": "2011-07-16T00:00:00Z"}
OTLP = {
    "resourceLogs": [
        {"scopeLogs": [{"logRecords": [{"timeUnixNano": f"{OLD}000000", "body": {"stringValue": "x"}}]}]}
    ]
}
COLLECTD = {
    "values": [1],
    "dstypes": ["gauge"],
    "dsnames": ["value"],
    "time": OLD / 1000,
    "interval": 10,
    "host": "h",
    "plugin": "load",
    "plugin_instance": "",
    "type": "load",
    "type_instance": "",
}
SEGMENT = {"event": "bought", "userId": "u", "messageId": "m", "timestamp": "2011-07-16T00:00:00Z"}


@pytest.mark.parametrize(
    ("path", "body", "kind"),
    [
        ("/cloudevents", CLOUDEVENT, "application/cloudevents+json"),
        ("/v1/logs", OTLP, "application/json"),
        ("/collectd", [COLLECTD], "application/json"),
        ("/v1/track", SEGMENT, "application/json"),
    ],
)
async def test_a_dialect_makes_a_dead_letter_of_what_has_expired(
    stage: Stage, path: str, body: Any, kind: str
) -> None:
    answer = await ask(stage.port, "POST", path, json.dumps(body).encode(), {"Content-Type": kind})
    assert answer.status < 500
    assert await stage.types() == ["cube_rejected"]
    [(_, _, letter)] = await stage.stored("cube_rejected")
    assert "events before 2011-07-17T00:00:00.000Z have expired" in letter["reason"]
    assert stage.figure("cube_events_refused_total", reason="expired") == 1
