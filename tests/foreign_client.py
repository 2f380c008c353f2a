"""Foreign clients in processes of their own, and what is between them and a running collector."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from cube.client import Evaluator
from cube.model import instant
from tests.daemon import daemon
from tests.tools import NODE, node_package

PYTHON = Path(__file__).resolve().parent / "clients"
SECONDS = 60.0
WRITE_KEY = "phc_0123456789abcdefGHIJ"
KEYED = f"""
[environments.prod]
database = "prod"

[[environments.prod.keys]]
name = "clients"
key = "{WRITE_KEY}"
scopes = ["write"]

[[environments.prod.keys]]
name = "board"
key = "read-key-0123456789abcd"
scopes = ["read"]
"""
DAY = 86_400_000


@dataclass(frozen=True, slots=True)
class Running:
    """A collector, and an evaluator on the same store."""

    collector: str
    evaluator: Evaluator

    def metric(self, expression: str, day: str = "2026-01-02") -> float | None:
        """Evaluate a metric over one day."""
        start = instant.parse(day)
        (metric,) = self.evaluator.metrics(expression, step=DAY, start=start, stop=start + DAY)
        return metric.value

    def data(self, expression: str, day: str = "2026-01-02") -> list[Any]:
        """Return the data of the events of one day."""
        start = instant.parse(day)
        return [found.data for found in self.evaluator.events(expression, start=start, stop=start + DAY)]

    def rejected(self, dialect: str) -> list[Any]:
        """Return what was refused, in the last hours, of a dialect."""
        found = self.evaluator.events(f'cube_rejected(reason, payload).eq(dialect, "{dialect}")')
        return [event.data for event in found]


@contextmanager
def running(directory: Path, *flags: str, database: str = "test") -> Iterator[Running]:
    """Run both daemons on a SQLite store; ``flags``: of the collector; ``database``: the evaluator's."""
    store = f"sqlite:{directory}"
    with (
        daemon("collector", store, directory, *flags) as collector,
        daemon("evaluator", store, directory, database=database) as evaluator,
        Evaluator(evaluator.http) as metrics,
    ):
        yield Running(collector.http, metrics)


@contextmanager
def running_with(directory: Path, settings: str, database: str) -> Iterator[Running]:
    """Run both daemons, the collector with a settings file, the evaluator on one environment's database."""
    file = directory / "settings.toml"
    file.write_text(settings)
    with running(directory, "--config", str(file), database=database) as made:
        yield made


def run_python(script: str, *arguments: str) -> str:
    """Run a client of ``tests/clients`` and return what it says."""
    return _run(sys.executable, "-W", "ignore", str(PYTHON / script), *arguments)


def run_node(package: str, script: str, *arguments: str) -> str:
    """Run a client of ``tests/node``, which uses a package, and return what it says."""
    return _run(node_package(package), str(NODE / script), *arguments)


def run_python_text(text: str) -> str:
    """Run a program of the documents."""
    return _run(sys.executable, "-W", "ignore", "-c", text)


def run_node_text(package: str, text: str) -> str:
    """Run a module of the documents, which uses a package."""
    return _run(node_package(package), "--input-type=module", "--eval", text, directory=NODE)


def run_apart(packages: Path, script: str, *arguments: str) -> str:
    """Run a client of ``tests/clients`` with the packages of a directory in place of ours."""
    command = (sys.executable, "-S", "-W", "ignore", str(PYTHON / script), *arguments)
    return _run(*command, environ={"PYTHONPATH": str(packages)})


def _run(*command: str, environ: Mapping[str, str] | None = None, directory: Path | None = None) -> str:
    ended = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
        cwd=directory,
        env={**os.environ, **(environ or {})},
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@dataclass(frozen=True, slots=True)
class Passed:
    """A request that came through: its headers and body, and the status of the reply to it."""

    headers: Mapping[str, str]
    body: bytes
    status: int


@dataclass(slots=True)
class Front:
    """A proxy before the collector that loses replies: their clients see a 503, and send again.

    ``losses``: how many it still loses. ``passed``: what came through, those included.
    """

    upstream: str
    losses: int
    address: str = ""
    passed: list[Passed] = field(default_factory=list)


class _Pass(RequestHandler):
    def initialize(self, front: Front, client: AsyncHTTPClient) -> None:
        self._front = front
        self._client = client

    async def post(self) -> None:
        front, given = self._front, self.request
        hop = {"Host", "Connection", "Transfer-Encoding", "Content-Length"}
        headers = {name: value for name, value in given.headers.get_all() if name not in hop}
        sent = HTTPRequest(front.upstream + str(given.uri), "POST", headers, given.body)
        reply = await self._client.fetch(sent, raise_error=False)
        front.passed.append(Passed(headers, given.body, reply.code))
        if front.losses:
            front.losses -= 1
            self.set_status(503)
            self.set_header("Retry-After", "1")
            return
        self.set_status(reply.code)
        for name in ("Content-Type", "Retry-After"):
            if name in reply.headers:
                self.set_header(name, reply.headers[name])
        self.finish(reply.body or None)  # 204 has no body


@asynccontextmanager
async def front(upstream: str, *, losses: int = 1) -> AsyncIterator[Front]:
    """Serve a `Front` on a free port."""
    made = Front(upstream, losses)
    client = AsyncHTTPClient(force_instance=True)
    server = HTTPServer(Application([(".*", _Pass, {"front": made, "client": client})]))
    sockets = bind_sockets(0, "127.0.0.1")
    server.add_sockets(sockets)
    made.address = f"http://127.0.0.1:{sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        server.stop()
        await server.close_all_connections()
        client.close()
        await asyncio.sleep(0)  # lets the closed sockets be forgotten
