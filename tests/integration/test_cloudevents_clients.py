"""CloudEvents' SDKs against a running collector, and metrics over what they sent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.daemon import daemon
from tests.foreign_client import Running, run_node, run_python, running

TYPE = "com_acme_order_created"
SETTINGS = """
[environments.prod]
database = "prod"

[[environments.prod.keys]]
name = "hook"
key = "hook-key"
scopes = ["write"]
"""


@pytest.fixture(scope="module")
def cube(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("cloudevents")) as made:
        yield made


def test_the_python_sdk_sends_in_every_mode(cube: Running) -> None:
    statuses = run_python("send_cloudevents.py", f"{cube.collector}/cloudevents").split()
    assert statuses == ["204", "204", "204", "204", "204", "200"]
    by_source = {
        source: cube.metric(f'sum({TYPE}(data.value).eq(source, "{source}"))')
        for source in ("/python", "/python-v1", "/batch")
    }
    assert by_source == {"/python": 3, "/python-v1": 12, "/batch": 48}
    (first,) = cube.data(f'{TYPE}(id, subject, extensions, data).eq(source, "/python").eq(id, "1")')
    assert first == {"id": "1", "subject": "é 100%", "extensions": {"myext": "x"}, "data": {"value": 1}}
    (refused,) = cube.rejected("cloudevents")
    assert refused["payload"] == {"specversion": "1.0", "type": "bad"}
    assert "Event 2 of the batch" in refused["reason"]


def test_the_javascript_sdk_sends_in_every_mode(cube: Running) -> None:
    *replies, status = run_node("cloudevents", "send_cloudevents.mjs", f"{cube.collector}/").splitlines()
    assert status == "204"
    assert [json.loads(reply)["body"] for reply in replies] == [""] * 4
    assert cube.metric(f'sum({TYPE}(data.value).eq(source, "/node"))') == 1 + 2 + 8 + 16
    mine = f'{TYPE}({{}}).eq(source, "/node").eq(id, "{{}}")'
    assert cube.data(mine.format("subject, data", 1)) == [{"subject": "é%", "data": {"value": 1}}]
    assert cube.data(mine.format("data_base64", 3)) == [{"data_base64": "AP8="}]


def test_a_webhooks_handshake_is_no_preflight(cube: Running) -> None:
    url = f"{cube.collector}/cloudevents"
    asked = {"WebHook-Request-Origin": "emitter.example.com", "WebHook-Request-Rate": "120"}
    granted = requests.options(url, headers=asked, timeout=10)
    assert granted.status_code == 200
    assert granted.headers["WebHook-Allowed-Origin"] == "emitter.example.com"
    assert granted.headers["WebHook-Allowed-Rate"] == "120"
    assert granted.headers["Allow"] == "POST"
    page = {"Origin": "http://localhost:3000", "Access-Control-Request-Method": "POST"}
    preflight = requests.options(url, headers=page | asked, timeout=10)
    assert "WebHook-Allowed-Origin" not in preflight.headers
    assert preflight.headers["Access-Control-Allow-Origin"] == "http://localhost:3000"


def test_what_is_no_cloudevent_is_told_so(cube: Running) -> None:
    url = f"{cube.collector}/cloudevents"
    avro = requests.post(url, b"x", headers={"Content-Type": "application/cloudevents+avro"}, timeout=10)
    assert (avro.status_code, avro.headers["Accept"].split(",")[0]) == (415, "application/cloudevents+json")
    plain = requests.post(url, json={"type": "x"}, timeout=10)
    assert (plain.status_code, "specversion" in plain.json()["error"]) == (400, True)


def test_a_webhooks_token_is_a_key_wherever_it_stands(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text(SETTINGS)
    flags = ("--config", str(tmp_path / "settings.toml"))
    event = {"specversion": "1.0", "id": "1", "source": "/s", "type": "a"}
    structured = {"Content-Type": "application/cloudevents+json"}
    with daemon("collector", f"sqlite:{tmp_path}", tmp_path, *flags) as collector:
        for query, bearer, status in (
            ("?access_token=hook-key", None, 204),
            ("", "hook-key", 204),
            ("?access_token=hook-key", "hook-key", 204),
            ("", None, 401),
            ("?access_token=other", None, 401),
            ("?access_token=hook-key", "other", 403),
        ):
            headers = structured | ({} if bearer is None else {"Authorization": f"Bearer {bearer}"})
            url = f"{collector.http}/cloudevents{query}"
            answer = requests.post(url, json.dumps(event), headers=headers, timeout=10)
            assert (query, bearer, answer.status_code) == (query, bearer, status)
            assert "hook-key" not in answer.text
