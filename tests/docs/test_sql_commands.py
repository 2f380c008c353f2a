"""The commands of `docs/sql.md` run, and an error is told as the page shows it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import requests

from tests.daemon import Daemon, daemon
from tests.docs.blocks import of
from tests.docs.shell import Shell
from tests.tools import SLOW

PAGE = "docs/sql.md"
START, ASK = of(PAGE, "sh")
SECONDS = 60


@pytest.fixture(scope="module")
def daemons(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Daemon]]:
    folder = tmp_path_factory.mktemp("sql")
    (folder / "data").mkdir()
    store = f"sqlite:{folder}/data"
    with daemon("collector", store, folder, database="cube_development") as collector:
        events = [{"type": "request", "data": {"path": "/", "ms": 1}}] * 3
        assert requests.post(f"{collector.http}/1.0/event", json=events, timeout=SECONDS).status_code == 200
    with daemon(
        "evaluator", store, folder, "--sql-enabled", "true", database="cube_development"
    ) as evaluator:
        yield folder, evaluator


def test_sql_is_switched_on_as_the_page_says() -> None:
    variable, flag = "CUBE_SQL_ENABLED=true cube serve", "cube-evaluator --sql-enabled true"
    assert variable in START.text
    assert flag in START.text


@SLOW
def test_every_command_answers(daemons: tuple[Path, Daemon]) -> None:
    folder, evaluator = daemons
    with Shell(folder) as shell:
        shell.run(f"export PATH={Path(sys.executable).parent}:$PATH CUBE_EVALUATOR={evaluator.http}")
        shell.run("unset CUBE_STORE CUBE_CONFIG CUBE_DATABASE CUBE_KEY")
        told = []
        for line in ASK.text.splitlines():
            command = line.replace("127.0.0.1:1081", f"127.0.0.1:{evaluator.port}").partition(" #")[0]
            told.append(shell.run(f"echo 'SELECT 7 AS seven' | ( {command} )"))
    assert json.loads(told[0]) == {"path": "/", "count_star()": 3}
    assert pq.read_table(folder / "requests.parquet").column("ms").to_pylist() == [1, 1, 1]
    assert json.loads(told[2]) == {"seven": 7}
    assert [json.loads(line)["path"] for line in told[3].splitlines()] == ["/"] * 3
    assert told[4].split() == ["count_star()", "3"]


def test_a_type_that_is_not_there_is_told_as_the_page_shows(daemons: tuple[Path, Daemon]) -> None:
    [shown] = of(PAGE, "text")
    _, evaluator = daemons
    asked = {"statement": "FROM requests"}
    answer = requests.post(f"{evaluator.http}/1.0/sql", json=asked, timeout=SECONDS)
    assert answer.status_code == 400
    beginning = shown.text.partition(", …")[0].replace('": "', '":"').replace('", "', '","')
    assert answer.text.startswith(beginning), answer.text
