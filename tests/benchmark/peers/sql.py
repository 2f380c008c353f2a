"""Peers that speak SQL: DuckDB and chDB in a process of their own, PostgreSQL as a server."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.benchmark.dataset import FIRST, stop
from tests.benchmark.peers import environment
from tests.benchmark.peers.ports import Unsupported
from tests.benchmark.processes import running, wait_until
from tests.benchmark.questions import QUANTILES, Answer, Question, meaningful

_SCRIPT = Path(__file__).with_name("databases.py")
_DIVIDED = "t / {step} * {step}"
_BUCKETS = {
    "duckdb": "t // {step} * {step}",
    "chdb": "intDiv(t, {step}) * {step}",
    "postgresql": _DIVIDED,
}
_REDUCES = {
    "duckdb": {
        "sum": "sum({field})",
        "median": "median({field})",
        "distinct": "count(DISTINCT {field})",
        "p95": "quantile_cont({field}, 0.95)",
        "quantiles": f"quantile_cont({{field}}, {list(QUANTILES)})",
    },
    "chdb": {
        "sum": "sum({field})",
        "median": "quantileExactInclusive(0.5)({field})",
        "distinct": "uniqExact({field})",
        "p95": "quantileExactInclusive(0.95)({field})",
    },
    "postgresql": {
        "sum": "sum({field})",
        "median": "percentile_cont(0.5) WITHIN GROUP (ORDER BY {field})",
        "distinct": "count(DISTINCT {field})",
        "p95": "percentile_cont(0.95) WITHIN GROUP (ORDER BY {field})",
    },
}

_AS_JSON = """
WITH answer AS ({sql}), groups AS (SELECT DISTINCT grp FROM answer),
buckets AS (SELECT range AS bucket FROM range({start}, {stop}, {step})),
every AS (SELECT bucket, grp, value FROM buckets CROSS JOIN groups LEFT JOIN answer USING (bucket, grp)
          ORDER BY bucket, grp)
SELECT '[' || string_agg(CAST(to_json(every) AS VARCHAR), ',') || ']' FROM every
"""
"""What an evaluator's client gets: a row for each bucket and group, as JSON text."""


class SqlPeer:
    """A database behind ``databases.py``."""

    def __init__(self, name: str, process: subprocess.Popen[str]) -> None:
        self.name = name
        self.version = ""
        self._process = process
        self._dialect = name.removesuffix("-json")
        self._stop = FIRST

    def load(self, rows: Path, events: int) -> float:
        """Fill it; return the milliseconds."""
        self._stop = stop(events)
        return float(self._tell(load=str(rows))["ms"])

    def answer(self, question: Question) -> Answer:
        """Answer a question."""
        rows = self._tell(ask=self._sql(question))["rows"]
        return meaningful({(bucket, str(group)): value for bucket, group, value in rows})

    def milliseconds(self, question: Question) -> float:
        """Return how long an answer takes, as the database's own client sees it."""
        return float(self._tell(ask=self._sql(question))["ms"])

    def _sql(self, question: Question) -> str:
        sql, step = self._selected(question), question.step
        if self._dialect == self.name:
            return sql
        return _AS_JSON.format(sql=sql, start=question.grid.floor(FIRST), stop=self._stop, step=step)

    def _selected(self, question: Question) -> str:
        if question.statement and self._dialect == "duckdb":
            return question.sql({}, "")
        if question.reduce not in _REDUCES[self._dialect]:
            raise Unsupported(f"{self.name} has no {question.reduce}")
        if question.is_computed and self._dialect != "duckdb":
            raise Unsupported(f"{question.expression} is not written in the SQL of {self.name}")
        return question.sql(_REDUCES[self._dialect], _BUCKETS[self._dialect])

    def _tell(self, **told: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(told) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} ended with {self._process.wait()} at {told}")
        answer: dict[str, Any] = json.loads(line)
        self.version = answer["version"]
        return answer


@contextmanager
def in_process(name: str, folder: Path) -> Iterator[SqlPeer]:
    """Run DuckDB or chDB."""
    with _talking(name, str(folder / name), folder) as peer:
        yield peer


@contextmanager
def postgresql(name: str, folder: Path) -> Iterator[SqlPeer]:
    """Run a PostgreSQL server, and talk to it."""
    with postgresql_server(folder) as place, _talking(name, place, folder) as peer:
        yield peer


@contextmanager
def postgresql_server(folder: Path) -> Iterator[str]:
    """Run a PostgreSQL server on a socket in a new folder, as another user where we are root: it insists.

    Yields how to connect to it.
    """
    programs = environment.postgresql_programs()
    data, user = folder / "postgresql", "nobody" if os.geteuid() == 0 else None
    data.mkdir()
    if user is not None:
        shutil.chown(data, user)
        for place in (folder, folder.parent):  # temporary directories are closed to other users
            place.chmod(0o711)
    subprocess.run(
        [programs / "initdb", "-D", data / "db", "-U", "bench", "-A", "trust", "-E", "UTF8", "--no-locale"],
        check=True,
        capture_output=True,
        user=user,
        cwd=data,
    )
    command = [str(programs / "postgres"), "-D", str(data / "db"), "-k", str(data), "-h", "", "-c", "jit=off"]
    with running(command, folder / "postgresql.log", data, user=user) as server:
        wait_until((data / ".s.PGSQL.5432").exists, server, folder / "postgresql.log")
        yield f"host={data} user=bench dbname=postgres"


@contextmanager
def _talking(name: str, place: str, folder: Path) -> Iterator[SqlPeer]:
    python = environment.python()
    process = subprocess.Popen(
        [python, "-I", _SCRIPT, name, place],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=sys.stderr,
        text=True,
        cwd=folder,
    )
    try:
        yield SqlPeer(name, process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
