"""Commands of the documents that no other test runs do what is shown there, against two running daemons."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from cube.model.board import Board
from cube.store.record_ports import NO_REVISION, StoredBoard
from cube.store.sqlite import open_store
from tests.daemon import Daemon, daemon
from tests.docs.blocks import Block, of
from tests.docs.console import Command, commands
from tests.docs.runners import run_by
from tests.docs.shell import Shell
from tests.tools import SLOW, tool

OWN = run_by(__file__)
SECONDS = 60.0
STATUS = "; printf '\\nstatus %s\\n' $?"
EVENTS = [
    {
        "type": "request",
        "time": f"2026-11-02T12:00:{second:02}Z",
        "data": {"user": "xy"[second % 2], "customer": "acme", "duration_ms": second, "host": "web1"},
    }
    for second in range(60)
]
BOARD = b'{"version": 1, "title": "Shop", "charts": [{"expressions": ["sum(request)"]}]}'
FILES = {"access.jsonl": '{"ts": "2026-11-02T12:00:07Z", "path": "/"}\n' * 3}


@dataclass(frozen=True, slots=True)
class Place:
    """Two daemons, and the folder in which commands are typed; its ``data`` is their store."""

    folder: Path
    collector: Daemon
    evaluator: Daemon

    def here(self, text: str) -> str:
        """Return a text of a page with the addresses and files of this run."""
        statsd = (self.collector.statsd or "").rpartition(":")[2]
        for there, ours in {
            "/udp/127.0.0.1/8125": f"/udp/127.0.0.1/{statsd}",
            "https://collect.example.com": self.collector.http,
            "https://cube.example.com": self.evaluator.http,
            "127.0.0.1:1080": f"127.0.0.1:{self.collector.port}",
            "127.0.0.1:1081": f"127.0.0.1:{self.evaluator.port}",
            "/etc/cube/collector.toml": str(self.folder / "collector.toml"),
        }.items():
            text = text.replace(there, ours)
        return text

    def counted(self, figure: str) -> float:
        """Return a figure of the collector."""
        told = requests.get(f"{self.collector.http}/metrics", timeout=SECONDS).text
        found = re.search(rf"^{figure} (\S+)$", told, re.MULTILINE)
        return float(found[1]) if found else 0.0


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("shell")
    (folder / "data").mkdir()
    for name, content in FILES.items():
        (folder / name).write_text(content)
    [access] = [block.text for block in of("docs/access.md", "toml") if "[environments.prod]" in block.text]
    (folder / "collector.toml").write_text(f'store = "sqlite:{folder}/keyed"\n{access}')
    (folder / "keyed").mkdir()
    asyncio.run(save_board(folder / "keyed"))
    store, on = f"sqlite:{folder}/data", ("--dialects-statsd", "true", "--dialects-statsd-port", "0")
    with (
        daemon(
            "collector",
            store,
            folder,
            *on,
            *("--limits-keyless-deletion", "true"),
            database="cube_development",
        ) as collector,
        daemon("evaluator", store, folder, database="cube_development") as evaluator,
    ):
        sent = requests.post(f"{collector.http}/1.0/event", json=EVENTS, timeout=SECONDS)
        assert sent.status_code == 200, sent.text
        yield Place(folder, collector, evaluator)


async def save_board(folder: Path) -> None:
    """Save a board in a store of its own: a key there locks nobody else out."""
    store = await open_store(folder, "cube_development")
    await store.boards.save(StoredBoard("shop", 1, 0, Board.parse(BOARD).text(), "", 0), NO_REVISION, 1)
    await store.close()


@pytest.fixture(scope="module")
def shell(place: Place) -> Iterator[Shell]:
    with Shell(place.folder) as bash:
        bash.run(f"export PATH={Path(sys.executable).parent}:$PATH:/usr/sbin")
        bash.run("unset CUBE_CONFIG CUBE_DATABASE CUBE_KEY")
        bash.run(f"export CUBE_COLLECTOR={place.collector.http} CUBE_EVALUATOR={place.evaluator.http}")
        yield bash


def changed(command: str) -> str:
    """Return a command as it can be run here: a terminal to answer on, a cluster that is only planned."""
    if command.startswith("cube delete "):
        return f"echo y | TERM=dumb script -qec {json.dumps(command)} /dev/null | tr -d '\\r'"
    if "mongos.example" in command:
        return f"{command} --dry-run"
    if command.startswith("cube keys add"):
        return f"{command} --create"
    if command.startswith("cube board link"):
        return f"{command} --store sqlite:keyed"
    return command


PAGES = sorted({block.page for block in OWN if block.language == "console"})
LONG_PAGES = ("docs/access.md", "docs/operations.md")
"""Of many commands, whose like `tests/end_to_end/test_help` runs."""


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=SLOW) if page in LONG_PAGES else page for page in PAGES],
    ids=lambda page: Path(page).stem,
)
def test_every_command_prints_what_is_shown(page: str, place: Place, shell: Shell) -> None:
    for block in OWN:
        if block.page == page and block.language == "console":
            for command in commands(f"```console\n{block.text}```\n"):
                check(command, place, shell)


def check(command: Command, place: Place, shell: Shell) -> None:
    before = place.counted("cube_events_stored_total")
    printed = shell.run(f"( {changed(place.here(command.text))} ){STATUS}")
    *lines, status = [line for line in printed.splitlines() if line]
    assert status == "status 0", printed
    if "--dry-run" in changed(command.text):
        assert {line.partition(" ")[0] for line in command.output} <= set(re.findall(r"[\w.]+", printed))
    elif command.output:
        assert masked(lines) == masked(place.here(line) for line in command.output), printed
    deadline = time.monotonic() + SECONDS
    while "/dev/udp/" in command.text and place.counted("cube_events_stored_total") == before:
        assert time.monotonic() < deadline, "the datagram was not stored"
        time.sleep(0.02)


def masked(lines: Iterator[str] | list[str]) -> list[str]:
    """Return lines without what differs from run to run: numbers, keys, who is at work where, progress."""
    told = (line for line in lines if line != "y" and not line.endswith(" %."))
    told = (re.sub(r"link-shop-[0-9a-f]+", "link-shop-0", line) for line in told)
    told = (re.sub(r"^cube_[\w…-]+$", "cube_…", line) for line in told)
    told = (re.sub(r"^\S+ at \S+ with", "somebody with", line) for line in told)
    return [re.sub(r"\d+", "0", line.removesuffix(" y").strip()) for line in told]


def test_the_eye_is_asked_as_its_page_shows(place: Place, shell: Shell) -> None:
    [block] = of("docs/dialects/eye.md", "sh")
    [shown] = of("docs/dialects/eye.md", "json")
    printed = shell.run(place.here(block.text.replace("curl ", "curl -s ")))
    answer = json.loads(printed[printed.rindex('{"count"') :])
    page = json.loads(shown.text)
    assert answer.keys() == page.keys()
    assert answer["results"] == page["results"]


def test_events_of_another_evaluator_are_imported(place: Place, shell: Shell) -> None:
    [block] = of("docs/import.md", "sh")
    database, evaluator = block.text.splitlines()
    assert database.startswith("cube import mongodb://127.0.0.1:27017/cube_development ")
    there = place.here(evaluator).replace("http://cube.example.com:1081", place.evaluator.http)
    printed = shell.run(f"( {there}\n){STATUS}")
    assert printed.rstrip().endswith("status 0"), printed


def test_exporters_of_opentelemetry_take_what_the_page_sets(place: Place, shell: Shell) -> None:
    [block] = of("docs/dialects/otlp.md", "sh")
    before = place.counted('cube_dialect_events_total{dialect="otlp"}')
    program = (
        "from opentelemetry.sdk.metrics import MeterProvider\n"
        "from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader\n"
        "from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter\n"
        "provider = MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter())])\n"
        "provider.get_meter('shop').create_counter('items').add(1)\n"
        "provider.shutdown()\n"
    )
    (place.folder / "send.py").write_text(program)
    printed = shell.run(f"( {place.here(block.text)}\npython send.py )")
    assert place.counted('cube_dialect_events_total{dialect="otlp"}') == before + 1, printed


def test_collectd_takes_its_plugin(tmp_path: Path) -> None:
    [block] = of("docs/dialects/collectd.md", "apache")
    file = tmp_path / "collectd.conf"
    file.write_text(f'BaseDir "{tmp_path}"\nHostname "test"\n{block.text}')
    checked = subprocess.run(
        [tool("collectd"), "-t", "-C", file], capture_output=True, text=True, timeout=60, check=False
    )
    assert (checked.returncode, checked.stderr) == (0, "")


def test_prometheus_takes_the_job_that_scrapes(tmp_path: Path) -> None:
    [block] = of("docs/prometheus.md", "yaml")
    file = tmp_path / "prometheus.yml"
    file.write_text(block.text)
    checked = subprocess.run(
        [tool("promtool"), "check", "config", file], capture_output=True, text=True, timeout=60, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_caddy_takes_the_recipe_for_a_proxy(tmp_path: Path) -> None:
    [block] = of("docs/operations.md", "text")
    file = tmp_path / "Caddyfile"
    file.write_text(block.text)
    checked = subprocess.run(
        [tool("caddy"), "adapt", "--config", file, "--adapter", "caddyfile"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "HOME": str(tmp_path)},
    )
    assert checked.returncode == 0, checked.stderr
    routes = json.loads(checked.stdout)["apps"]["http"]["servers"]["srv0"]["routes"]
    assert {host for route in routes for match in route["match"] for host in match["host"]} == {
        "collect.example.com",
        "cube.example.com",
    }


def test_all_blocks_of_this_file_are_run() -> None:
    apart = {"docs/dialects/eye.md", "docs/import.md", "docs/dialects/otlp.md"}
    others = {"docs/dialects/collectd.md", "docs/prometheus.md", "docs/operations.md"}

    def is_run(block: Block) -> bool:
        return block.language == "console" or block.page in apart | others

    assert [block for block in OWN if not is_run(block)] == []
