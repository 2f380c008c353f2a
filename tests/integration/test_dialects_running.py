"""Dialects on running collectors: their bound on types on a MongoDB, and their switches."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from cube.settings import CollectorSettings, DialectSettings
from cube.store import mongo
from tests.collector_stage import NOW, staged
from tests.daemon import Daemon, daemon
from tests.mongo_server import MongoServer, mongo_server
from tests.unit.mongo_support import sockets_dropped
from tests.web_client import ask

__all__ = ["mongo_server", "sockets_dropped"]

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # see sockets_dropped

NATIVE = {"/", "/1.0/event", "/1.0/event/put", "/healthz", "/readyz", "/metrics", "/openapi.json"}


async def test_collectors_on_one_mongodb_keep_the_bound_on_types_together(
    mongo_server: MongoServer, tmp_path: Path
) -> None:
    name = mongo_server.database()
    bound = ("--dialects-types", "2")
    with (
        daemon("collector", mongo_server.url, tmp_path, *bound, database=name) as one,
        daemon("collector", mongo_server.url, tmp_path, *bound, database=name) as other,
    ):
        for collector, event in (
            (one, "A"),
            (other, "B"),
            (one, "C"),
            (other, "D"),
            (other, "A"),
            (one, "B"),
        ):
            _track(collector, event)
    store = await mongo.open_store(mongo_server.url, name)
    try:
        async with store.events.read() as session:
            assert await session.types() == ["a", "b", "segment_other"]
    finally:
        await store.close()
    mongo_server.forget(name)


def _track(collector: Daemon, event: str) -> None:
    message = {"type": "track", "event": event, "userId": "u", "messageId": f"{event}-{collector.port}"}
    body = json.dumps({"batch": [message]}).encode()
    with urlopen(Request(f"{collector.http}/v1/batch", body, method="POST")) as answer:
        assert answer.status == 200


async def test_collectds_bodies_sent_again_store_nothing_twice_and_change_nothing(tmp_path: Path) -> None:
    bodies = [json.dumps(_octets(seconds, 100 * seconds)).encode() for seconds in (0, 10, 20)]
    async with staged(tmp_path) as stage:
        for body in (*bodies, *bodies, bodies[2]):
            assert (await ask(stage.port, "POST", "/collectd/", body)).status == 200
        stored = [(time, data["interface"]) for time, _, data in await stage.stored("collectd")]
    rate = {"if_octets": {"rx": 100.0, "tx": 0.0}}
    assert stored == [(NOW + 10_000, rate), (NOW + 20_000, rate)]


def _octets(seconds: int, received: int) -> list[Any]:
    series = {"host": "web14", "plugin": "interface", "plugin_instance": "lo", "type": "if_octets"}
    kinds = {"values": [received, 5], "dstypes": ["derive", "counter"], "dsnames": ["rx", "tx"]}
    return [{**series, **kinds, "time": NOW / 1000 + seconds, "interval": 10.0}]


async def test_a_dialect_that_is_off_has_no_routes(tmp_path: Path) -> None:
    switches = [field.name for field in fields(DialectSettings) if field.type == "bool"]
    off = CollectorSettings(dialects=replace(DialectSettings(), **dict.fromkeys(switches, False)))
    async with staged(tmp_path, off) as stage:
        assert set((await ask(stage.port, "GET", "/openapi.json")).json["paths"]) == NATIVE
        assert (await ask(stage.port, "POST", "/collectd", b"[]")).status == 404
