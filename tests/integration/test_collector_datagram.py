"""The collector over UDP."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cube.errors import InvalidSettings, Unavailable
from cube.process.listening import open_datagrams
from cube.settings import CollectorSettings
from tests.collector_stage import NOW, Stage, staged


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with staged(tmp_path) as made:
        yield made


def send(stage: Stage, *values: Any) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        for value in values:
            own.sendto(value if isinstance(value, bytes) else json.dumps(value).encode(), stage.udp)


async def until_dropped(stage: Stage, reason: str, count: int) -> None:
    async with asyncio.timeout(10):
        while stage.figure("cube_udp_dropped_total", reason=reason) != count:  # noqa: ASYNC110 - a figure is polled
            await asyncio.sleep(0.005)


async def test_a_datagram_is_an_event_or_an_array(stage: Stage) -> None:
    send(stage, {"type": "a", "id": 1, "time": NOW - 5}, [{"type": "a", "id": 2}, {"type": "b", "id": 3}])
    await stage.until_stored("a", 2)
    await stage.until_stored("b", 1)
    assert [row[:2] for row in await stage.stored("a")] == [(NOW - 5, 1), (NOW, 2)]
    assert stage.figure("cube_udp_datagrams_total") == 2


async def test_the_good_events_beside_bad_ones_are_kept_and_the_bad_counted(stage: Stage) -> None:
    send(stage, [{"type": "a", "id": 1}, {"type": "?"}, 5, {"type": "a", "id": 2}], b"{", b"\xff", b"")
    await stage.until_stored("a", 2)
    await until_dropped(stage, "invalid", 5)


async def test_an_expired_event_does_not_cost_its_neighbours(stage: Stage) -> None:
    send(stage, {"type": "a", "time": NOW + 10_000_000, "id": 1})
    await stage.until_stored("a", 1)
    await stage.store.events.expire("a", NOW + 5_000_000)
    send(stage, [{"type": "a", "time": NOW + 1, "id": 2}, {"type": "a", "time": NOW + 9_000_000, "id": 3}])
    await stage.until_stored("a", 2)
    await until_dropped(stage, "failed", 1)


async def test_what_the_store_does_not_take_is_counted(stage: Stage) -> None:
    stage.store.error = Unavailable("The store is away.")
    send(stage, {"type": "a"})
    await until_dropped(stage, "failed", 1)


async def test_what_the_intake_has_no_room_for_is_counted(tmp_path: Path) -> None:
    settings = CollectorSettings()
    small = replace(settings, intake=replace(settings.intake, waiting_events=3))
    async with staged(tmp_path, small) as stage:
        stage.store.gate.clear()
        send(stage, [{"type": "a", "id": number} for number in range(5)])
        await until_dropped(stage, "overloaded", 3)
        stage.store.gate.set()
        await stage.until_stored("a", 2)


async def test_a_stop_stores_what_was_received(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        stage.store.gate.clear()
        send(stage, {"type": "a", "id": 1}, {"type": "a", "id": 2})
        async with asyncio.timeout(10):
            while (stage.figure("cube_waiting_events") or 0) < 2:  # noqa: ASYNC110 - a figure is polled
                await asyncio.sleep(0.005)
        stopping = asyncio.create_task(stage.collector.stop(10))
        await asyncio.sleep(0)
        stage.store.gate.set()
        await stopping
        assert len(await stage.stored("a")) == 2


async def test_a_port_that_is_taken_is_refused_with_a_sentence(stage: Stage) -> None:
    with pytest.raises(InvalidSettings, match="Cannot listen on UDP"):
        open_datagrams("127.0.0.1", stage.udp[1], reuse_port=False)
