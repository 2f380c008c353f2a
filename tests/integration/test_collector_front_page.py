"""What the collector answers who opens its address in a browser; a dialect's POST to it stays as it is."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.collector_stage import staged
from tests.daemon import daemon
from tests.web_client import ask

EVENT = {"specversion": "1.0", "id": "1", "source": "/a", "type": "com.acme.made"}


async def test_the_address_says_what_it_is_and_how_to_send_to_it(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        page = await ask(stage.port, "GET", "/", headers={"Host": f"127.0.0.1:{stage.port}"})
        text = page.body.decode()

    assert page.status == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe-inline" not in policy
    assert "This is the collector of Cube" in text
    assert f"curl -s http://127.0.0.1:{stage.port}/1.0/event" in text
    assert "<script" not in text
    assert {"/openapi.json", "/readyz"} <= set(re.findall('href="([^"]+)"', text))


async def test_elastics_clients_find_their_product_there(tmp_path: Path) -> None:
    with daemon("collector", f"sqlite:{tmp_path}", tmp_path, "--dialects-cloudevents", "true") as running:
        for name in (
            "elasticsearch-py/9.5.1 (Python/3.11)",
            "Elastic-Filebeat/8.15.0 (linux)",
            "Logstash/8.15",
            "opensearch-py/3.2.0 (Python 3.11.7)",
            "opensearch-js/3.9.0 (linux 6.1.0-x64; Node.js v20.20.2)",
            "Vector/0.40.0",
        ):
            asked = await ask(running.port, "GET", "/", headers={"User-Agent": name})
            assert asked.headers["x-elastic-product"] == "Elasticsearch"
            assert asked.json["tagline"] == "You Know, for Search"
        other = await ask(running.port, "GET", "/", headers={"User-Agent": "curl/7.88.1"})
    assert other.headers["content-type"] == "text/html; charset=utf-8"


async def test_events_of_cloudevents_are_still_posted_there(tmp_path: Path) -> None:
    with daemon("collector", f"sqlite:{tmp_path}", tmp_path, "--dialects-cloudevents", "true") as running:
        page = await ask(running.port, "GET", "/")
        posted = await ask(
            running.port,
            "POST",
            "/",
            json.dumps(EVENT).encode(),
            {"Content-Type": "application/cloudevents+json"},
        )
        other = await ask(running.port, "DELETE", "/")

    assert (page.status, posted.status, other.status) == (200, 204, 405)
    assert other.headers["allow"] == "GET, HEAD, POST, OPTIONS"
