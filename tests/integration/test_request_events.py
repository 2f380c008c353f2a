"""Events about the collector's own work tell nothing that their senders would mind."""

from __future__ import annotations

import asyncio
from pathlib import Path

import requests

from cube.client import Evaluator
from tests.daemon import daemon
from tests.web_client import HANDSHAKE, ask

SETTINGS = """
[environments.shop]
database = "shop"
[[environments.shop.keys]]
name = "web"
key = "key-of-the-shop"

[environments.everybody]
database = "everybody"
open = true
"""
SECONDS = 10


def test_they_go_where_their_caller_belongs_without_keys_and_unwanted_addresses(tmp_path: Path) -> None:
    settings = tmp_path / "cube.toml"
    settings.write_text(SETTINGS)
    store, flags = f"sqlite:{tmp_path}", ("--config", str(settings))
    with daemon("collector", store, tmp_path, *flags, "--self-events", "true") as collector:
        address = collector.http
        requests.get(f"{address}/collect/page-view/key-of-the-shop", params={"a": 1}, timeout=SECONDS)
        requests.get(
            f"{address}/i?e=pv&api_key=key-of-the-shop", headers={"SP-Anonymous": "*"}, timeout=SECONDS
        )
        requests.get(f"{address}/i?e=pv", headers={"SP-Anonymous": "*"}, timeout=SECONDS)
    with (
        daemon("evaluator", store, tmp_path, *flags) as evaluator,
        Evaluator(evaluator.http, key="key-of-the-shop") as shop,
        Evaluator(evaluator.http) as everybody,
    ):
        told = [event.data for event in shop.events("cube_request(*)")]
        by_path = {data.pop("path"): data for data in told}
        assert by_path == {
            "/collect/{event_type}/{source_id}": {"method": "GET", "ip": "127.0.0.1"},
            "/i": {"method": "GET"},
        }
        (nobody,) = (event.data for event in everybody.events("cube_request(*)"))
        assert nobody == {"path": "/i", "method": "GET"}


def test_sockets_are_told_as_squares_cube_tells_them(tmp_path: Path) -> None:
    """The method is ``WebSocket`` for one that opened, and GET for one that was refused."""
    store, flags = f"sqlite:{tmp_path}", ("--self-events", "true")
    with (
        daemon("collector", store, tmp_path, *flags) as collector,
        daemon("evaluator", store, tmp_path, *flags) as evaluator,
    ):
        foreign = HANDSHAKE | {"Origin": "https://other.example"}
        for running, path in ((collector, "/1.0/event/put"), (evaluator, "/1.0/metric/get")):
            assert asyncio.run(ask(running.port, "GET", f"{path}?api_key=x", headers=HANDSHAKE)).status == 101
            assert asyncio.run(ask(running.port, "GET", path, headers=foreign)).status == 403
    with daemon("evaluator", store, tmp_path) as evaluator, Evaluator(evaluator.http) as asking:
        told = sorted(
            (event.data["path"], event.data["method"]) for event in asking.events("cube_request(*)")
        )
    assert told == [
        ("/1.0/event/put", "GET"),
        ("/1.0/event/put", "WebSocket"),
        ("/1.0/metric/get", "GET"),
        ("/1.0/metric/get", "WebSocket"),
    ]
