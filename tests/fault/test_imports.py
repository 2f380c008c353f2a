"""An import that is killed, or whose collector is, stores each good line once in the end."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from cube.importing.sender import BATCH_EVENTS
from tests.both_daemons import Both
from tests.daemon import CHECKOUT, daemon
from tests.scripted_server import free_port
from tests.tools import SLOW

LINES = 2 * BATCH_EVENTS + 7
START = 1577836800000
WAIT_SECONDS = 60
BAD = (3, BATCH_EVENTS + 5, LINES)
"""The numbers of lines that are no events."""


class _Collector(ThreadingHTTPServer):
    """Keeps events by their ids.

    ``stops_at``: the request, from 1, that it stores, and answers when all is ``over``;
    ``breaks_at``: the one that it answers by closing the connection, having stored nothing.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.stored: dict[Any, Any] = {}
        self.lock = threading.Lock()
        self.stopped = threading.Event()
        self.over = threading.Event()
        self.begin()

    def handle_error(self, *_: Any) -> None:
        """Clients that are killed do not take their answers."""

    def begin(self, *, stops_at: int = 0, breaks_at: int = 0) -> None:
        """Begin to count requests anew."""
        self.requests, self.stops_at, self.breaks_at = 0, stops_at, breaks_at
        self.stopped.clear()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Collector

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.requests += 1
            number = self.server.requests
            if number != self.server.breaks_at:
                self.server.stored.update((event["id"], event["data"]["n"]) for event in body)
        if number == self.server.breaks_at:
            self.close_connection = True
            return
        if self.server.stops_at and number >= self.server.stops_at:
            self.server.stopped.set()
            self.server.over.wait(WAIT_SECONDS)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def collector() -> Iterator[_Collector]:
    with _Collector() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.over.set()
        server.shutdown()
        thread.join()


@contextmanager
def importing(path: Path, collector: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "cube.cli.main", "import", str(path), "--collector", collector]
    with subprocess.Popen(
        command, cwd=CHECKOUT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def write(path: Path, count: int = LINES) -> list[int]:
    """Write a file, and return what its good lines say."""
    lines = [
        '{"time":"soon"}' if n in BAD else json.dumps({"time": START + n, "n": n})
        for n in range(1, count + 1)
    ]
    path.write_text("\n".join(lines) + "\n")
    return [n for n in range(1, count + 1) if n not in BAD]


def test_every_good_line_is_stored_once_whenever_an_import_is_killed_or_interrupted(
    collector: _Collector, tmp_path: Path
) -> None:
    good, url = write(tmp_path / "x.jsonl"), f"http://127.0.0.1:{collector.server_port}"
    for end, at in ((signal.SIGKILL, 1), (signal.SIGINT, 2)):
        collector.begin(stops_at=at)
        with importing(tmp_path / "x.jsonl", url) as process:
            assert collector.stopped.wait(WAIT_SECONDS)
            process.send_signal(end)
            if end == signal.SIGINT:
                collector.over.set()  # what is under way is waited for
            _, told = process.communicate(timeout=WAIT_SECONDS)
        assert process.returncode == (-signal.SIGKILL if end == signal.SIGKILL else 130), told
    collector.begin(breaks_at=2)
    with importing(tmp_path / "x.jsonl", url) as process:
        _, told = process.communicate(timeout=WAIT_SECONDS)
    assert process.returncode == 2, told
    assert sorted(collector.stored.values()) == good
    rejects = (tmp_path / "x.jsonl.rejects.jsonl").read_text().splitlines()
    assert [json.loads(line)["line"] for line in rejects] == list(BAD)


@SLOW
def test_an_import_outlives_a_collector_that_is_killed_and_started_again(tmp_path: Path) -> None:
    count, port, store = 300_000, free_port(), f"sqlite:{tmp_path / 'data'}"
    good = write(tmp_path / "x.jsonl", count)
    flags = ("--port", str(port))
    with (
        daemon("evaluator", store, tmp_path) as evaluator,
        daemon("collector", store, tmp_path, *flags) as first,
        importing(tmp_path / "x.jsonl", first.http) as process,
    ):
        _until(lambda: (tmp_path / "x.jsonl.cube-import").exists() or process.poll() is not None)
        first.process.kill()
        first.process.wait()
        with daemon("collector", store, tmp_path, *flags) as second:
            process.communicate(timeout=2 * WAIT_SECONDS)
            if process.returncode == 1:  # the collector took longer to start than an import waits
                with importing(tmp_path / "x.jsonl", second.http) as again:
                    again.communicate(timeout=2 * WAIT_SECONDS)
                    assert again.returncode == 2
            both, span = Both(second, evaluator), {"start": START, "stop": START + 86_400_000}
            assert both.metric("sum(x)", **span) == [len(good)]
            assert both.metric("distinct(x(n))", **span) == [len(good)]


def _until(condition: Any) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
