"""The collector's WebSocket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tornado.httpclient import HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from collector.protocols.native import WINDOW
from cube.errors import Unavailable
from cube.settings import CollectorSettings
from tests.collector_stage import NOW, Stage, staged
from tests.web_client import HANDSHAKE, ask


class Feed:
    """A client of the socket."""

    def __init__(self, socket: WebSocketClientConnection) -> None:
        self._socket = socket

    async def send(self, *values: Any) -> None:
        for value in values:
            await self._socket.write_message(value if isinstance(value, str) else json.dumps(value))

    async def hear(self) -> Any:
        """Return the next message, or None if the server closes the socket."""
        message = await asyncio.wait_for(self._socket.read_message(), 10)
        return None if message is None else json.loads(message)

    async def synced(self) -> None:
        """Return when all that was sent before is stored, and was silent."""
        await self.send({"events": [], "ack": "sync"})
        assert await self.hear() == {"ack": "sync"}


@asynccontextmanager
async def feeding(stage: Stage) -> AsyncIterator[Feed]:
    socket = await websocket_connect(HTTPRequest(f"ws://127.0.0.1:{stage.port}/1.0/event/put"))
    try:
        yield Feed(socket)
    finally:
        socket.close()


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with staged(tmp_path) as made:
        yield made


@pytest.fixture
async def feed(stage: Stage) -> AsyncIterator[Feed]:
    async with feeding(stage) as made:
        yield made


async def test_an_event_or_an_array_is_stored_in_silence(stage: Stage, feed: Feed) -> None:
    await feed.send({"type": "a", "id": 1}, [{"type": "a", "id": 2}, {"type": "b", "id": 3}])
    await stage.until_stored("a", 2)
    await stage.until_stored("b", 1)
    await feed.synced()


async def test_a_message_may_be_lines_of_events(stage: Stage, feed: Feed) -> None:
    await feed.send('{"type": "a", "id": 1}\n{"type": "a", "id": 2}\n')
    await stage.until_stored("a", 2)
    await feed.synced()


@pytest.mark.parametrize("token", [7, "x", None, {"a": [1]}])
async def test_an_acknowledgement_comes_after_the_write(stage: Stage, feed: Feed, token: Any) -> None:
    stage.store.gate.clear()
    await feed.send({"events": [{"type": "a", "id": 1}], "ack": token})
    await asyncio.wait_for(stage.store.begun.wait(), 10)
    answer = asyncio.create_task(feed.hear())
    await asyncio.sleep(0)
    assert not answer.done()
    stage.store.gate.set()
    assert await answer == {"ack": token}
    assert len(await stage.stored("a")) == 1


async def test_a_bad_message_is_answered_and_the_socket_lives_on(stage: Stage, feed: Feed) -> None:
    await feed.send("{", {"type": "?"}, {"type": "a", "id": 7, "data": {"": 1}}, "null")
    errors = [await feed.hear() for _ in range(4)]
    assert all(error["error"].endswith(".") for error in errors)
    assert [error.get("id") for error in errors] == [None, None, 7, None]
    await feed.send({"type": "a"})
    await stage.until_stored("a", 1)


async def test_a_message_is_stored_as_a_whole_or_not_at_all(stage: Stage, feed: Feed) -> None:
    await feed.send([{"type": "a", "id": 1}, {"type": "?", "id": 2}])
    error = await feed.hear()
    assert (error["index"], error["id"]) == (1, 2)
    await feed.synced()
    assert await stage.types() == []


async def test_errors_carry_the_token(stage: Stage, feed: Feed) -> None:
    await feed.send({"events": [{"type": "?"}], "ack": 5})
    assert (await feed.hear())["ack"] == 5
    stage.store.error = Unavailable("The store is away.")
    await feed.send({"events": [{"type": "a", "id": 1}], "ack": 6})
    error = await feed.hear()
    assert (error["ack"], error["error"]) == (6, "The store is away.")


async def test_an_error_of_the_store_is_told_without_a_token_too(stage: Stage, feed: Feed) -> None:
    stage.store.error = Unavailable("The store is away.")
    await feed.send({"type": "a"})
    assert (await feed.hear())["error"] == "The store is away."
    stage.store.error = None
    await feed.send({"type": "a"})
    await stage.until_stored("a", 1)


async def test_a_fault_of_the_store_is_told_without_its_reason(stage: Stage, feed: Feed) -> None:
    stage.store.error = ValueError("a secret")
    await feed.send({"events": [{"type": "a"}], "ack": 1})
    error = await feed.hear()
    assert error["ack"] == 1
    assert "secret" not in error["error"]


async def test_an_event_that_the_store_refuses_is_named(stage: Stage, feed: Feed) -> None:
    await feed.send({"events": [{"type": "a", "time": NOW + 10_000_000}], "ack": 1})
    assert await feed.hear() == {"ack": 1}
    await stage.store.events.expire("a", NOW + 5_000_000)
    await feed.send(
        [{"type": "a", "time": NOW + 9_000_000, "id": 1}, {"type": "a", "time": NOW + 1, "id": 2}]
    )
    error = await feed.hear()
    assert (error["index"], error["id"]) == (1, 2)


async def test_limits_hold(stage: Stage, feed: Feed) -> None:
    await feed.send([{"type": "a"}] * 10_001)
    assert "10000" in (await feed.hear())["error"]
    await feed.send({"events": [{"type": "a", "data": "x" * 2**20}], "ack": 1})
    assert (await feed.hear())["ack"] == 1
    await feed.send(" " * (16 * 2**20 + 1))
    assert "limit" in (await feed.hear())["error"]
    await feed.send({"type": "a"})
    await stage.until_stored("a", 1)


async def test_of_equal_ids_the_message_sent_last_counts(stage: Stage, feed: Feed) -> None:
    for number in range(100):
        await feed.send({"type": "a", "id": "x", "time": NOW + number, "data": number})
    await feed.synced()
    await stage.until_stored("a", 1)
    async with asyncio.timeout(10):
        while await stage.stored("a") != [(NOW + 99, "x", 99)]:  # noqa: ASYNC110 - nothing tells of a write
            await asyncio.sleep(0.005)


async def test_a_client_faster_than_the_store_is_slowed_down_and_loses_nothing(
    stage: Stage, feed: Feed
) -> None:
    stage.store.gate.clear()
    count = WINDOW + 500
    sending = asyncio.create_task(feed.send(*({"type": "a", "id": number} for number in range(count))))
    async with asyncio.timeout(10):
        while (stage.figure("cube_waiting_events") or 0) < WINDOW:  # noqa: ASYNC110 - a figure is polled
            await asyncio.sleep(0.005)
    await sending
    assert stage.figure("cube_waiting_events") == WINDOW
    stage.store.gate.set()
    await stage.until_stored("a", count)


async def test_the_intakes_bound_slows_sockets_down_too(tmp_path: Path) -> None:
    settings = CollectorSettings()
    small = replace(settings, intake=replace(settings.intake, waiting_events=2))
    async with staged(tmp_path, small) as stage, feeding(stage) as feed, feeding(stage) as other:
        stage.store.gate.clear()
        for number in range(10):
            await feed.send({"type": "a", "id": number})
            await other.send({"type": "a", "id": 100 + number})
        await asyncio.wait_for(stage.store.begun.wait(), 10)
        stage.store.gate.set()
        await stage.until_stored("a", 20)
        await feed.synced()
        await other.synced()


async def test_a_client_that_leaves_loses_nothing_that_it_sent(stage: Stage) -> None:
    stage.store.gate.clear()
    async with feeding(stage) as feed:
        await feed.send({"type": "a", "id": 1}, {"events": [{"type": "a", "id": 2}], "ack": 1})
        async with asyncio.timeout(10):
            while (stage.figure("cube_waiting_events") or 0) < 2:  # noqa: ASYNC110 - a figure is polled
                await asyncio.sleep(0.005)
    stage.store.gate.set()
    await stage.until_stored("a", 2)


async def test_a_stop_stores_and_answers_what_was_accepted(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage, feeding(stage) as feed:
        stage.store.gate.clear()
        await feed.send({"events": [{"type": "a", "id": 1}], "ack": 1})
        await asyncio.wait_for(stage.store.begun.wait(), 10)
        stopping = asyncio.create_task(stage.collector.stop(10))
        await asyncio.sleep(0)
        await feed.send({"events": [{"type": "a", "id": 2}], "ack": 2})
        late = await feed.hear()
        assert late["ack"] == 2
        assert "stopping" in late["error"]
        stage.store.gate.set()
        assert await feed.hear() == {"ack": 1}
        assert await feed.hear() is None
        await stopping
        assert [row[1] for row in await stage.stored("a")] == [1]


async def test_origins_follow_the_settings(tmp_path: Path) -> None:
    settings = replace(CollectorSettings(), origins=("https://example.org",))
    async with staged(tmp_path, settings) as stage:
        refused = await ask(
            stage.port, "GET", "/1.0/event/put", headers={**HANDSHAKE, "Origin": "https://other.org"}
        )
    assert refused.status == 403
