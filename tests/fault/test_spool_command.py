"""``cube spool`` on what collectors left behind."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.end_to_end.serving import cube
from tests.fault.sending import put
from tests.fault.stage import Stage, event, stage, until_stored

__all__ = ["stage"]


def listed(stage: Stage) -> list[dict[str, Any]]:
    answer = cube("spool", "list", "--directory", str(stage.directory / "spool"), cwd=stage.directory)
    assert answer.returncode == 0, answer.stderr
    return [json.loads(line) for line in answer.stdout.splitlines()]


def drain(stage: Stage, *flags: str, store: str = "") -> str:
    where = ("--directory", str(stage.directory / "spool"), "--store", store or stage.proxy.url)
    answer = cube("spool", "drain", *where, *flags, cwd=stage.directory)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout + answer.stderr


def test_it_lists_and_drains_what_no_collector_owns(stage: Stage) -> None:
    with stage.collector() as collector:
        until_stored(collector, event(1, "old"))
        with stage.unreachable():
            assert put(collector, [event(1, "new"), event(2)])[0] == 202
            (file,) = listed(stage)
            assert (file["owner"], file["events"], file["quarantined"]) == ("a collector", 2, 0)
            assert Path(file["path"]).exists()
            assert file["bytes"] > 0
            assert file["oldest"].endswith("Z")
            assert drain(stage) == "0 events stored, 0 quarantined.\n"
            collector.process.kill()
            collector.process.wait()
    assert [(file["owner"], file["events"]) for file in listed(stage)] == [("nobody", 2)]
    other = drain(stage, store=f"sqlite:{stage.directory / 'data'}")
    assert other.startswith("0 events stored, 0 quarantined.\n1 files are of other stores")
    assert stage.stored() == {1: "old"}
    assert drain(stage) == "2 events stored, 0 quarantined.\n"
    assert stage.stored() == {1: "new", 2: None}
    assert listed(stage) == []


def test_files_of_another_store_are_drained_when_that_is_asked_for(stage: Stage) -> None:
    with stage.collector() as collector, stage.unreachable():
        assert put(collector, [event(1)])[0] == 202
        collector.process.kill()
        collector.process.wait()
    store = f"sqlite:{stage.directory / 'data'}"
    assert drain(stage, "--any-store", store=store) == "1 events stored, 0 quarantined.\n"
    with closing(sqlite3.connect(stage.directory / "data" / f"{stage.database}.events.db")) as database:
        ((name,),) = database.execute("SELECT name FROM types")
    assert name == "test"


def test_a_directory_that_is_not_there_is_told(tmp_path: Path) -> None:
    answer = cube("spool", "list", "--directory", str(tmp_path / "none"), cwd=tmp_path)
    assert (answer.returncode, answer.stderr) == (
        2,
        f"cube: There is no spool directory {tmp_path / 'none'}.\n",
    )


def test_a_store_that_is_away_is_told_and_costs_nothing(stage: Stage) -> None:
    with stage.collector() as collector, stage.unreachable():
        assert put(collector, [event(1)])[0] == 202
        collector.process.kill()
        collector.process.wait()
        where = ("--directory", str(stage.directory / "spool"), "--store", stage.proxy.url)
        answer = cube("spool", "drain", *where, cwd=stage.directory)
        assert answer.returncode == 1
        assert answer.stderr.startswith("cube: No MongoDB answers at")
    assert [(file["owner"], file["events"]) for file in listed(stage)] == [("nobody", 1)]
