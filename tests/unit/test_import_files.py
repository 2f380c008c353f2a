"""`cube import` takes files for what they are, and one that cannot be read costs no other."""

from __future__ import annotations

import gzip
import io
import json
import os
from pathlib import Path
from typing import Final

import pytest

from cube.importing.opening import OpenedFile, sniffed
from tests.importing import Imports

JSON_LINE: Final = '{"time":1600000000000,"n":1}\n'


@pytest.fixture
def imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Imports:
    return Imports(tmp_path, monkeypatch)


def _refuse(*_: object) -> None:
    raise PermissionError(13, "Permission denied")


def test_what_cannot_be_read_in_a_directory_is_told_and_the_rest_is_imported(
    imports: Imports,
) -> None:
    folder = imports.folder / "logs"
    (folder / "empty").mkdir(parents=True)
    (folder / "cut.jsonl.gz").write_bytes(gzip.compress((JSON_LINE * 300).encode())[:-20])
    (folder / "gone.jsonl").symlink_to(folder / "nowhere")
    os.mkfifo(folder / "pipe.jsonl")
    for name in ("a.jsonl", "z.jsonl"):
        (folder / name).write_text(json.dumps({"time": 1577836800000, "from": name}) + "\n")
    result = imports.run("logs", "not there.csv", "logs/empty", "logs/z.jsonl", "--type", "x")
    assert result.exit_code == 2
    for told in (
        "cut.jsonl.gz is damaged",
        "gone.jsonl cannot be read: No such file",
        "not there.csv",
        "/empty;",
    ):
        assert told in result.stderr
    assert {"a.jsonl", "z.jsonl"} <= {data.get("from") for data in imports.collector.data()}
    assert "pipe.jsonl" not in result.output


@pytest.mark.parametrize("broken", ["io.FileIO", "Path.iterdir"])
def test_files_and_directories_that_may_not_be_read_are_told(
    imports: Imports, broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tests may run as root, whom no permissions stop."""
    (imports.folder / "closed").mkdir()
    imports.write("closed/x.jsonl" if "FileIO" in broken else "y.jsonl", JSON_LINE)
    imports.write("z.json", f"[{JSON_LINE}]")
    place = imports.folder / "closed" / "x.jsonl"
    real = io.FileIO
    with monkeypatch.context() as patched:
        if broken == "io.FileIO":
            patched.setattr(
                "cube.importing.opening.io.FileIO",
                lambda name: _refuse() if name == str(place) else real(name),
            )
        else:
            patched.setattr("cube.importing.opening.Path.iterdir", _refuse)
        result = imports.run(str(imports.folder / "closed"), "z.json")
    assert (result.exit_code, len(imports.collector.stored)) == (2, 1)
    assert "cannot be read: Permission denied" in result.stderr


LOGS: Final = {
    "logging": "2026-01-31 12:00:00,123 INFO app.web - started, at port 80\n" * 3,
    "syslog": "Jan 31 12:00:00 host sshd[1]: Accepted publickey for root, port 22\n",
    "rfc 5424": "<34>1 2026-01-31T12:00:00Z host app 1 ID47 - It failed, again\n",
    "brackets": "[2026-01-31 12:00:00] production.ERROR: nothing, really\n",
    "apache's errors": "[Sat Jan 31 12:00:00.000000 2026] [core:error] [pid 1] AH1: a, b, c\n",
    "nginx' errors": "2026/01/31 12:00:00 [error] 1#1: *1 open() failed, client: 1.2.3.4, server: x\n",
    "java": "31-Jan-2026 12:00:00.000 SEVERE [main] org.x Failed, sorry\n",
    "klog": "I0131 12:00:00.000000       1 server.go:1] Starting, version: v1\n",
    "levels": "INFO: started, now listening\nERROR: stopped\n",
    "logfmt": 'time=2026-01-31T12:00:00Z level=info msg="a, b"\n',
    "sentences": "Hello there, world\nthis is, of course, no table\nnor this\n",
    "prose": "It was the best of times\nIt was the worst of times\n",
}


@pytest.mark.parametrize("content", LOGS.values(), ids=LOGS)
def test_logs_of_applications_are_not_taken_for_csv(imports: Imports, content: str) -> None:
    imports.write("app.log", content)
    result = imports.run("app.log")
    assert result.exit_code == 2
    assert "does not name the columns of CSV" in result.stderr
    assert "combined log format" in result.stderr
    assert not imports.collector.stored


TABLES: Final = {
    "one column": "time\n2026-01-01\n",
    "names with blanks": "Event Time;The Count\n2026-01-01;5\n",
    "dates as names": "Province,time,1/22/20,1/23/20\nx,2026-01-01,1,2\n",
    "a delimiter at the end": "time,n,\n2026-01-01,1,\n2026-01-02,2,\n",
    "cells over lines": 'time,text\n2026-01-01,"a,\nb, c,\nd"\n2026-01-02,x\n',
    "some broken rows": "time,n\n2026-01-01,1\n2026-01-02\n2026-01-03,3\n",
    "names alone in a row of texts": "info,time\nx,2026-01-01\n",
}


@pytest.mark.parametrize("content", TABLES.values(), ids=TABLES)
def test_tables_are_taken_for_csv(imports: Imports, content: str) -> None:
    imports.write("x.csv", content)
    named = ["--time", "Event Time"] if content.startswith("Event") else []
    imports.run("x.csv", *named)
    assert imports.collector.stored


@pytest.mark.parametrize("cut", range(1, 25))
def test_a_pipe_that_has_but_a_part_of_a_table_as_yet_is_one(cut: int) -> None:
    """What has come of a pipe when it is looked at may end anywhere."""
    content = b"Event Time;The Count\n2026-01-01;5\n"
    head = io.BytesIO(content[:cut])
    assert sniffed(OpenedFile("-", None, io.BufferedReader(head), io.BufferedReader(head))) == "csv"


def test_a_row_that_names_no_columns_is_taken_where_columns_are_named(imports: Imports) -> None:
    found = imports.imported("x.csv", "2026-01-31 12:00:00,1\n", "--columns", "time,n")
    assert [data["n"] for data in found] == [1]


def test_no_two_columns_of_a_table_have_one_name(imports: Imports) -> None:
    assert imports.imported("x.csv", "time,a,a_4,a,,column_5\n2020-01-01,1,2,3,4,5\n") == [
        {"time": "2020-01-01", "a": 1, "a_4": 2, "a_4_4": 3, "column_5": 4, "column_5_6": 5}
    ]
