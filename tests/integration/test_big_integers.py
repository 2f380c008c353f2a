"""An integer beyond 64 bits is a double in every dialect; natively it is refused."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from cube.settings import CollectorSettings, DialectSettings
from tests.collector_stage import Stage, staged
from tests.web_client import ask

LARGE = 2**64 + 1
DATA = {"a": [LARGE, -LARGE, 2**63 - 1]}
READ = [2.0**64, -(2.0**64), 2**63 - 1]

INNER = {"schema": "s", "data": {"schema": "iglu:a/seen/jsonschema/1-0-0", "data": DATA}}
PACKED = base64.b64encode(json.dumps(INNER).encode()).decode()
CLOUD = {"specversion": "1.0", "id": "1", "source": "/s", "type": "seen", "data": DATA}
VALUES = {"values": [{"key": "a", "value": {"arrayValue": {"values": [{"intValue": n} for n in DATA["a"]]}}}]}
RECORDS = [{"eventName": "seen", "timeUnixNano": "1700000000000000000", "body": {"kvlistValue": VALUES}}]
LOGS = {"resourceLogs": [{"scopeLogs": [{"logRecords": RECORDS}]}]}
EYE = {"session_id": "s", "category": "c", "name": "n", "timestamp": "2021-01-01T09:15:27", "data": DATA}
TRACK = {"type": "track", "event": "seen", "userId": "u", "messageId": "m", "properties": DATA}

FORMS: dict[str, tuple[str, Any, str, str, dict[str, str]]] = {
    "cloudevents": ("/cloudevents", CLOUD, "seen", "data", {"Content-Type": "application/cloudevents+json"}),
    "otlp": ("/v1/logs", LOGS, "seen", "body", {}),
    "segment": ("/v1/batch", {"batch": [TRACK]}, "seen", "properties", {}),
    "tracardi": (
        "/track",
        {"source": {"id": "s"}, "events": [{"type": "seen", "properties": DATA}]},
        "seen",
        "properties",
        {},
    ),
    "webhook": ("/collect/seen/s", DATA, "seen", "properties", {}),
    "eye": ("/api/event/", EYE, "eye", "data", {}),
    "snowplow": ("/tp2", {"data": [{"e": "ue", "ue_px": PACKED}]}, "seen", "event", {}),
    "datacoral": ("/tp2", [{"data": {"x": DATA}}], "passthrough", "x", {"X-Datacoral-Passthrough": "true"}),
}


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    settings = CollectorSettings(dialects=DialectSettings())
    async with staged(tmp_path, settings) as made:
        yield made


@pytest.mark.parametrize("name", FORMS)
async def test_an_integer_beyond_64_bits_is_a_double_in_a_dialect(stage: Stage, name: str) -> None:
    path, body, type, place, headers = FORMS[name]
    sent = {"Content-Type": "application/json", **headers}
    answer = await ask(stage.port, "POST", path, json.dumps(body).encode(), sent)
    assert answer.status < 300
    ((_, _, data),) = await stage.stored(type)
    assert data[place]["a"] == READ
    assert [kind.__class__ for kind in data[place]["a"]] == [float, float, int]


async def test_natively_it_is_refused(stage: Stage) -> None:
    body = json.dumps({"type": "seen", "data": DATA}).encode()
    answer = await ask(stage.port, "POST", "/1.0/event", body)
    assert (answer.status, answer.json["field"]) == (400, "data.a[0]")


async def test_one_beyond_every_double_is_refused(stage: Stage) -> None:
    body = b'{"a": 1%b}' % (b"0" * 400)
    answer = await ask(stage.port, "POST", "/collect/seen/s", body, {"Content-Type": "application/json"})
    assert answer.status == 406
    assert await stage.types() == ["cube_rejected"]
