"""Mixpanel's libraries against a running collector, and metrics over what they sent."""

from __future__ import annotations

import json

import pytest
import requests

from tests.foreign_client import WRITE_KEY, Running, run_node, run_python


def test_what_the_python_library_sends_is_measured(keyed: Running) -> None:
    assert run_python("send_mixpanel.py", keyed.collector, WRITE_KEY) == ""
    for how, total in (("python", 7), ("import", 8), ("buffered", 7)):
        assert keyed.metric(f'sum(item_bought(properties.price).eq(properties.how, "{how}"))') == total
    assert len(keyed.data('mixpanel_profile(*).eq(["$set"].plan, "pro")')) == 1
    assert keyed.evaluator.events('mixpanel_group(*).eq(["$group_id"], "acme")')


def test_what_the_npm_library_sends_is_measured(keyed: Running) -> None:
    assert run_node("mixpanel", "send_mixpanel.mjs", keyed.collector, WRITE_KEY) == ""
    for how in ("npm", "npm verbose"):
        assert keyed.metric(f'sum(item_bought(properties.price).eq(properties.how, "{how}"))') == 31


@pytest.mark.parametrize("key", ["unknown", ""])
def test_a_token_that_is_unknown_is_told(keyed: Running, key: str) -> None:
    data = json.dumps({"event": "a", "properties": {"token": key}})
    for path in ("/track", "/mixpanel/track", "/engage"):
        answer = requests.post(f"{keyed.collector}{path}", data={"data": data, "verbose": 1}, timeout=60)
        assert (answer.status_code, answer.json()["status"]) == (401, 0)


def test_tracardi_has_its_path_still(keyed: Running) -> None:
    payload = {
        "source": {"id": WRITE_KEY},
        "events": [{"type": "tracardi-seen", "time": {"create": "2026-01-02T03:04:05Z"}}],
    }
    answer = requests.post(f"{keyed.collector}/track", json=payload, timeout=60)
    assert (answer.status_code, "task" in answer.json()) == (200, True)
    assert keyed.metric("sum(tracardi_seen)") == 1
    refused = requests.post(f"{keyed.collector}/track", json={"source": 5}, timeout=60)
    assert (refused.status_code, list(refused.json())) == (401, ["detail"])
