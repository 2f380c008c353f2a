"""Elastic's clients against a running collector, and metrics over what they sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.foreign_client import run_node, run_python, running_with

SETTINGS = """
[environments.prod]
database = "prod"

[[environments.prod.keys]]
name = "shipper"
key = "KEY1"
scopes = ["write"]

[[environments.prod.keys]]
name = "board"
key = "read-key"
scopes = ["read"]
"""


@pytest.mark.parametrize("language", ["python", "node"])
def test_documents_are_measured_and_what_is_wrong_costs_no_other(tmp_path: Path, language: str) -> None:
    with running_with(tmp_path, SETTINGS, "prod") as cube:
        if language == "python":
            said = run_python("send_elasticsearch.py", cube.collector, "KEY1")
        else:
            said = run_node("@elastic/elasticsearch", "send_elasticsearch.mjs", cube.collector, "KEY1")
        assert said.split("\n")[:4] == ["6 [400]", "created", "created", "created"]
        assert cube.metric("sum(shop(price))") == 2 * (1 + 2 + 4)
        assert cube.metric("sum(sale(n))") == 5 + 7
        (refused,) = cube.rejected("elasticsearch")
        assert "delete" in refused["reason"]
