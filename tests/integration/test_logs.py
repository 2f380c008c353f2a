"""What running daemons say, and what they never say: keys, queries and event data."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gzip
import json
import os
import pty
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from cube.model.environment import digest
from tests.daemon import CHECKOUT, Daemon, daemon
from tests.mongo_server import MongoServer
from tests.web_client import HANDSHAKE, ask, connection, head

KEY = "cube_SECRETKEY0123456789"
WRONG = "cube_SECRETWRONG0123456789"
DATA = "SECRETDATA"

PORTS = ("--port", "0", "--udp-port", "0")

CREDENTIALS: list[dict[str, str]] = [
    {header: value.replace("KEY", key)}
    for key in (KEY, WRONG)
    for header, value in (
        ("Authorization", "Bearer KEY"),
        ("X-Api-Key", "KEY"),
        ("Authorization", "Basic " + base64.b64encode(f"{key}:".encode()).decode()),
        ("Cookie", "api_key=KEY"),
    )
]
BODIES = (
    json.dumps({"type": "a", "id": DATA, "data": {DATA: DATA}}).encode(),
    json.dumps([{"type": "a", "time": DATA}]).encode(),
    json.dumps({"type": DATA}).encode(),
    f'{{"type": "a", "data": "{DATA}'.encode(),
    f'{{"type": "a", "data": "{DATA}\\ud800"}}'.encode(),
    gzip.compress(DATA.encode())[:-9],
)


def settings_file(directory: Path) -> Path:
    path = directory / "settings.toml"
    path.write_text(
        "[environments.prod]\n[[environments.prod.keys]]\nname = 'web'\n"
        f"hash = 'sha256:{digest(KEY).hex()}'\n"
    )
    return path


def entries(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines()]


async def bring_keys_and_data_everywhere(collector: Daemon, evaluator: Daemon) -> None:
    query = f"api_key={KEY}"
    for headers in ({}, *CREDENTIALS):
        for body in BODIES:
            extra = {"Content-Encoding": "gzip"} if body[:1] == b"\x1f" else {}
            await ask(collector.port, "POST", "/1.0/event", body, {**headers, **extra})
    for body in BODIES:
        await ask(collector.port, "POST", f"/1.0/event?{query}", body)
    await ask(collector.port, "GET", f"/{KEY}/{DATA}?{query}")
    await ask(collector.port, "GET", f"/i?e=pv&aid={DATA}&apiKey={KEY}")
    for target in (f"a({DATA}", f"sum(a({DATA}))", f"a.eq(x,'{DATA}')"):
        for path in ("event", "metric"):
            await ask(evaluator.port, "GET", f"/1.0/{path}?{query}&expression={target}")
    for port, path in ((collector.port, "event/put"), (evaluator.port, "metric/get")):
        await talk(port, f"/1.0/{path}?{query}")
        await talk(port, f"/1.0/{path}?api_key={WRONG}")
    for raw in (f"GET /{DATA}?{query}\r\n\r\n", f"{KEY}\r\n\r\n", f"GET / HTTP/1.1\r\n{KEY}{DATA}\r\n\r\n"):
        async with connection(collector.port) as own:
            own.send(raw.encode())
            await asyncio.wait_for(own.reader.read(), 10)
    async with connection(collector.port) as own:  # a length that is not valid; a head that is too long
        own.send(head("POST", f"/1.0/event?{query}", {"Content-Length": KEY}))
        await asyncio.wait_for(own.reader.read(), 10)
    async with connection(collector.port) as own:
        own.send(f"GET /?{query}&{DATA * 20_000}".encode())
        await asyncio.wait_for(own.reader.read(), 10)


async def talk(port: int, target: str) -> None:
    async with connection(port) as own:
        if (await own.ask("GET", target, headers=HANDSHAKE)).status == 101:
            for body in (*BODIES[:2], f'{{"expression": "sum(a({DATA}"}}'.encode()):
                own.send(bytes([0x81, 0x80 | len(body)]) + bytes(4) + body)
            await asyncio.wait_for(own.reader.read(100), 10)


@pytest.mark.parametrize("kind", ["sqlite", "mongodb"])
async def test_no_key_query_or_event_reaches_the_log_even_at_debug(tmp_path: Path, kind: str) -> None:
    with contextlib.ExitStack() as stack:
        url = f"sqlite:{tmp_path}" if kind == "sqlite" else stack.enter_context(MongoServer()).url
        flags = ("--log-level", "debug", "--config", str(settings_file(tmp_path)), "--udp-trusted", "true")
        collector = stack.enter_context(daemon("collector", url, tmp_path, *flags))
        evaluator = stack.enter_context(daemon("evaluator", url, tmp_path, *flags[:4]))
        await bring_keys_and_data_everywhere(collector, evaluator)
        if collector.udp:
            host, _, port = collector.udp.rpartition(":")
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
                for body in BODIES:
                    own.sendto(body, (host, int(port)))
        assert (await ask(collector.port, "GET", "/healthz", headers={"X-Request-Id": "last"})).status == 200
    for name in ("collector", "evaluator"):
        text = (tmp_path / f"{name}.log").read_text()
        assert "SECRET" not in text
        assert base64.b64encode(KEY.encode()).decode()[:20] not in text
        lines = entries(tmp_path / f"{name}.log")
        assert all({"time", "level", "logger", "message"} <= line.keys() for line in lines)
        answers = [line for line in lines if line["logger"].startswith("cube.web.") and "request" in line]
        assert len(answers) >= 6
        assert all(line["request"] for line in answers)
    assert any(line.get("request") == "last" for line in entries(tmp_path / "collector.log"))


# Faults, and Sentry


class Inbox:
    """An HTTP endpoint that keeps what Sentry's client sends."""

    def __init__(self) -> None:
        self.envelopes: list[str] = []
        self.came = threading.Event()
        inbox = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                inbox.envelopes.append(body.decode())
                inbox.came.set()
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)

    @property
    def dsn(self) -> str:
        return f"http://public@127.0.0.1:{self.server.server_port}/1"


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    made = Inbox()
    thread = threading.Thread(target=made.server.serve_forever)
    thread.start()
    try:
        yield made
    finally:
        made.server.shutdown()
        thread.join()
        made.server.server_close()


def break_the_store(directory: Path) -> None:
    """Rename tables under a running daemon: a fault that nothing expects."""
    with contextlib.closing(sqlite3.connect(directory / "test.events.db")) as opened, opened:
        tables = opened.execute("SELECT name FROM sqlite_master WHERE name LIKE 'events\\_%' ESCAPE '\\'")
        for (name,) in tables.fetchall():
            opened.execute(f'ALTER TABLE "{name}" RENAME TO "gone_{name}"')


async def test_a_fault_is_logged_and_reported_without_what_it_happened_to(
    tmp_path: Path, inbox: Inbox
) -> None:
    flags = ("--sentry-dsn", inbox.dsn, "--log-level", "debug")
    body = json.dumps({"type": "a", "data": {DATA: DATA}}).encode()
    with daemon("collector", f"sqlite:{tmp_path}", tmp_path, *flags) as process:
        assert (await ask(process.port, "POST", "/1.0/event", body)).status == 200
        break_the_store(tmp_path)
        answer = await ask(
            process.port, "POST", f"/1.0/event?api_key={KEY}", body, {"Authorization": f"Bearer {KEY}"}
        )
        assert answer.status == 500
        assert await asyncio.to_thread(inbox.came.wait, 10)
    (envelope,) = inbox.envelopes
    event = json.loads(envelope.splitlines()[-1])
    thrown = event["exception"]["values"][-1]
    assert (thrown["type"], thrown["value"]) == ("OperationalError", "no such table: events_1")
    assert event["tags"] == {
        "daemon": "collector",
        "logger": "cube.web.reply_writer",
        "request": answer.json["request"],
    }
    assert any(frame["function"] == "save" for frame in thrown["stacktrace"]["frames"])
    for kept in (envelope, (tmp_path / "collector.log").read_text()):
        assert "SECRET" not in kept
    for word in ("vars", "breadcrumbs", "user", "logentry"):
        assert f'"{word}"' not in envelope
    assert '"request":{' not in envelope.replace(" ", "")
    faults = [line for line in entries(tmp_path / "collector.log") if line["level"] == "error"]
    assert [fault["request"] for fault in faults] == [answer.json["request"]]
    assert "no such table" in faults[0]["error"]


async def test_what_cube_refuses_on_purpose_is_not_reported(tmp_path: Path, inbox: Inbox) -> None:
    with daemon("collector", f"sqlite:{tmp_path}", tmp_path, "--sentry-dsn", inbox.dsn) as process:
        for body in BODIES:
            assert (await ask(process.port, "POST", "/1.0/event", body)).status in (200, 400)
    assert inbox.envelopes == []


def test_a_dsn_that_is_none_is_refused_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(
        AssertionError, match="Got a sentry_dsn that is not one; accepted is https://KEY@HOST"
    ):
        daemon("collector", f"sqlite:{tmp_path}", tmp_path, "--sentry-dsn", "nonsense").__enter__()


# Form


def first_line(*flags: str, directory: Path) -> str:
    """Return the first line that a collector says on a terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "collector.main", "--store", f"sqlite:{directory}", *PORTS, *flags],
        cwd=CHECKOUT,
        stderr=theirs,
    )
    os.close(theirs)
    try:
        with os.fdopen(ours, "rb") as terminal:
            line = terminal.readline().decode()
            process.terminate()
            process.wait(20)
            return line
    finally:
        process.kill()
        process.wait()


def test_on_a_terminal_the_log_is_text_unless_told_otherwise(tmp_path: Path) -> None:
    assert " collector INFO listening on http://127.0.0.1:" in first_line(directory=tmp_path)
    line = first_line("--log-format", "json", directory=tmp_path)
    assert json.loads(line)["message"].startswith("listening on ")
