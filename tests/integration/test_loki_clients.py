"""What logs to Loki against a running collector, and metrics over what it sent."""

from __future__ import annotations

import json
import subprocess

import pytest
import requests

from tests.foreign_client import WRITE_KEY, Running, run_node, run_python
from tests.tools import NODE, node_package

LINES = [
    {"level": 30, "time": 1_767_323_045_678 + n, "hostname": "web14", "msg": "bought", "price": 2**n}
    for n in range(3)
]


@pytest.mark.parametrize("version", ["0", "1"])
def test_what_the_python_handler_logs_is_stored(keyed: Running, version: str) -> None:
    assert run_python("send_loki.py", keyed.collector, WRITE_KEY, version) == ""
    found = keyed.evaluator.events(f'log(line, labels.severity).eq(labels.how, "python_{version}")')
    assert [event.data for event in found] == [
        {"line": "bought a book", "labels": {"severity": "warning"}},
        {"line": "no books left", "labels": {"severity": "error"}},
    ]


@pytest.mark.parametrize("how", ["snappy", "json"])
def test_what_winston_logs_is_measured_once_though_sent_twice(keyed: Running, how: str) -> None:
    for _ in range(2):
        assert run_node("winston-loki", "send_loki.mjs", keyed.collector, WRITE_KEY, how) == ""
    assert keyed.metric(f'sum(log(fields.price).eq(labels.how, "{how}").eq(labels.level, "info"))') == 7


def test_what_pino_logs_is_measured(keyed: Running) -> None:
    node, program = node_package("pino-loki"), NODE / "node_modules/pino-loki/dist/cli.mjs"
    labels = json.dumps({"app": "shop", "how": "pino"})
    command = [node, str(program), "--hostname", keyed.collector, "--user", "tenant", "--password", WRITE_KEY]
    lines = "".join(f"{json.dumps(line)}\n" for line in LINES)
    done = subprocess.run(
        [*command, "--labels", labels], input=lines, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr == ""
    assert keyed.metric('sum(log(fields.price).eq(labels.how, "pino").eq(labels.hostname, "web14"))') == 7


def test_a_tenant_is_anything_and_its_password_is_the_key(keyed: Running) -> None:
    stream = {"stream": {"how": "bad"}, "values": [["1767323045678000000", "a"], ["soon", "b"]]}

    def answer(*auth: str) -> requests.Response:
        url = f"{keyed.collector}/loki/api/v1/push"
        return requests.post(url, json={"streams": [stream]}, auth=auth or None, timeout=60)  # type: ignore[arg-type]

    stored, unknown, nobody = answer(WRITE_KEY, WRITE_KEY), answer(WRITE_KEY, "wrong"), answer()
    assert (stored.status_code, stored.content) == (204, b"")
    assert [unknown.status_code, nobody.status_code] == [401, 401]
    assert nobody.text.startswith("A key is needed")
    assert keyed.metric('sum(log.eq(labels.how, "bad"))') == 1
    assert [each["payload"]["entry"] for each in keyed.rejected("loki")] == [["soon", "b"]]
