"""`docs/operations.md` names every metric, and what it says to do works."""

from __future__ import annotations

import json
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote
from urllib.request import urlopen

import pytest

from tests.daemon import Daemon, daemon
from tests.docs.console import commands
from tests.docs.runners import run_by
from tests.docs.shell import Shell
from tests.mongo_server import MongoServer
from tests.tools import tool
from tests.web_client import ask

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "operations.md").read_text()
REFERENCE = (ROOT / "docs" / "reference.md").read_text()


def metrics_of(process: Daemon) -> set[str]:
    with urlopen(f"{process.http}/metrics") as answer:
        names = re.findall(r"^# HELP (\S+) ", answer.read().decode(), re.MULTILINE)
    return {name for name in names if not name.endswith("_created")}


@pytest.fixture(scope="module")
def metrics(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Everything that either daemon tells, with all that can be switched on."""
    directory = tmp_path_factory.mktemp("metrics")
    all_on = ("--processes", "2", "--spool-directory", str(directory / "spool"))
    statsd = ("--dialects-statsd", "true", "--dialects-statsd-port", "0")
    with (
        MongoServer() as server,
        daemon("collector", server.url, directory, *all_on, *statsd) as collector,
        daemon("evaluator", server.url, directory) as evaluator,
    ):
        return metrics_of(collector) | metrics_of(evaluator)


def test_the_reference_lists_every_metric_of_either_daemon(metrics: set[str]) -> None:
    chapter = REFERENCE[REFERENCE.index("## Metrics") :]
    listed = set(re.findall(r"^\| `(\w+)` \|", chapter, re.MULTILINE))
    assert len(metrics) > 30
    assert (metrics - listed, listed - metrics) == (set(), set())


def test_every_metric_that_is_explained_exists(metrics: set[str]) -> None:
    tables = [line.split("|")[1] for line in PAGE.splitlines() if line.startswith("| `")]
    named = {name for cell in tables for name in re.findall(r"`((?:cube|process|python)_\w+)`", cell)}
    assert len(named) > 30
    assert named - metrics == set()


@contextmanager
def both(folder: Path) -> Iterator[tuple[Daemon, Daemon]]:
    """Run both daemons on the store in `folder`/data."""
    store, database = f"sqlite:{folder}/data", "cube_development"
    with (
        daemon("collector", store, folder, database=database) as collector,
        daemon("evaluator", store, folder, database=database) as evaluator,
    ):
        yield collector, evaluator


async def count(evaluator: Daemon) -> float:
    query = f"expression={quote('sum(a)')}&step=86400000&start=2020-01-01&stop=2020-01-02"
    found: float = json.loads((await ask(evaluator.port, "GET", f"/1.0/metric?{query}")).body)[0]["value"]
    return found


async def store(collector: Daemon, first: int, last: int) -> None:
    events = [{"type": "a", "time": "2020-01-01T12:00Z", "id": id} for id in range(first, last)]
    assert (await ask(collector.port, "POST", "/1.0/event", json.dumps(events).encode())).status == 200


async def test_a_sqlite_backup_of_a_running_daemon_restores_to_what_it_held(tmp_path: Path) -> None:
    """With the cache of metrics left as it was, which by then knows of later events."""
    [block] = [block for block in run_by(__file__) if "VACUUM INTO" in block.text]
    [command] = commands(f"```console\n{block.text}```\n")
    backup = tmp_path / "backup" / "events.db"
    for folder in ("data", "backup"):
        (tmp_path / folder).mkdir()
    live = tmp_path / "data" / "cube_development.events.db"
    tool("sqlite3")
    with both(tmp_path) as (collector, evaluator):
        await store(collector, 0, 100)
        assert await count(evaluator) == 100
        with Shell(tmp_path) as shell:
            assert shell.run(command.text.replace("/backup/", f"{backup.parent}/")) == ""
        assert stat.S_IMODE(backup.stat().st_mode) == 0o600
        await store(collector, 100, 150)
        assert await count(evaluator) == 150
    for suffix in ("-wal", "-shm"):
        live.with_name(live.name + suffix).unlink(missing_ok=True)
    shutil.copy(backup, live)
    with both(tmp_path) as (collector, evaluator):
        assert await count(evaluator) == 100
        await store(collector, 200, 210)
        assert await count(evaluator) == 110
