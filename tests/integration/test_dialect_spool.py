"""Dialects while the store is away: durable in the spool, and no reply promises more."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from cube.errors import Unavailable
from cube.settings import CollectorSettings, SpoolSettings
from tests.collector_stage import Stage, staged
from tests.tools import NODE, node_package, running
from tests.web_client import ask

LOAD = {
    "values": [0.5],
    "dstypes": ["gauge"],
    "dsnames": ["value"],
    "time": 1_311_033_600,
    "host": "web14",
    "plugin": "load",
    "type": "load",
}


async def test_what_is_only_in_the_spool_is_not_told_with_200(tmp_path: Path) -> None:
    settings = CollectorSettings(spool=SpoolSettings(directory=str(tmp_path / "spool")))
    async with staged(tmp_path, settings) as stage:
        stage.store.error = Unavailable("Gone for a while.")
        answer = await ask(stage.port, "POST", "/collectd", json.dumps([LOAD, 3]).encode())
        assert (answer.status, answer.body) == (202, b"")
        stage.store.error = None
        await stage.until_stored("collectd", 1)
        await stage.until_stored("cube_rejected", 1)
        async with asyncio.timeout(10):
            while await _status(stage) != 200:  # noqa: ASYNC110 - nothing tells when the relay trusts the store
                await asyncio.sleep(0.01)


async def test_no_content_promises_as_much_as_200(tmp_path: Path) -> None:
    settings = CollectorSettings(spool=SpoolSettings(directory=str(tmp_path / "spool")))
    event = {"specversion": "1.0", "id": "1", "source": "/s", "type": "a"}
    headers = {"Content-Type": "application/cloudevents+json"}
    async with staged(tmp_path, settings) as stage:
        statuses = []
        for error in (None, Unavailable("Gone for a while.")):
            stage.store.error = error
            body = json.dumps(event | {"id": repr(error)}).encode()
            statuses.append((await ask(stage.port, "POST", "/cloudevents", body, headers)).status)
        assert statuses == [204, 202]
        stage.store.error = None
        await stage.until_stored("a", 2)


async def test_to_clients_that_take_202_for_a_failure_a_spooled_event_is_a_success(tmp_path: Path) -> None:
    settings = CollectorSettings(spool=SpoolSettings(directory=str(tmp_path / "spool")))
    event = {"event": "a", "distinct_id": "u", "uuid": "1"}
    async with staged(tmp_path, settings) as stage:
        statuses = []
        for error in (None, Unavailable("Gone for a while.")):
            stage.store.error = error
            body = json.dumps(event | {"uuid": repr(error)}).encode()
            statuses.append((await ask(stage.port, "POST", "/batch", body)).status)
        assert statuses == [200, 200]
        stage.store.error = None
        await stage.until_stored("a", 2)


async def test_what_no_search_finds_yet_is_not_told_with_201(tmp_path: Path) -> None:
    settings = CollectorSettings(spool=SpoolSettings(directory=str(tmp_path / "spool")))
    event = {"session_id": "s", "category": "c", "name": "n", "data": 1, "timestamp": "2011-07-19 00:00:00"}
    async with staged(tmp_path, settings) as stage:
        stage.store.error = Unavailable("Gone for a while.")
        answer = await ask(stage.port, "POST", "/api/event/", json.dumps(event).encode())
        assert (answer.status, answer.json) == (202, {"success": True})
        stage.store.error = None
        await stage.until_stored("eye", 1)


async def test_squares_emitter_does_not_send_again_what_is_spooled(tmp_path: Path) -> None:
    node = node_package("cube")
    file = tmp_path / "events.json"
    file.write_text(json.dumps([{"type": "a", "time": 1_311_033_600_000 + n} for n in range(600)]))
    spool = SpoolSettings(directory=str(tmp_path / "spool"), square_emitters=True)
    async with staged(tmp_path, CollectorSettings(spool=spool)) as stage:
        stage.store.error = Unavailable("Gone for a while.")
        emitter = (node, str(NODE / "square_emitter.js"), f"http://127.0.0.1:{stage.port}", str(file))
        with running(*emitter):  # 500 events, and the others once they met a 200
            async with asyncio.timeout(20):
                while (stage.figure("cube_events_spooled_total") or 0) < 600:  # noqa: ASYNC110 - it tells nobody
                    await asyncio.sleep(0.02)
        stage.store.error = None
        await stage.until_stored("a", 600)
        assert len(await stage.stored("a")) == 600


async def test_without_a_spool_a_store_that_is_away_is_503(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        stage.store.error = Unavailable("Gone for a while.")
        answer = await ask(stage.port, "POST", "/collectd", json.dumps([LOAD]).encode())
        assert (answer.status, "retry-after" in answer.headers) == (503, True)


async def _status(stage: Stage) -> int:
    return (await ask(stage.port, "POST", "/collectd", json.dumps([LOAD]).encode())).status
