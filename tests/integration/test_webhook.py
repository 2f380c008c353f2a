"""Webhooks as services deliver them to a running collector, and metrics over what they say."""

from __future__ import annotations

import json
from pathlib import Path

import requests

from tests.foreign_client import running

SETTINGS = """
[environments.prod]
database = "test"

[[environments.prod.keys]]
name = "hooks"
key = "hook-key"
scopes = ["write"]

[[environments.prod.keys]]
name = "board"
key = "read-key"
scopes = ["read"]
"""


def test_a_delivery_that_comes_again_is_measured_once(tmp_path: Path) -> None:
    with running(tmp_path) as cube:
        for delivery in ("d1", "d1", "d2"):
            headers = {"X-GitHub-Event": "push", "X-GitHub-Delivery": delivery}
            body = {"ref": "refs/heads/main", "size": 3, "token": {"access_token": "s"}}
            answer = requests.post(
                f"{cube.collector}/1.0/webhook/github", json=body, headers=headers, timeout=30
            )
            assert (answer.status_code, answer.text) == (200, "{}")
        found = cube.evaluator.events('github(size).eq(http_headers["x-github-event"], "push")')
        assert [event.data for event in found] == [{"size": 3}] * 2
        wrong = requests.post(f"{cube.collector}/1.0/webhook/github", data=b"{", timeout=30)
        assert (wrong.status_code, "not JSON" in wrong.json()["error"]) == (400, True)
        (kept,) = cube.rejected("webhook")
        assert kept["payload"] == "{"


def test_a_key_in_the_address_is_what_it_takes(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(SETTINGS)
    with running(tmp_path, "--config", str(file)) as cube:
        address = f"{cube.collector}/1.0/webhook/stripe"
        body = json.dumps({"id": "evt_1", "created": 1_767_323_045, "amount": 5})
        statuses = [
            requests.post(address + query, data=body, timeout=30).status_code
            for query in (
                "",
                "?api_key=wrong",
                "?api_key=read-key",
                "?access_token=hook-key",
                "?api_key=hook-key",
            )
        ]
        assert statuses == [401, 401, 403, 200, 200]
        assert len(cube.evaluator.events("stripe", start="2020-01-01")) == 2
