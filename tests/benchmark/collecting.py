"""Events in: rates acknowledged after the durable write, over HTTP, one collector process."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.benchmark import references
from tests.benchmark.measure import compare
from tests.daemon import CHECKOUT, Daemon, daemon
from tests.mongo_server import MongoServer

SECONDS = 3.0


def bench_collector_on_sqlite_batches_of_1000() -> None:
    """Batches of 1 000 over 8 connections, against bare inserts of the same JSON; wanted: 80 000 events/s."""
    _batches_on_sqlite(1_000)


def bench_collector_on_sqlite_batches_of_100() -> None:
    """Batches of 100 over 16 connections, against bare inserts of the same JSON; wanted: 80 000 events/s."""
    _batches_on_sqlite(100)


def bench_collector_on_sqlite_single_events() -> None:
    """One event a request over 64 connections, against an empty Tornado handler; wanted: 7 000/s."""
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        with daemon("collector", f"sqlite:{folder}", directory) as collector, _nothing(directory) as port:
            compare(
                "collector, single events",
                lambda: offered(collector.host, collector.port, 64, 1),
                lambda: offered("127.0.0.1", port, 64, 1),
                unit="events/s",
                reference_name="Tornado doing nothing",
            )


def bench_collector_on_mongodb() -> None:
    """Batches of 1 000 over 4 connections, against a bare insert_many loop; wanted: a ratio of 0.85."""
    with (
        tempfile.TemporaryDirectory() as folder,
        MongoServer(Path(folder) / "db") as server,
        daemon("collector", server.url, Path(folder)) as collector,
    ):
        compare(
            "collector on MongoDB, batches of 1 000",
            lambda: offered(collector.host, collector.port, 4, 1_000),
            lambda: references.insert_many_rate(server.url, 30),
            unit="events/s",
            reference_name="bare insert_many",
        )


def _batches_on_sqlite(size: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        with daemon("collector", f"sqlite:{folder}", directory) as collector:
            compare(
                f"collector on SQLite, batches of {size}",
                lambda: offered(collector.host, collector.port, 8 if size == 1_000 else 16, size),
                lambda: references.sqlite_insert_rate(directory, 200),
                unit="events/s",
                reference_name="bare inserts",
            )


def offered(host: str, port: int, connections: int, size: int, seconds: float = SECONDS) -> float:
    """Offer load from a process of its own; return the events acknowledged per second."""
    output = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.benchmark.load",
            host,
            str(port),
            str(connections),
            str(seconds),
            str(size),
        ],
        cwd=CHECKOUT,
        check=True,
        capture_output=True,
    ).stdout
    answer = json.loads(output)
    assert not answer["failures"], answer
    return float(answer["events"] / answer["seconds"])


def fill(collector: Daemon, events: int, size: int = 5_000) -> None:
    """Post exactly `events` events of the benchmark's kind."""
    import http.client

    from tests.benchmark.load import body

    connection = http.client.HTTPConnection(collector.host, collector.port)
    for first in range(0, events, size):
        connection.request("POST", "/1.0/event", body(first, min(size, events - first)))
        response = connection.getresponse()
        answer = response.read()
        assert response.status == 200, answer
    connection.close()


@contextmanager
def _nothing(directory: Path) -> Iterator[int]:
    ready = directory / "nothing.ready"
    process = subprocess.Popen([sys.executable, "-m", "tests.benchmark.references", str(ready)], cwd=CHECKOUT)
    try:
        while not ready.exists():
            assert process.poll() is None
            time.sleep(0.01)
        yield int(ready.read_text())
    finally:
        process.terminate()
        process.wait()
