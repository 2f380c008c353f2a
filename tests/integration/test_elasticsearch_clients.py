"""Elastic's clients against a running collector, and metrics over what they sent."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.foreign_client import WRITE_KEY, Running, run_node, run_python, running_with
from tests.tools import NODE, node_package

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


def test_what_pino_ships_is_measured_and_its_last_question_answered(keyed: Running) -> None:
    """Once its lines are sent it has each index refreshed, and takes an error for one of its own."""
    node, program = node_package("pino-elasticsearch"), NODE / "node_modules/pino-elasticsearch/cli.js"
    command = [node, "--no-deprecation", str(program), "--node", keyed.collector, "--index", "pino-%{DATE}"]
    lines = "".join(
        f"{json.dumps({'level': 30, 'time': 1_767_323_045_678 + n, 'msg': 'bought', 'price': 2**n})}\n"
        for n in range(3)
    )
    done = subprocess.run(
        [*command, "--api-key", WRITE_KEY], input=lines, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert keyed.metric('sum(pino(price).eq(msg, "bought"))') == 7
