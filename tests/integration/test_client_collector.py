"""The client's emitters against a running collector."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from cube.client import BackgroundEmitter, Drop, Emitter, SocketEmitter
from cube.errors import InvalidEvent
from cube.expression import parse_event
from cube.model.tier import Span
from cube.store.find import find
from cube.store.sqlite import open_store
from tests.collector_stage import NOW
from tests.daemon import Daemon, daemon
from tests.fault.mortal import Mortal
from tests.tools import LONG


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Daemon, Path]]:
    """A collector for all tests that leave it alive, each with a type of its own, and where it stores."""
    directory = tmp_path_factory.mktemp("collector")
    with daemon("collector", f"sqlite:{directory}", directory) as running:
        yield running, directory


async def stored(directory: Path, type: str = "a") -> list[object]:
    """Return the ids of the stored events of a type, in their order."""
    store = await open_store(directory, "test")
    try:
        async with store.events.read() as session:
            found = find(
                session, parse_event(type), Span(NOW, NOW + 100_000), limit=10_000, newest_first=False
            )
            return [event.id async for batch in found for event in batch]
    finally:
        await store.close()


async def test_an_emitter_returns_when_the_events_are_stored(shared: tuple[Daemon, Path]) -> None:
    collector, directory = shared
    with Emitter(collector.http) as emitter:
        assert emitter.send({"type": "b", "time": NOW + i, "id": i} for i in range(1_200)) == 1_200
        assert await stored(directory, "b") == list(range(1_200))


async def test_a_socket_emitter_returns_when_the_events_are_stored(shared: tuple[Daemon, Path]) -> None:
    collector, directory = shared
    async with SocketEmitter(collector.http) as emitter:
        assert await emitter.send({"type": "c", "time": NOW + i, "id": i} for i in range(1_200)) == 1_200
        assert await stored(directory, "c") == list(range(1_200))


async def test_a_socket_emitter_lives_on_after_a_refused_event(shared: tuple[Daemon, Path]) -> None:
    collector, directory = shared
    async with SocketEmitter(collector.http) as emitter:
        with pytest.raises(InvalidEvent, match='Got the type "A"') as refused:
            await emitter.send([{"type": "d", "time": NOW + 1, "id": 1}, {"type": "A"}])
        assert refused.value.details["index"] == 1
        assert await emitter.send([{"type": "d", "time": NOW + 2, "id": 2}]) == 1
    assert await stored(directory, "d") == [2]


async def test_a_socket_emitter_opens_a_broken_socket_again(tmp_path: Path) -> None:
    with daemon("collector", f"sqlite:{tmp_path}", tmp_path) as collector:
        flags = ("--port", str(collector.port))
        async with SocketEmitter(collector.http) as emitter:
            await emitter.send([{"type": "a", "time": NOW + 1, "id": 1}])
            collector.process.terminate()
            await asyncio.to_thread(collector.process.wait, 30)
            with daemon("collector", f"sqlite:{tmp_path}", tmp_path, *flags):
                await emitter.send([{"type": "a", "time": NOW + 2, "id": 2}])
    assert await stored(tmp_path) == [1, 2]


async def test_emitters_tell_what_the_collector_warns_of(shared: tuple[Daemon, Path]) -> None:
    collector, _ = shared
    event = {"type": "e", "data": 1, "timestamp": NOW}
    said: list[str] = []
    with Emitter(collector.http, warn=said.append) as emitter:
        emitter.send([event])
    async with SocketEmitter(collector.http, warn=said.append) as socket:
        await socket.send([event])
    assert said == ['Got the unknown key "timestamp", which is not stored; did you mean "time"?'] * 2


async def test_a_background_emitter_sends_whichever_way(shared: tuple[Daemon, Path]) -> None:
    collector, directory = shared
    socket = collector.http.replace("http", "ws")
    for place, url in enumerate((collector.http, socket, f"udp://{collector.udp}")):
        async with BackgroundEmitter(url, batch_events=100, batch_seconds=0.05) as emitter:
            for number in range(250 * place, 250 * (place + 1)):
                emitter.emit("f", {"n": number}, time=NOW + number, id=number)
            assert await emitter.aflush(30)
            assert emitter.counts.stored == 250
        await until_stored(directory, "f", list(range(250 * (place + 1))))
    for place, url in enumerate((collector.http, socket)):
        drops: list[Drop] = []
        with BackgroundEmitter(url, on_drop=drops.append) as emitter:
            for number in range(6):
                emitter.emit("f" if number % 2 else "No type", time=NOW + number, id=f"{place}-{number}")
        assert [drop.message[:23] for drop in drops] == ['Got the type "No type";'] * 3
    assert len(await stored(directory, "f")) == 750 + 6


async def test_a_collector_that_is_killed_costs_no_event_and_stores_none_twice(tmp_path: Path) -> None:
    total = 1_000 * (3 if LONG else 1)  # it is killed once in a thousand
    with Mortal("collector", f"sqlite:{tmp_path}", tmp_path) as collector:
        urls = (collector.http, collector.http.replace("http", "ws"), collector.http)
        buffers = (None, None, tmp_path / "buffer")
        emitters = [
            BackgroundEmitter(url, buffer=buffer, batch_events=50, batch_seconds=0.01)
            for url, buffer in zip(urls, buffers, strict=True)
        ]
        for number in range(total):
            emitters[number % 3].emit("a", time=NOW + number, id=number)
            if number % 1_000 == 500:
                while sum(emitter.counts.stored for emitter in emitters) < number // 2:  # noqa: ASYNC110 - threads
                    await asyncio.sleep(0.001)
                collector.kill()
                collector.start()
        assert [await emitter.aflush(60) for emitter in emitters] == [True] * 3
        assert [emitter.counts.dropped for emitter in emitters] == [{}] * 3
        assert sum(emitter.counts.stored for emitter in emitters) == total
        for emitter in emitters:
            emitter.close()
    assert await stored(tmp_path) == list(range(total))


async def until_stored(directory: Path, type: str, wanted: list[object]) -> None:
    """Return when these ids are stored: a datagram has no answer."""
    async with asyncio.timeout(30):
        while await stored(directory, type) != wanted:  # noqa: ASYNC110 - another process stores them
            await asyncio.sleep(0.02)
