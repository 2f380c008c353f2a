"""The client's emitters against a running collector."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from cube.client import Emitter, SocketEmitter
from cube.errors import InvalidEvent
from cube.expression import parse_event
from cube.model.tier import Span
from cube.store.find import find
from cube.store.sqlite import open_store
from tests.collector_stage import NOW
from tests.daemon import Daemon, daemon


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Daemon]:
    with daemon("collector", f"sqlite:{tmp_path}", tmp_path) as running:
        yield running


async def stored(directory: Path) -> list[object]:
    """Return the ids of the stored events of type "a", in their order."""
    store = await open_store(directory, "test")
    try:
        async with store.events.read() as session:
            found = find(
                session, parse_event("a"), Span(NOW, NOW + 100_000), limit=10_000, newest_first=False
            )
            return [event.id async for batch in found for event in batch]
    finally:
        await store.close()


async def test_an_emitter_returns_when_the_events_are_stored(collector: Daemon, tmp_path: Path) -> None:
    with Emitter(collector.http) as emitter:
        assert emitter.send({"type": "a", "time": NOW + i, "id": i} for i in range(1_200)) == 1_200
        assert await stored(tmp_path) == list(range(1_200))


async def test_a_socket_emitter_returns_when_the_events_are_stored(collector: Daemon, tmp_path: Path) -> None:
    async with SocketEmitter(collector.http) as emitter:
        assert await emitter.send({"type": "a", "time": NOW + i, "id": i} for i in range(1_200)) == 1_200
        assert await stored(tmp_path) == list(range(1_200))


async def test_a_socket_emitter_lives_on_after_a_refused_event(collector: Daemon, tmp_path: Path) -> None:
    async with SocketEmitter(collector.http) as emitter:
        with pytest.raises(InvalidEvent, match='Got the type "A"') as refused:
            await emitter.send([{"type": "a", "time": NOW + 1, "id": 1}, {"type": "A"}])
        assert refused.value.details["index"] == 1
        assert await emitter.send([{"type": "a", "time": NOW + 2, "id": 2}]) == 1
    assert await stored(tmp_path) == [2]


async def test_a_socket_emitter_opens_a_broken_socket_again(collector: Daemon, tmp_path: Path) -> None:
    flags = ("--port", str(collector.port))
    async with SocketEmitter(collector.http) as emitter:
        await emitter.send([{"type": "a", "time": NOW + 1, "id": 1}])
        collector.process.terminate()
        await asyncio.to_thread(collector.process.wait, 30)
        with daemon("collector", f"sqlite:{tmp_path}", tmp_path, *flags):
            await emitter.send([{"type": "a", "time": NOW + 2, "id": 2}])
    assert await stored(tmp_path) == [1, 2]


async def test_emitters_tell_what_the_collector_warns_of(collector: Daemon) -> None:
    event = {"type": "a", "data": 1, "timestamp": NOW}
    said: list[str] = []
    with Emitter(collector.http, warn=said.append) as emitter:
        emitter.send([event])
    async with SocketEmitter(collector.http, warn=said.append) as socket:
        await socket.send([event])
    assert said == ['Got the unknown key "timestamp", which is not stored; did you mean "time"?'] * 2
