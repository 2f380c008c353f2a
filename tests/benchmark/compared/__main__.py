"""Asks us and others the same at the edges, and writes docs/compared.md of what they answered."""

from __future__ import annotations

import asyncio
import json
import math
import subprocess
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from cube.expression import parse_metric
from cube.model import instant
from cube.model.event import Event
from cube.model.grid import Grid, grid_of
from cube.model.tier import Span, group_of_key
from evaluator.scheduling.scheduler import QueryCost
from tests.benchmark.peers import environment
from tests.benchmark.peers.ports import Unsupported
from tests.benchmark.peers.series import InfluxDB, VictoriaMetrics, influxdb, victoria_metrics
from tests.benchmark.peers.sql import postgresql_server
from tests.evaluator_running import bench
from tests.golden.script import Load, read

HERE = Path(__file__).parent
PAGE = HERE.parents[2] / "docs/compared.md"
EDGES = tomllib.loads((HERE / "edges.toml").read_text())["edge"]
NAMES = {
    "duckdb": "DuckDB",
    "chdb": "ClickHouse",
    "postgresql": "PostgreSQL",
    "sqlite": "SQLite",
    "influxdb": "InfluxDB",
    "victoria-metrics": "VictoriaMetrics",
}
HEAD = """# Compared

What others answer at the edges, and what we answer, to the same events: seen in one run of
`python -m tests.benchmark.compared` on {date}, which wrote this page from
`tests/benchmark/compared/edges.toml`. {versions}. In our answers a bucket is its start in UTC; a value
stands alone where there is one bucket of less than a week.

"""

Row = tuple[str, str, str]
"""Who, what was asked, and the answer."""


def main() -> None:
    """Ask everybody, and write the page."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        peers = Peers(stack, folder)
        tables = []
        for number, edge in enumerate(EDGES):
            place = folder / f"ours-{number}"
            place.mkdir()
            tables.append(table(edge, [*ours(edge, place), *peers.rows(edge, number)]))
    told = ", ".join(f"{NAMES[name]} {version}" for name, version in peers.versions.items())
    PAGE.write_text(HEAD.format(date=datetime.now(UTC).date(), versions=told) + "\n".join(tables))
    print(PAGE)


def ours(edge: dict[str, Any], place: Path) -> list[Row]:
    """Return what we answer at an edge."""
    return [("**Cube**", _question(one), asyncio.run(_answer(edge, one, place))) for one in edge["ours"]]


def table(edge: dict[str, Any], rows: list[Row]) -> str:
    """Return a section of the page."""
    lines = [f"## {edge['title']}\n\n{edge['about']}\n\n| | asked | answered |\n|---|---|---|\n"]
    for who, asked, answered in rows:
        lines.append(f"| {who} | `{asked.replace('|', '/')}` | {answered.replace('|', '/')} |\n")
    return "".join(lines)


class Peers:
    """All who can be had here; ``versions``: of those who have answered."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self.versions: dict[str, str] = {}
        self._engines = {
            name: stack.enter_context(_engine(name, folder)) for name in ("duckdb", "chdb", "sqlite")
        }
        self._influxdb: InfluxDB | None = None
        self._victoria: VictoriaMetrics | None = None
        try:
            self._engines["postgresql"] = stack.enter_context(_engine("postgresql", folder))
            self._influxdb = stack.enter_context(influxdb("influxdb", folder))
            self._victoria = stack.enter_context(victoria_metrics("victoria-metrics", folder))
        except Unsupported as error:
            print(error)

    def rows(self, edge: dict[str, Any], number: int) -> Iterator[Row]:
        """Yield what they answer at an edge."""
        for name, engine in self._engines.items():
            for sql in edge.get(name, ()):
                answer, self.versions[name] = _ask(engine, sql)
                yield NAMES[name], sql, answer
        if self._influxdb is not None:
            for query in edge.get("influxdb", ()):
                self.versions["influxdb"] = _packaged_version("influxdb")
                yield (
                    NAMES["influxdb"],
                    query,
                    _ask_influxdb(self._influxdb, edge["influxdb_lines"], query, number),
                )
        if self._victoria is not None and "victoria-metrics" in edge:
            self.versions["victoria-metrics"] = _packaged_version("victoria-metrics")
            yield from _moving_grid(self._victoria, edge)


def _packaged_version(package: str) -> str:
    command = ["dpkg-query", "-W", "-f", "${Version}", package]
    return f"{subprocess.run(command, capture_output=True, text=True, check=True).stdout} (Debian)"


def _moving_grid(victoria: VictoriaMetrics, edge: dict[str, Any]) -> Iterator[Row]:
    first = instant.parse("2026-01-05T12:00:00Z")
    times = [first + 60_000 * number for number in range(edge["minutes"])]
    told = {"metric": {"__name__": "moving"}, "values": [1] * len(times), "timestamps": times}
    victoria._send("POST", "/api/v1/import", json.dumps(told).encode())
    victoria._send("GET", "/internal/force_flush")
    for points in edge["victoria-metrics"]:
        start = first // 1000 + 7
        asked = {
            "query": "count_over_time(moving[1m])",
            "start": start,
            "end": start + 60 * (points - 1),
            "step": 60,
        }
        found = json.loads(victoria._send("GET", "/api/v1/query_range?" + urlencode(asked)))
        begins = instant.format(int(found["data"]["result"][0]["values"][0][0] * 1000))
        yield (
            NAMES["victoria-metrics"],
            f"{asked['query']}, {points} points from 12:00:07",
            f"the first is at {begins}",
        )


@contextmanager
def _engine(name: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    with ExitStack() as stack:
        place = stack.enter_context(postgresql_server(folder)) if name == "postgresql" else ""
        process = subprocess.Popen(
            [environment.python(), "-I", HERE / "engines.py", name, place],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            yield process
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(30)


def _ask(engine: subprocess.Popen[str], sql: str) -> tuple[str, str]:
    assert engine.stdin is not None
    assert engine.stdout is not None
    engine.stdin.write(json.dumps(sql) + "\n")
    engine.stdin.flush()
    found = json.loads(engine.stdout.readline())
    return "; ".join(" → ".join(map(str, row)) for row in found["rows"]), found["version"]


def _ask_influxdb(series: InfluxDB, lines: str, query: str, number: int) -> str:
    database = f"edge{number}"
    series._send("POST", "/query?" + urlencode({"q": f"CREATE DATABASE {database}"}))
    series._send("POST", f"/write?db={database}&precision=ms", lines.encode())
    found = json.loads(series._send("GET", "/query?" + urlencode({"db": database, "q": query})))
    values = found["results"][0]["series"][0]["values"]
    shown = values if "GROUP BY" in query else [row[1:] for row in values]
    return "; ".join(" → ".join(map(str, row)) for row in shown)


async def _answer(edge: dict[str, Any], asked: list[str], place: Path) -> str:
    text, step, start, stop, zone = asked
    grid = grid_of(step, zone)
    span = grid.cover(Span(instant.parse(start), instant.parse(stop)))
    script = place / "events.test"
    script.write_text(edge.get("events", ""))
    async with bench(place) as made:
        for load in read(script):
            if isinstance(load, Load):
                await made.save(*load.events)
        if "minutes" in edge:
            times = range(span.start, span.start + 60_000 * edge["minutes"], 60_000)
            await made.save(*(Event("request", time, time, {}) for time in times))
        if "many" in edge:
            times = range(span.start, span.start + edge["many"])
            await made.save(*(Event("request", time, time, {"x": time}) for time in times))
        found = await made.pyramid.evaluate(parse_metric(text), grid, span, QueryCost())
    if found.groups is None:
        return _shown(grid, span, found.default.tolist())
    return "; ".join(
        f"{group_of_key(key)}: {_shown(grid, span, values.tolist())}"
        for key, values in sorted(found.groups.items())
    )


def _shown(grid: Grid, span: Span, values: list[float]) -> str:
    numbers = list(map(_number, values))
    if len(numbers) == 1 and grid.shortest < 604_800_000:
        return numbers[0]
    times = (instant.format(bucket) for bucket in grid.buckets(span))
    return "; ".join(f"{time[:16]}Z → {number}" for time, number in zip(times, numbers, strict=True))


def _number(value: float) -> str:
    if math.isnan(value):
        return "-"
    return str(int(value)) if value.is_integer() else repr(value)


def _question(asked: list[str]) -> str:
    text, step, _, _, zone = asked
    return f"{text} at {step}" + ("" if zone == "UTC" else f" in {zone}")


if __name__ == "__main__":
    main()
