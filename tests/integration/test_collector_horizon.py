"""The horizon at every way into a collector: refused with a sentence, and counted."""

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

from cube.settings import CollectorSettings, HorizonSettings
from tests.collector_stage import NOW, Stage, staged
from tests.web_client import ask

DAY, MINUTE = 86_400_000, 60_000
OLD, NEW = NOW - DAY - 1, NOW + 5 * MINUTE + 1


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    settings = replace(CollectorSettings(), horizon=HorizonSettings(past_days=1, future_minutes=5))
    async with staged(tmp_path, settings) as made:
        yield made


def at(id: int, time: int) -> dict[str, Any]:
    return {"type": "a", "id": id, "time": time}


def refused(stage: Stage) -> tuple[float, float]:
    """How many events were refused as too old, and as too new."""
    old, new = (stage.figure("cube_events_refused_total", reason=one) for one in ("too_old", "too_new"))
    return old or 0, new or 0


async def test_a_batch_is_refused_whole_and_says_which_event_is_too_old(stage: Stage) -> None:
    events = [at(1, NOW), at(2, NOW - DAY), at(3, OLD)]
    answer = await ask(stage.port, "POST", "/1.0/event", json.dumps(events).encode())
    assert answer.status == 400
    told = answer.json
    assert (told["index"], told["id"], told["field"], told["reason"]) == (2, 3, "time", "too_old")
    assert "accepted are times from 2011-07-18T00:00:00.000Z to 2011-07-19T00:05:00.000Z" in told["error"]
    assert await stage.types() == []
    assert refused(stage) == (3, 0)


async def test_what_is_within_is_stored(stage: Stage) -> None:
    events = [at(1, NOW - DAY), {"type": "a", "id": 2}, at(3, NOW + 5 * MINUTE)]
    answer = await ask(stage.port, "POST", "/1.0/event", json.dumps(events).encode())
    assert answer.status == 200
    assert [id for _, id, _ in await stage.stored("a")] == [1, 2, 3]
    assert refused(stage) == (0, 0)


async def test_a_socket_is_told_and_lives_on(stage: Stage) -> None:
    client = await websocket_connect(f"ws://127.0.0.1:{stage.port}/1.0/event/put")
    for events in ([at(1, NEW)], [at(2, NOW)]):
        await client.write_message(json.dumps({"events": events, "ack": events[0]["id"]}))
    answers = [json.loads(str(await asyncio.wait_for(client.read_message(), 10))) for _ in range(2)]
    client.close()
    assert await client.read_message() is None
    by_ack = {answer["ack"]: answer for answer in answers}
    assert (by_ack[1]["index"], by_ack[1]["reason"], by_ack[2]) == (0, "too_new", {"ack": 2})
    assert [id for _, id, _ in await stage.stored("a")] == [2]
    assert refused(stage) == (0, 1)


async def test_of_a_datagram_the_events_within_are_kept(stage: Stage) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        own.sendto(json.dumps([at(1, OLD), at(2, NOW), at(3, NEW), at(4, NOW)]).encode(), stage.udp)
    await stage.until_stored("a", 2)
    assert [id for _, id, _ in await stage.stored("a")] == [2, 4]
    assert refused(stage) == (1, 1)
    assert stage.figure("cube_udp_dropped_total", reason="invalid") == 2


async def test_a_dialect_keeps_what_is_within_and_makes_a_dead_letter_of_the_rest(stage: Stage) -> None:
    events = [
        {"specversion": "1.0", "id": str(time), "source": "/x", "type": "a", "time": text}
        for time, text in ((1, "2011-07-17T00:00:00Z"), (2, "2011-07-19T00:00:00Z"))
    ]
    answer = await ask(
        stage.port,
        "POST",
        "/cloudevents",
        json.dumps(events).encode(),
        {"Content-Type": "application/cloudevents-batch+json"},
    )
    assert answer.status < 500
    assert [time for time, _, _ in await stage.stored("a")] == [NOW]
    [(_, _, letter)] = await stage.stored("cube_rejected")
    assert "Got the time 2011-07-17T00:00:00.000Z; accepted are times from" in letter["reason"]
    assert refused(stage) == (1, 0)
