"""Segment's clients against a running collector, and metrics over what they sent."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.foreign_client import Running, front, run_node, run_python, running, running_with

SETTINGS = """
[environments.prod]
database = "prod"

[[environments.prod.keys]]
name = "segment"
key = "write-key"
scopes = ["write"]

[[environments.prod.keys]]
name = "board"
key = "read-key"
scopes = ["read"]
"""
MESSAGE = {"userId": "u", "event": "Pixel Seen", "timestamp": "2026-01-02T00:00:00Z", "messageId": "p1"}


@pytest.fixture(scope="module")
def cube(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("segment")) as made:
        yield made


def mine(expression: str, library: str) -> str:
    return f'{expression}.eq(context.library.name, "{library}")'


@pytest.mark.parametrize("encoding", ["plain", "gzip"])
async def test_what_the_python_client_sends_again_is_measured_once(cube: Running, encoding: str) -> None:
    async with front(cube.collector, losses=1) as between:
        said = await asyncio.to_thread(run_python, "send_segment.py", between.address, "any", encoding)
    assert said == ""
    assert [passed.status for passed in between.passed] == [200, 200]
    assert ("Content-Encoding" in between.passed[0].headers) == (encoding == "gzip")
    library = "analytics-python"
    assert cube.metric(f"sum({mine('item_purchased(properties.price)', library)})") == 1 + 2 + 4
    for call in ("identify", "page", "screen", "group", "alias", "anonymous_seen"):
        assert cube.metric(f"sum({mine(call, library)})") == 1
    fields = "event, properties, user_id"
    (first,) = cube.data(mine(f"item_purchased({fields}).eq(properties.price, 1)", library))
    expected = {"event": "Item Purchased", "user_id": "u1", "properties": {"price": 1, "in stock": True}}
    assert first == expected
    assert cube.metric("sum(not_a_number)") == 0
    (refused,) = cube.rejected("segment")
    assert "NaN at data.properties.n" in refused["reason"]
    assert refused["payload"]["properties"] == {"n": "NaN", "rest": "kept"}


async def test_what_the_javascript_client_sends_again_is_measured_once(cube: Running) -> None:
    async with front(cube.collector, losses=1) as between:
        said = await asyncio.to_thread(
            run_node, "@segment/analytics-node", "send_segment.mjs", between.address, "any"
        )
    assert said == ""
    assert [passed.status for passed in between.passed] == [200, 200]
    library = "@segment/analytics-node"
    assert cube.metric(f"sum({mine('item_purchased(properties.price)', library)})") == 1 + 2 + 4
    for call in ("identify", "page", "screen", "group"):
        assert cube.metric(f"sum({mine(call, library)})") == 1
    assert cube.data(mine("page(name, category, user_id)", library)) == [
        {"name": "Home", "category": "Docs", "user_id": "u1"}
    ]


def test_a_single_call_and_a_pixel_are_stored(cube: Running) -> None:
    single = {"userId": "single", "event": "Single Call", "timestamp": "2026-01-02T00:00:00Z"}
    answer = requests.post(f"{cube.collector}/v1/track", json=single, timeout=10)
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    data = base64.b64encode(json.dumps(MESSAGE).encode()).decode()
    for _ in range(2):
        shown = requests.get(f"{cube.collector}/v1/pixel/track", params={"data": data}, timeout=10)
        assert (shown.status_code, shown.headers["Content-Type"]) == (200, "image/gif")
    broken = requests.get(f"{cube.collector}/v1/pixel/track?data=%7B", timeout=10)
    assert (broken.status_code, broken.content[:6]) == (200, b"GIF89a")
    assert (cube.metric("sum(single_call)"), cube.metric("sum(pixel_seen)")) == (1, 1)


def test_a_bad_message_costs_only_itself(cube: Running) -> None:
    batch = {"batch": [MESSAGE | {"event": "Good", "type": "track"}, {"type": "track", "writeKey": "secret"}]}
    answer = requests.post(f"{cube.collector}/v1/batch", json=batch, timeout=10)
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    assert cube.metric("sum(good)") == 1
    refused = cube.rejected("segment")[-1]
    assert refused["payload"]["type"] == "track"
    assert "writeKey" in refused["payload"]
    assert "secret" not in json.dumps(refused)
    broken = requests.post(f"{cube.collector}/v1/batch", b"{", timeout=10)
    assert broken.status_code == 400


def test_the_write_key_is_a_key_wherever_it_stands(tmp_path: Path) -> None:
    with running_with(tmp_path, SETTINGS, "prod") as prod:
        lost = run_python("send_segment.py", prod.collector, "unknown", "plain")
        assert "lost 10" in lost
        assert prod.metric("sum(identify)") in (None, 0)
        assert run_python("send_segment.py", prod.collector, "write-key", "plain") == ""
        assert prod.metric("sum(identify)") == 1
        url = f"{prod.collector}/v1/page"
        for body, status in (
            ({"userId": "u"}, 401),
            ({"userId": "u", "writeKey": "write-key"}, 200),
            ({"userId": "u", "writeKey": "read-key"}, 401),
        ):
            assert requests.post(url, json=body, timeout=10).status_code == status
        data = json.dumps(MESSAGE | {"writeKey": "write-key"})
        for given in (data, data.replace("write-key", "unknown").replace("p1", "p2")):
            shown = requests.get(f"{prod.collector}/v1/pixel/track", params={"data": given}, timeout=10)
            assert (shown.status_code, shown.content[:6]) == (200, b"GIF89a")
        assert prod.metric("sum(pixel_seen)") == 1
