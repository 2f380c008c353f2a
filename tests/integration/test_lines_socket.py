"""JSON lines over a WebSocket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.httputil import HTTPHeaders
from tornado.websocket import WebSocketClientConnection, websocket_connect

from collector.ingest.quota import DecodingQuota
from collector.protocols.shared.message_session import WINDOW, MessageSession, Turn
from cube.errors import Unavailable
from cube.model.environment import DEFAULT, Environment, Scope
from cube.settings import CollectorSettings, SpoolSettings
from cube.web import Connection, Reply, Request
from tests.authenticators import key
from tests.collector_stage import NOW, Stage, staged
from tests.web_client import close_socket

LINE = '{"id": %d, "n": %d}'


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with staged(tmp_path) as made:
        yield made


@asynccontextmanager
async def opened(stage: Stage, target: str, **headers: str) -> AsyncIterator[WebSocketClientConnection]:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    socket = await websocket_connect(HTTPRequest(f"ws://127.0.0.1:{stage.port}{target}", headers=named))
    try:
        yield socket
    finally:
        await close_socket(socket)


async def heard(socket: WebSocketClientConnection) -> Any:
    message = await asyncio.wait_for(socket.read_message(), 20)
    assert message is not None
    return json.loads(message)


async def test_a_line_that_is_wrong_costs_no_other(stage: Stage) -> None:
    async with opened(stage, "/1.0/lines/line?id=id") as socket:
        await socket.write_message(f"{LINE % (1, 1)}\nnot JSON\n[{LINE % (2, 2)}, 5]\n")
        told = await heard(socket)
        assert (told["stored"], told["rejected"]) == (2, 2)
        assert [reason.partition(";")[0] for reason in told["reasons"]] == [
            "Got text that is not JSON: expecting value",
            "Got 5",
        ]
        await socket.write_message((LINE % (3, 3)).encode(), binary=True)
        await stage.until_stored("line", 3)
    assert [id for _, id, _ in sorted(await stage.stored("line"))] == [1, 2, 3]
    refused = [data["payload"] for _, _, data in await stage.stored("cube_rejected")]
    assert sorted(map(str, refused)) == ["5", "not JSON"]


async def test_each_message_is_answered_in_order_where_that_is_asked_for(stage: Stage) -> None:
    """More messages than may wait, while nothing can be stored: then all are answered."""
    stage.store.gate.clear()
    count = 2 * WINDOW
    async with opened(stage, "/1.0/lines?type=line&time=at&ack=true") as socket:
        for number in range(count):
            rows = [{"at": NOW, "n": number, "of": part} for part in range(number % 3 + 1)]
            await socket.write_message("\n".join(map(json.dumps, rows)))
        await stage.store.begun.wait()
        assert await stage.types() == []
        stage.store.gate.set()
        answers = [await heard(socket) for _ in range(count)]
    assert answers == [{"stored": number % 3 + 1, "rejected": 0} for number in range(count)]
    assert len(await stage.stored("line")) == sum(answer["stored"] for answer in answers)


async def test_of_two_messages_with_one_id_the_second_counts_however_long_the_first_is(stage: Stage) -> None:
    """Long ones are read in threads, side by side with the short ones behind them."""
    long = json.dumps({"id": "x", "n": 1, "text": "x" * 200_000})
    async with opened(stage, "/1.0/lines/line?id=id&ack=1") as socket:
        for number in range(20):
            await socket.write_message(long.replace('"x"', f'"{number}"', 1))
            await socket.write_message(json.dumps({"id": str(number), "n": 2}))
        assert [(await heard(socket))["stored"] for _ in range(40)] == [1] * 40
    assert [data["n"] for _, _, data in await stage.stored("line")] == [2] * 20


async def test_what_the_store_refuses_as_expired_costs_the_others_neither_place_nor_order(
    stage: Stage,
) -> None:
    """That it has expired only the store knows, when messages behind it are on their way already."""
    await stage.store.events.expire("line", NOW)
    old = [NOW - 1, NOW - 60_000, NOW - 2]
    first = [
        {"id": "x", "n": 1, "time": NOW},
        *({"id": str(at), "time": at} for at in old),
        {"id": "y", "n": 1},
    ]
    second = [{"id": "x", "n": 2, "time": NOW}, {"id": "y", "n": 2}]
    stage.store.gate.clear()
    async with opened(stage, "/1.0/lines/line?id=id&ack=1") as socket:
        for message in (first, [{"id": "only", "time": NOW - 1}], second):
            await socket.write_message("\n".join(map(json.dumps, message)))
        while stage.figure("cube_events_accepted_total") < 8:  # noqa: ASYNC110 - all wait behind the first
            await asyncio.sleep(0.01)
        stage.store.gate.set()
        answers = [await heard(socket) for _ in range(3)]
    assert [(each["stored"], each["rejected"]) for each in answers] == [(2, 3), (0, 1), (2, 0)]
    assert "have expired" in answers[1]["reasons"][0]
    assert {data["id"]: data["n"] for _, _, data in await stage.stored("line")} == {"x": 2, "y": 2}
    assert len(await stage.stored("cube_rejected")) == 4


@pytest.mark.parametrize(("given", "answers"), [("1", 2), ("true", 2), ("0", 1), ("false", 1), ("", 1)])
async def test_an_acknowledgement_is_asked_for_as_any_switch(stage: Stage, given: str, answers: int) -> None:
    async with opened(stage, f"/1.0/lines/line?ack={given}") as socket:
        await socket.write_message("{}")
        await socket.write_message("5")
        assert [(await heard(socket))["rejected"] for _ in range(answers)] == [0, 1][-answers:]


async def test_another_value_of_the_switch_refuses_each_message(stage: Stage) -> None:
    async with opened(stage, "/1.0/lines/line?ack=yes") as socket:
        for _ in range(2):
            await socket.write_message("{}")
            told = await heard(socket)
            assert told["error"] == 'Got ack "yes"; accepted are true and false, or 1 and 0.'
    assert await stage.types() == []


async def test_what_is_refused_as_a_whole_is_told_and_the_socket_lives_on(stage: Stage) -> None:
    async with opened(stage, "/1.0/lines/line?ack=true") as socket:
        await socket.write_message("\n".join(["{}"] * 20_001))
        assert "accepted are 20000" in (await heard(socket))["error"]
        stage.store.error = Unavailable("The store is away.")
        await socket.write_message("{}")
        assert (await heard(socket))["error"] == "The store is away."
        stage.store.error = None
        await socket.write_message("{}")
        assert await heard(socket) == {"stored": 1, "rejected": 0}
    async with opened(stage, "/1.0/lines/NO") as socket:
        await socket.write_message("{}")
        assert "accepted are letters" in (await heard(socket))["error"]


async def test_what_is_only_in_the_spool_is_told(tmp_path: Path) -> None:
    spool = SpoolSettings(directory=str(tmp_path / "spool"))
    async with staged(tmp_path, replace(CollectorSettings(), spool=spool)) as stage:
        stage.store.error = Unavailable("The store is away.")
        async with opened(stage, "/1.0/lines/line?ack=true") as socket:
            await socket.write_message("{}")
            assert await heard(socket) == {"stored": 1, "rejected": 0, "spooled": True}


async def test_whoever_opens_it_needs_a_key_that_may_write(tmp_path: Path) -> None:
    keys = (key("writer", Scope.WRITE, types=frozenset({"line"})), key("reader", Scope.READ))
    environments = (Environment(DEFAULT, "test"),)
    settings = replace(CollectorSettings(), environments=environments, keys=keys, udp_trusted=True)
    async with staged(tmp_path, settings) as stage:
        for given, status in (({}, 401), ({"X_Api_Key": "reader"}, 403)):
            with pytest.raises(HTTPClientError) as refused:
                async with opened(stage, "/1.0/lines/line", **given):
                    pass
            assert refused.value.code == status
        async with opened(stage, "/1.0/lines?ack=true", X_Api_Key="writer") as socket:
            await socket.write_message('{"type": "line"}\n{"type": "other"}')
            told = await heard(socket)
            assert (told["stored"], told["rejected"], len(told["reasons"])) == (1, 1, 1)


class Reader:
    """The way back to a client that reads answers only once ``read`` is set."""

    def __init__(self, read: asyncio.Event) -> None:
        self.request = Request("GET", "/1.0/lines?ack=true", HTTPHeaders(), "127.0.0.1")
        self._read = read

    async def send(self, _: object) -> None:
        await self._read.wait()


async def test_what_all_sockets_hold_that_is_not_stored_is_bounded_together() -> None:
    """And whoever does not read the answers holds nobody else up."""
    stored, read = asyncio.Event(), asyncio.Event()

    async def write(_: Request, turn: Turn) -> Reply:
        await stored.wait()
        return Reply.json({"stored": 1, "rejected": 0})

    window = DecodingQuota(10)
    first, second = (MessageSession(write, window, cast("Connection", Reader(read))) for _ in range(2))
    await first.receive(b"12345678")
    waiting = asyncio.create_task(second.receive(b"1234"))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not waiting.done()
    stored.set()
    await asyncio.wait_for(waiting, 20)
    read.set()
    await asyncio.wait_for(asyncio.gather(first.finish(), second.finish()), 20)
    assert window.held == 0
