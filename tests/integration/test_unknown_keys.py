"""Nothing is accepted and then emptied: keys that no event has are refused, or counted and told."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

from tests.collector_stage import Stage, staged
from tests.web_client import ask

FOREIGN: dict[str, tuple[dict[str, Any], str]] = {
    "Sentry": (
        {"type": "transaction", "event_id": "9f", "timestamp": 1.7e9, "spans": []},
        '"event_id", "timestamp"',
    ),
    "Segment": (
        {"type": "track", "event": "Item Purchased", "properties": {"price": 9}},
        '"event", "properties"',
    ),
    "Slack": (
        {"type": "event_callback", "team_id": "T1", "event": {"type": "message"}},
        '"team_id", "event"',
    ),
    "Home Assistant": (
        {"type": "state_changed", "time_fired": "2026", "origin": "LOCAL"},
        '"time_fired", "origin"',
    ),
    "a misspelling": ({"type": "seen", "time": 1_700_000_000_000, "Data": {"n": 1}}, '"Data"'),
}


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with staged(tmp_path) as made:
        yield made


@pytest.mark.parametrize("sender", FOREIGN)
async def test_an_event_that_would_be_stored_as_nothing_is_refused_by_its_keys(
    stage: Stage, sender: str
) -> None:
    event, told = FOREIGN[sender]
    answer = await ask(stage.port, "POST", "/1.0/event", json.dumps([{"type": "seen"}, event]).encode())
    assert (answer.status, answer.json["index"], answer.json["field"]) == (400, 1, "data")
    assert told in answer.json["error"]
    assert 'put what is to be stored into "data"' in answer.json["error"]
    assert await stage.types() == []


async def test_what_a_key_is_probably_meant_for_is_told_in_the_refusal(stage: Stage) -> None:
    answer = await ask(stage.port, "POST", "/1.0/event", b'{"type": "seen", "timestamp": 1, "x": 2}')
    assert answer.json["error"].endswith('Did you mean "time" by "timestamp"?')


async def test_an_event_without_data_and_without_other_keys_is_one(stage: Stage) -> None:
    answer = await ask(
        stage.port, "POST", "/1.0/event", b'[{"type":"seen","id":1},{"type":"seen","data":null,"x":1}]'
    )
    assert (answer.status, answer.body) == (200, b"{}")
    assert len(await stage.stored("seen")) == 2


@pytest.mark.parametrize(
    ("key", "meant"),
    [("timestamp", "time"), ("Time", "time"), ("@timestamp", "time"), ("Data", "data"), ("_id", "id")],
)
async def test_beside_data_a_near_miss_is_stored_and_told(stage: Stage, key: str, meant: str) -> None:
    events = [{"type": "seen", key: 1, "data": {"n": n}} for n in range(3)]
    answer = await ask(stage.port, "POST", "/1.0/event", json.dumps(events).encode())
    assert answer.status == 200
    assert answer.json == {
        "warnings": [f'Got the unknown key "{key}" in 3 events, which is not stored; did you mean "{meant}"?']
    }
    assert len(await stage.stored("seen")) == 3
    assert stage.figure("cube_events_unknown_keys_total", meant=meant) == 3


async def test_other_keys_beside_data_are_counted_and_answered_as_always(stage: Stage) -> None:
    answer = await ask(
        stage.port, "POST", "/1.0/event", b'{"type": "seen", "tags": [], "user": 1, "data": 1}'
    )
    assert (answer.status, answer.body) == (200, b"{}")
    assert stage.figure("cube_events_unknown_keys_total", meant="none") == 2


async def test_a_socket_tells_them_with_its_acknowledgement_and_else_is_silent(stage: Stage) -> None:
    client = await websocket_connect(HTTPRequest(f"ws://127.0.0.1:{stage.port}/1.0/event/put"))
    try:
        near = {"type": "seen", "Time": 1, "data": 1}
        for message in (
            near,
            {"events": [near], "ack": 1},
            {"type": "seen", "a": 1},
            {"events": near, "ack": 2},
        ):
            await client.write_message(json.dumps(message))
        told = [json.loads(await client.read_message() or "") for _ in range(3)]
    finally:
        client.close()
    answers = {answer.get("ack"): answer for answer in told}
    assert answers[1]["warnings"] == answers[2]["warnings"]
    assert '"Time"' in answers[1]["warnings"][0]
    assert 'unknown key "a"' in answers[None]["error"]


async def test_what_comes_by_udp_is_counted(stage: Stage) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        own.sendto(b'[{"type":"seen","ts":1,"data":1},{"type":"seen","n":1}]', stage.udp)
    await stage.until_stored("seen", 1)
    assert stage.figure("cube_udp_dropped_total", reason="invalid") == 1
    assert stage.figure("cube_events_unknown_keys_total", meant="time") == 1
