"""Peers that keep time series: InfluxDB and VictoriaMetrics, over HTTP."""

from __future__ import annotations

import json
import socket
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.benchmark import dataset
from tests.benchmark.peers import environment
from tests.benchmark.peers.ports import Unsupported
from tests.benchmark.processes import running, wait_until
from tests.benchmark.questions import Answer, Question, meaningful

LINES = 10_000
_INFLUX_REDUCES = {"sum": "sum({0})", "median": "median({0})", "distinct": "count(distinct({0}))"}
_INFLUX_OPERATORS = {"eq": "=", "ne": "<>", "ge": ">=", "lt": "<"}
_INFLUX_SETTINGS = """
reporting-disabled = true
bind-address = "127.0.0.1:{rpc}"
[meta]
dir = "{folder}/meta"
[data]
dir = "{folder}/data"
wal-dir = "{folder}/wal"
[http]
bind-address = "127.0.0.1:{port}"
log-enabled = false
"""


class HttpPeer:
    """A server that is asked by GET, over one kept connection."""

    name = ""
    version = ""

    def __init__(self, port: int) -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=300)
        self._stop = 0
        self._loads = 0

    def milliseconds(self, question: Question) -> float:
        """Return how long an answer takes."""
        target = self._target(question)
        start = time.perf_counter()
        self._send("GET", target)
        return (time.perf_counter() - start) * 1000

    def answer(self, question: Question) -> Answer:
        """Answer a question."""
        return meaningful(self._read(json.loads(self._send("GET", self._target(question))), question))

    def load(self, rows: Path, events: int) -> float:
        """Send the events in batches of lines."""
        self._stop = dataset.stop(events)
        self._loads += 1
        self._begin()
        start = time.perf_counter()
        for first in range(0, events, LINES):
            self._write([dataset.event(number) for number in range(first, min(first + LINES, events))])
        return (time.perf_counter() - start) * 1000

    def _send(self, method: str, target: str, body: bytes = b"") -> bytes:
        self._connection.request(method, target, body)
        response = self._connection.getresponse()
        found = response.read()
        if response.status // 100 != 2:
            raise RuntimeError(f"{self.name} answered {response.status}: {found[:500]!r}")
        return found

    def _begin(self) -> None:
        """Make a new place, so that what was loaded before is in no answer."""

    def _target(self, question: Question) -> str:
        raise NotImplementedError

    def _read(self, found: Any, question: Question) -> Answer:
        raise NotImplementedError

    def _write(self, events: list[dataset.Event]) -> None:
        raise NotImplementedError


class InfluxDB(HttpPeer):
    """Host, method and path are tags, all else fields."""

    name = "influxdb"

    def _begin(self) -> None:
        self._send("POST", "/query?" + urlencode({"q": f"CREATE DATABASE {self._database}"}))

    @property
    def _database(self) -> str:
        return f"bench{self._loads}"

    def _write(self, events: list[dataset.Event]) -> None:
        lines = [
            f"request,host={one.host},method={one.method},path={one.path} "
            f'status={one.status}i,duration_ms={one.duration_ms},user="{one.user}" {one.time}'
            for one in events
        ]
        self._send("POST", f"/write?db={self._database}&precision=ms", "\n".join(lines).encode())

    def _target(self, question: Question) -> str:
        if question.reduce not in _INFLUX_REDUCES:
            raise Unsupported(f"InfluxDB's percentile is the nearest rank: it has no {question.reduce}")
        where = [f"time >= {dataset.FIRST}ms AND time < {self._stop}ms"]
        for name, field, value in question.filters:
            literal = f"'{value}'" if isinstance(value, str) else value
            where.append(f"{field} {_INFLUX_OPERATORS[name]} {literal}")
        reduced = _INFLUX_REDUCES[question.reduce].format(f'"{question.field}"')
        groups = f"time({question.step}ms)" + (f", {question.group}" if question.group else "")
        query = f"SELECT {reduced} FROM request WHERE {' AND '.join(where)} GROUP BY {groups} fill(none)"
        return "/query?" + urlencode({"db": self._database, "epoch": "ms", "q": query})

    def _read(self, found: Any, question: Question) -> Answer:
        return {
            (time, series.get("tags", {}).get(question.group, "")): value
            for result in found["results"]
            for series in result.get("series", [])
            for time, value in series["values"]
            if value is not None
        }


class VictoriaMetrics(HttpPeer):
    """A sample an event, in a series for each host, method and status: sums alone can be asked."""

    name = "victoria-metrics"

    @property
    def _metric(self) -> str:
        return f"duration{self._loads}"

    def _write(self, events: list[dataset.Event]) -> None:
        series: dict[tuple[str, str, int], list[dataset.Event]] = defaultdict(list)
        for one in events:
            series[one.host, one.method, one.status].append(one)
        lines = [
            json.dumps(
                {
                    "metric": {
                        "__name__": self._metric,
                        "host": host,
                        "method": method,
                        "status": str(status),
                    },
                    "values": [one.duration_ms for one in some],
                    "timestamps": [one.time for one in some],
                }
            )
            for (host, method, status), some in series.items()
        ]
        self._send("POST", "/api/v1/import", "\n".join(lines).encode())
        self._send("GET", "/internal/force_flush")

    def _target(self, question: Question) -> str:
        labels = [(field, value) for name, field, value in question.filters if name == "eq"]
        others = [one for one in question.filters if one[0] != "eq" and one[:2] != ("ge", "status")]
        if question.reduce != "sum" or others:
            raise Unsupported("VictoriaMetrics can only sum what it has a label for")
        selector = f"{self._metric}{{" + ",".join(f'{field}="{value}"' for field, value in labels) + "}"
        by = f" by ({question.group})" if question.group else ""
        query = {
            "query": f"sum(sum_over_time({selector}[{question.step}ms])){by}",
            # A window is (t - step, t]: with t one ms before a bucket's end it is that bucket.
            "start": (dataset.FIRST + question.step - 1) / 1000,
            "end": (self._stop - 1) / 1000,
            "step": question.step / 1000,
            "nocache": 1,
        }
        return "/api/v1/query_range?" + urlencode(query)

    def _read(self, found: Any, question: Question) -> Answer:
        return {
            (round(time * 1000) + 1 - question.step, one["metric"].get(question.group, "")): float(value)
            for one in found["data"]["result"]
            for time, value in one["values"]
        }


@contextmanager
def influxdb(name: str, folder: Path) -> Iterator[InfluxDB]:
    """Run an InfluxDB of its own."""
    program = environment.program("influxd", "influxdb")
    place, port = folder / "influxdb", free_port()
    place.mkdir()
    settings = place / "influxdb.conf"
    settings.write_text(_INFLUX_SETTINGS.format(folder=place, port=port, rpc=free_port()))
    command = [str(program), "-config", str(settings)]
    with running(command, folder / "influxdb.log", place) as server:
        wait_until(lambda: listens(port), server, folder / "influxdb.log")
        yield InfluxDB(port)


@contextmanager
def victoria_metrics(name: str, folder: Path) -> Iterator[VictoriaMetrics]:
    """Run a VictoriaMetrics of its own."""
    program = environment.program("victoria-metrics", "victoria-metrics")
    port = free_port()
    command = [str(program), f"-storageDataPath={folder / 'victoria'}", f"-httpListenAddr=127.0.0.1:{port}"]
    command += ["-retentionPeriod=100y", "-search.latencyOffset=0s", "-search.maxPointsPerTimeseries=1000000"]
    with running(command, folder / "victoria.log", folder) as server:
        wait_until(lambda: listens(port), server, folder / "victoria.log")
        yield VictoriaMetrics(port)


def listens(port: int) -> bool:
    """Tell whether a server answers on a port of the loopback."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
