"""Metrics out: warm queries and cold scans."""

from __future__ import annotations

import http.client
import json
import sqlite3
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import urlencode

from tests.benchmark import references
from tests.benchmark.collecting import fill
from tests.benchmark.load import event
from tests.benchmark.measure import compare
from tests.daemon import Daemon, daemon
from tests.mongo_server import MongoServer

EVENTS = 200_000
FIRST = 1_700_000_000_000
STOP = FIRST + EVENTS * 7 + 10_000
EXPRESSIONS = ("sum(request(duration_ms))", "median(request(duration_ms))", "distinct(request(user))")


def bench_warm_query() -> None:
    """A warm query of 1 440 minutes on SQLite, against /healthz of the same daemon; wanted: under 5 ms."""
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        with daemon("collector", f"sqlite:{folder}", directory) as collector:
            fill(collector, EVENTS)
        with daemon("evaluator", f"sqlite:{folder}", directory) as evaluator:
            start = FIRST // 60_000 * 60_000
            path = metric_path("sum(request(duration_ms))", 60_000, start, start + 1_440 * 60_000)
            compare(
                "warm query of 1 440 buckets",
                lambda: milliseconds(evaluator, path, 50),
                lambda: milliseconds(evaluator, "/healthz", 50),
                unit="ms",
                reference_name="/healthz",
            )


def bench_cold_scan_on_sqlite() -> None:
    """A cold scan of 200 000 events at 10 s on SQLite, against decoding JSON; wanted: under 1 s each."""
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        with daemon("collector", f"sqlite:{folder}", directory) as collector:
            fill(collector, EVENTS)
        texts = [json.dumps(event(number)["data"]) for number in range(EVENTS)]
        _compare_scans(
            f"sqlite:{folder}",
            directory,
            lambda: references.decode_seconds(texts),
            "bare decoding",
            lambda: _forget_sqlite(directory),
        )


def bench_cold_scan_on_mongodb() -> None:
    """A cold scan of 50 000 events at 10 s on MongoDB, against a bare find; wanted: 80 % of its rate."""
    events = 50_000
    with tempfile.TemporaryDirectory() as folder, MongoServer(Path(folder) / "db") as server:
        with daemon("collector", server.url, Path(folder)) as collector:
            fill(collector, events, 1_000)
        _compare_scans(
            server.url,
            Path(folder),
            lambda: events / references.find_rate(server.url, "test", ["duration_ms"]),
            "bare find",
            lambda: _forget_mongodb(server.url),
        )


def metric_path(expression: str, step: int, start: int, stop: int) -> str:
    """Return the path of a metric query."""
    query = {"expression": expression, "step": step, "start": start, "stop": stop}
    return "/1.0/metric?" + urlencode(query)


def milliseconds(evaluator: Daemon, path: str, times: int) -> float:
    """Return the mean latency of a path over one kept connection."""
    with closing(http.client.HTTPConnection(evaluator.host, evaluator.port)) as connection:
        start = time.perf_counter()
        for _ in range(times):
            connection.request("GET", path)
            response = connection.getresponse()
            answer = response.read()
            assert response.status == 200, answer
        return (time.perf_counter() - start) * 1000 / times


def _compare_scans(
    store: str, directory: Path, reference: Callable[[], float], name: str, forget: Callable[[], None]
) -> None:
    with daemon("evaluator", store, directory) as evaluator:
        for expression in EXPRESSIONS:
            path = metric_path(expression, 10_000, FIRST, STOP)

            def scan(path: str = path) -> float:
                forget()
                return milliseconds(evaluator, path, 1) / 1000

            compare(f"cold {expression}", scan, reference, unit="s", reference_name=name)


def _forget_sqlite(directory: Path) -> None:
    """Empty the metrics cache: it may be deleted at will."""
    with closing(sqlite3.connect(directory / "test.metrics.db", timeout=10)) as connection:
        for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            if table == "chunks":
                connection.execute(f"DELETE FROM {table}")
        connection.commit()


def _forget_mongodb(url: str) -> None:
    from pymongo import MongoClient

    with MongoClient(url) as client:
        client["test"]["request_metrics"].drop()
