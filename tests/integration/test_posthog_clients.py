"""PostHog's libraries against a running collector, and metrics over what they sent."""

from __future__ import annotations

import asyncio
import gzip
import json

import pytest
import requests

from tests.foreign_client import WRITE_KEY, Running, front, run_node, run_python

EVENT = {"event": "$pageview", "distinct_id": "u9", "uuid": "A1", "timestamp": "2026-01-02T00:00:00Z"}


@pytest.mark.parametrize("how", ["plain", "gzip", "v1"])
async def test_what_the_python_library_sends_again_is_measured_once(keyed: Running, how: str) -> None:
    async with front(keyed.collector, losses=1) as between:
        said = await asyncio.to_thread(run_python, "send_posthog.py", between.address, WRITE_KEY, how)
    assert said == "flag None\n"
    assert {passed.status for passed in between.passed} == {200}
    assert keyed.metric(f'sum(item_bought(properties.price).eq(properties.how, "{how}"))') == 1 + 2 + 4
    assert keyed.metric("sum(exception)") >= 1  # type: ignore[operator]
    (bought,) = keyed.data(
        f'item_bought(event, distinct_id).eq(properties.how, "{how}").eq(properties.price, 1)'
    )
    assert bought == {"event": "Item Bought", "distinct_id": "u1"}


async def test_what_the_npm_library_sends_again_is_measured_once(keyed: Running) -> None:
    async with front(keyed.collector, losses=1) as between:
        said = await asyncio.to_thread(
            run_node, "posthog-node", "send_posthog.mjs", between.address, WRITE_KEY
        )
    assert said == "flag undefined\n"
    assert {passed.status for passed in between.passed} == {200}
    assert keyed.metric('sum(item_bought(properties.price).eq(properties.how, "node"))') == 1 + 2 + 4


def test_a_page_posts_gzip_as_text_and_asks_how_to(keyed: Running) -> None:
    body = gzip.compress(json.dumps({"api_key": WRITE_KEY, "batch": [EVENT, {**EVENT, "event": 5}]}).encode())
    for _ in range(2):
        answer = requests.post(
            f"{keyed.collector}/e/?ip=1&_=1", data=body, headers={"Content-Type": "text/plain"}, timeout=60
        )
        assert (answer.status_code, answer.json()) == (200, {"status": 1})
    assert keyed.metric('sum(pageview.eq(distinct_id, "u9"))') == 1
    assert "Got 5 as the event" in str(keyed.rejected("posthog"))
    config = requests.get(f"{keyed.collector}/array/{WRITE_KEY}/config", timeout=60).json()
    assert (config["supportedCompression"], config["hasFeatureFlags"]) == (["gzip", "gzip-js"], False)
    script = requests.get(f"{keyed.collector}/array/{WRITE_KEY}/config.js", timeout=60)
    assert (script.status_code, script.headers["Content-Type"]) == (200, "text/javascript")
    assert requests.post(f"{keyed.collector}/s/", json={"token": WRITE_KEY}, timeout=60).json() == {
        "status": 1
    }


def test_the_projects_key_is_the_environments(keyed: Running) -> None:
    statuses = []
    for key in (WRITE_KEY, "phc_unknown", None):
        body = {"batch": [{**EVENT, "uuid": str(key)}], **({"api_key": key} if key else {})}
        answer = requests.post(f"{keyed.collector}/batch/", json=body, timeout=60)
        statuses.append(answer.status_code)
    told = answer.json()
    asked = requests.get(f"{keyed.collector}/array/{WRITE_KEY}/config", timeout=60)
    other = requests.get(f"{keyed.collector}/array/phc_unknown/config", timeout=60)
    assert (statuses, told["type"]) == ([200, 401, 401], "authentication_error")
    assert (asked.status_code, other.status_code) == (200, 401)
