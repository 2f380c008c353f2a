"""OpenTelemetry's exporters against a running collector, and metrics over what they sent."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from google.rpc.status_pb2 import Status

from cube.client import Evaluator
from cube.web.content_encoding import zstd_library
from tests.daemon import daemon
from tests.foreign_client import Running, front, run_node, run_python, running, running_with
from tests.mongo_server import MongoServer

zstd = zstd_library()

PROTOBUF = {"Content-Type": "application/x-protobuf"}
JSON = {"Content-Type": "application/json"}
SETTINGS = """
[environments.prod]
database = "prod"

[[environments.prod.keys]]
name = "shop"
key = "prod-key"
"""


@pytest.fixture(scope="module")
def cube(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("otlp")) as made:
        yield made


def send(language: str, url: str, *arguments: str) -> str:
    if language == "python":
        return run_python("send_otlp.py", f"{url}/v1/logs", *arguments)
    return run_node("@opentelemetry", "send_otlp.mjs", f"{url}/v1/logs", *arguments)


@pytest.mark.parametrize("compression", ["gzip", "none"])
@pytest.mark.parametrize(("language", "encoding"), [("python", PROTOBUF), ("node", JSON)])
async def test_what_an_exporter_sends_again_is_measured_once(
    cube: Running, language: str, encoding: dict[str, str], compression: str
) -> None:
    service = f"{language}-{compression}"
    async with front(cube.collector, losses=1) as between:
        await asyncio.to_thread(send, language, between.address, compression, service)
    first, again = between.passed
    assert (first.status, again.status) == (200, 200)
    assert first.body == again.body
    assert first.headers["Content-Type"] == encoding["Content-Type"]
    assert ("Content-Encoding" in first.headers) == (compression == "gzip")
    paid = f'cart_paid(attributes.amount).eq(resource["service.name"], "{service}")'
    assert cube.metric(f"sum({paid})") == 1 + 2 + 4
    assert cube.metric(f'sum(log.eq(resource["service.name"], "{service}").ge(severity.number, 17))') == 1
    if language == "node":
        burst = f'burst(attributes.big).eq(resource["service.name"], "{service}").eq(attributes.nan, "NaN")'
        assert cube.metric(f"sum({burst})") == 50 * 2.0**63


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
def test_a_body_may_come_in_each_encoding_of_the_collectors(cube: Running, encoding: str) -> None:
    record = {"timeUnixNano": "1767323045000000000", "eventName": f"packed.{encoding}"}
    text = json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [record] * 3}]}]}).encode()
    body = {"gzip": gzip.compress, "deflate": zlib.compress, "zstd": zstd.compress}[encoding](text)
    answer = requests.post(
        f"{cube.collector}/v1/logs", body, headers=JSON | {"Content-Encoding": encoding}, timeout=10
    )
    assert (answer.status_code, answer.json()) == (200, {})
    assert cube.metric(f"sum(packed_{encoding})") == 3


@pytest.mark.parametrize("language", ["python", "node"])
def test_a_record_keeps_all_that_its_exporter_says(cube: Running, language: str) -> None:
    send(language, cube.collector, "gzip", f"{language}-whole")
    fields = "event_name, body, attributes, severity, time_unix_nano, resource, scope"
    (first,) = cube.data(
        f'cart_paid({fields}).eq(resource["service.name"], "{language}-whole").eq(attributes.amount, 1)'
    )
    items = [1, 2.5, "three", None] if language == "python" else [1, 2.5, "three"]
    assert first == {
        "event_name": "cart.paid",
        "body": {"items": items, "ok": True},
        "attributes": {"amount": 1, "user.id": "u"},
        "severity": {"number": 9, "text": "INFO"},
        "time_unix_nano": "1767323045678901234",
        "resource": first["resource"] | {"service.name": f"{language}-whole"},
        "scope": {"name": "shop", "version": "1.0"},
    }


@pytest.mark.parametrize("language", ["python", "node"])
def test_spans_and_metrics_are_measured(cube: Running, language: str) -> None:
    service = f"{language}-signals"
    if language == "python":
        run_python("send_otlp_signals.py", cube.collector, service)
    else:
        run_node("@opentelemetry", "send_otlp_signals.mjs", cube.collector, service)
    mine = f'.eq(resource["service.name"], "{service}")'
    assert cube.metric(f"sum(span(duration_ms){mine})") == 12 + 2
    assert cube.metric(f'sum(span{mine}.eq(status, "error"))') == 1
    assert cube.metric(f'sum(span{mine}.eq(events[0].attributes["exception.message"], "no rows"))') == 1
    root, inner = (
        cube.data(f"span(name, kind, span_id, attributes, status){mine}"),
        cube.data(f"span(parent_span_id){mine}"),
    )
    assert root[0]["attributes"] == {"http.route": "/cart"}
    assert inner[0]["parent_span_id"] == root[0]["span_id"]
    found = cube.evaluator.events(f"metric(*){mine}", start="2020-01-01")
    values: dict[str, list[Any]] = {}
    for event in found:
        values.setdefault(event.data["name"], []).append(event.data)
    assert values.keys() == {"sold", "cart", "latency", "level"}
    assert [each["value"] for each in values["sold"]][:2] == [3, 7]
    assert values["sold"][1]["delta"] == 4
    assert [each["value"] for each in values["cart"]][:2] == [-1.5, -3]
    assert [each["value"] for each in values["level"]][:2] == [1.5, 2]
    assert values["latency"][1]["delta"] == {"count": 1, "sum": 40}


def test_what_is_no_otlp_is_told_in_the_encoding_of_the_request(cube: Running) -> None:
    url = f"{cube.collector}/v1/logs"
    broken = requests.post(url, b"\x0a\x05", headers=PROTOBUF, timeout=10)
    assert (broken.status_code, broken.headers["Content-Type"]) == (400, "application/x-protobuf")
    assert "protobuf" in Status.FromString(broken.content).message
    broken = requests.post(url, b"{", headers=JSON, timeout=10)
    assert (broken.status_code, list(broken.json())) == (400, ["message"])
    traces = requests.post(url, json={"resourceSpans": []}, timeout=10)
    assert (traces.status_code, "resourceSpans" in traces.json()["message"]) == (400, True)
    kept = [refused["payload"] for refused in cube.rejected("otlp")]
    assert all(payload in kept for payload in ("\n\x05", "{", '{"resourceSpans": []}'))
    bomb = gzip.compress(bytes(20 * 2**20))
    bombed = requests.post(url, bomb, headers=PROTOBUF | {"Content-Encoding": "gzip"}, timeout=10)
    assert bombed.status_code == 413
    assert Status.FromString(bombed.content).message
    empty = requests.post(url, b"", headers=PROTOBUF, timeout=10)
    assert (empty.status_code, empty.content) == (200, b"")


def test_a_bad_record_is_told_as_a_partial_success(cube: Running) -> None:
    good = {"eventName": "partial", "body": {"intValue": 1}}
    tree = {
        "resourceLogs": [{"scopeLogs": [{"logRecords": [good, {"severityText": 5}, good | {"flags": 1}]}]}]
    }
    answer = requests.post(f"{cube.collector}/v1/logs", json=tree, timeout=10)
    assert answer.status_code == 200
    assert answer.json()["partialSuccess"]["rejectedLogRecords"] == "1"
    assert {"severityText": 5} in [refused["payload"] for refused in cube.rejected("otlp")]


def test_the_resources_environment_is_that_of_the_key_or_nothing_is_stored(tmp_path: Path) -> None:
    with running_with(tmp_path, SETTINGS, "prod") as prod:
        for number, (key, environment) in enumerate(
            [("prod-key", "prod"), ("prod-key", ""), ("prod-key", "dev"), ("", "prod"), ("other", "prod")]
        ):
            send("python", prod.collector, "none", str(number), key, environment)
        stored = prod.data('cart_paid(resource["service.name"])')
    assert {found["resource"]["service.name"] for found in stored} == {"0", "1"}


async def test_an_exporter_outlives_a_store_that_is_away(tmp_path: Path) -> None:
    with (
        MongoServer() as server,
        daemon("collector", server.url, tmp_path) as collector,
        daemon("evaluator", server.url, tmp_path) as evaluator,
        Evaluator(evaluator.http) as metrics,
    ):
        server.kill()
        sending = asyncio.create_task(asyncio.to_thread(send, "python", collector.http, "gzip", "away"))
        await asyncio.sleep(1)  # it meets a store that is away, and no answer or a 503
        await asyncio.to_thread(server.start)
        assert (await sending).strip() == "True"
        paid = Running(collector.http, metrics).metric("sum(cart_paid(attributes.amount))")
        assert paid == 1 + 2 + 4
