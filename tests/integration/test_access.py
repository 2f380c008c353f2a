"""Environments, keys and origins on running daemons."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any

import pytest
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect

from cube.client import Emitter, Evaluator, SocketEmitter
from cube.errors import AccessDenied
from tests.daemon import Daemon, daemon
from tests.end_to_end.serving import cube, wait_until
from tests.mongo_server import MongoServer, mongo_server
from tests.web_client import ask, close_socket

__all__ = ["mongo_server"]

COLLECTOR = (sys.executable, "-m", "collector.main")
CERTIFICATE = (
    *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
    *("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"),
)
SPAN = {"step": 86_400_000, "start": "2026-11-02", "stop": "2026-11-03"}

SETTINGS = """
[environments.prod]
database = "shop_prod"
origins = ["https://shop.example", "*://*.shop.example:*, http://127.0.0.1:*"]

[[environments.prod.keys]]
name = "all"
key = "prod-all"

[[environments.prod.keys]]
name = "writer"
hash = "{writer}"
scopes = ["write"]
types = ["request"]

[[environments.prod.keys]]
name = "acme"
key = "prod-acme"
scopes = ["read"]
types = ["request"]
filter = 'eq(customer, "acme")'

[environments.dev]
database = "shop_dev"
open = true
"""


def event(customer: str, type: str = "request", id: str | None = None) -> dict[str, Any]:
    made = {"type": type, "time": "2026-11-02T12:00:07Z", "data": {"customer": customer, "ms": 5}}
    return made if id is None else {**made, "id": id}


@pytest.fixture(scope="module", params=["sqlite", "mongodb"])
def daemons(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Daemon, Daemon]]:
    """A collector and an evaluator with two environments, prod behind keys and dev open."""
    directory = tmp_path_factory.mktemp("environments")
    store = f"sqlite:{directory}"
    if request.param == "mongodb":
        store = request.getfixturevalue("mongo_server").url
    config = directory / "cube.toml"
    hashed = cube("keys", "hash", cwd=directory, text="prod-writer-0K4xq9\n").stdout.strip()
    config.write_text(SETTINGS.format(writer=hashed))
    with (
        daemon("collector", store, directory, "--config", str(config)) as collector,
        daemon("evaluator", store, directory, "--config", str(config)) as evaluator,
    ):
        yield collector, evaluator


def count(evaluator: Daemon, key: str | None, expression: str = "sum(request)") -> float | None:
    with Evaluator(evaluator.http, key=key) as asking:
        (metric,) = asking.metrics(expression, **SPAN)
    return metric.value


def test_environments_are_kept_apart_and_filters_and_types_are_kept_to(
    daemons: tuple[Daemon, Daemon],
) -> None:
    collector, evaluator = daemons
    for key, events in (
        ("prod-all", [event("acme", id="1"), event("other", id="2"), event("acme", "secret", "3")]),
        ("prod-writer-0K4xq9", [event("acme", id="4")]),
        (None, [event("dev", id="1")]),
    ):
        with Emitter(collector.http, key=key) as emitter:
            assert emitter.send(events) == len(events)

    assert count(evaluator, "prod-all") == 3
    assert count(evaluator, None) == 1
    assert count(evaluator, "prod-acme") == 2
    assert count(evaluator, "prod-acme", "sum(request(ms)) / count(request(ms))") == 5
    assert count(evaluator, "prod-acme", "-(sum(request) + 2 * sum(request))") == -6
    with Evaluator(evaluator.http, key="prod-acme") as acme:
        assert [found.data["customer"] for found in acme.events("request(customer)")] == ["acme"] * 2
        assert acme.types() == ["request"]
        with pytest.raises(AccessDenied, match="Got the type secret"):
            acme.events("secret")
        with pytest.raises(AccessDenied, match="Got the type secret"):
            acme.metrics("sum(request) + sum(secret)", **SPAN)
    with (
        Emitter(collector.http, key="prod-writer-0K4xq9") as writer,
        pytest.raises(AccessDenied, match="secret"),
    ):
        writer.send([event("acme"), event("acme", "secret")])
    assert count(evaluator, "prod-all", "sum(secret)") == 1


def test_a_key_filter_holds_on_websockets_too(daemons: tuple[Daemon, Daemon]) -> None:
    collector, evaluator = daemons

    async def seen() -> list[Any]:
        async with SocketEmitter(collector.http, key="prod-all") as emitter:
            await emitter.send([event("acme", "ws", "1"), event("other", "ws", "2")])
            await emitter.send([event("acme", "request", "1"), event("other", "request", "2")])
        url = evaluator.http.replace("http", "ws") + "/1.0/event/get?api_key=prod-acme"
        socket = await websocket_connect(url)
        try:
            for type in ("request", "ws"):
                await socket.write_message(
                    json.dumps({"expression": f"{type}(customer)", "stop": "2026-11-03", "id": type})
                )
            answers: list[Any] = []
            while not {"end", "error"} <= {key for answer in answers for key in answer}:
                answers.append(json.loads(str(await asyncio.wait_for(socket.read_message(), 10))))
            return answers
        finally:
            await close_socket(socket)

    answers = asyncio.run(seen())
    refused = [answer for answer in answers if "error" in answer]
    assert [answer["id"] for answer in refused] == ["ws"]
    assert {answer["data"]["customer"] for answer in answers if "data" in answer} == {"acme"}


def test_bad_keys_are_told_apart(daemons: tuple[Daemon, Daemon]) -> None:
    collector, evaluator = daemons
    body = json.dumps(event("x")).encode()

    def status(running: Daemon, method: str, path: str, **headers: str) -> int:
        answer = asyncio.run(ask(running.port, method, path, body, headers))
        assert answer.status == 200 or set(answer.json) == {"error", "request"}
        assert answer.status != 401 or answer.headers["www-authenticate"] == "Bearer"
        assert b"prod-" not in answer.body
        return answer.status

    assert status(collector, "POST", "/1.0/event", **{"X-Api-Key": "wrong"}) == 401
    assert status(collector, "POST", "/1.0/event", **{"X-Api-Key": "prod-acme"}) == 403
    assert (
        status(collector, "POST", "/1.0/event?api_key=prod-all", **{"X-Api-Key": "prod-writer-0K4xq9"}) == 403
    )
    assert status(collector, "POST", "/1.0/event?api_key=prod-writer-0K4xq9") == 200
    assert status(collector, "POST", "/1.0/event", Authorization="Basic cHJvZC13cml0ZXItMEs0eHE5Og==") == 200
    assert status(evaluator, "GET", "/1.0/types", Authorization="Bearer prod-writer-0K4xq9") == 403
    assert status(evaluator, "GET", "/1.0/types", Authorization="Bearer wrong") == 401
    assert status(evaluator, "GET", "/healthz") == 200


def test_origins_are_those_of_the_callers_environment(daemons: tuple[Daemon, Daemon]) -> None:
    _, evaluator = daemons

    def cors(origin: str, key: str | None, method: str = "GET") -> tuple[str | None, str | None]:
        headers = {"Origin": origin, **({} if key is None else {"X-Api-Key": key})}
        answer = asyncio.run(ask(evaluator.port, method, "/1.0/types", None, headers))
        assert "Origin" in answer.headers["vary"]
        return (
            answer.headers.get("access-control-allow-origin"),
            answer.headers.get("access-control-allow-credentials"),
        )

    assert cors("https://shop.example", "prod-all") == ("https://shop.example", "true")
    assert cors("http://127.0.0.1:9160", "prod-all") == ("http://127.0.0.1:9160", "true")
    assert cors("https://evil.example", "prod-all") == (None, None)
    assert cors("https://evil.example", None) == (None, None)  # dev has no origins, and there is no key
    assert cors("http://localhost:9160", None) == ("http://localhost:9160", None)
    assert cors("https://www.shop.example", None, "OPTIONS") == ("https://www.shop.example", "true")


def test_a_socket_of_a_foreign_page_is_refused(daemons: tuple[Daemon, Daemon]) -> None:
    _, evaluator = daemons
    url = evaluator.http.replace("http", "ws") + "/1.0/metric/get?api_key=prod-all"

    async def handshake(origin: str) -> int:
        try:
            await close_socket(await websocket_connect(HTTPRequest(url, headers={"Origin": origin})))
        except HTTPClientError as error:
            return error.code
        return 101

    assert asyncio.run(handshake("https://shop.example")) == 101
    assert asyncio.run(handshake("https://evil.example")) == 403


@pytest.mark.parametrize("kind", ["sqlite", "mongodb"])
def test_keys_of_the_database_come_and_go_while_daemons_run(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    store, database = f"sqlite:{tmp_path}", "test"
    if kind == "mongodb":
        server: MongoServer = request.getfixturevalue("mongo_server")
        store, database = server.url, server.database()
    where = ("--store", store, "--database", database)
    with daemon("collector", store, tmp_path, database=database) as collector:
        with Emitter(collector.http) as anybody:
            assert anybody.send([event("a")]) == 1
        secret = cube("keys", "add", "web", "--scope", "write", *where, cwd=tmp_path).stdout.strip()
        listed = cube("keys", "list", *where, cwd=tmp_path)
        assert listed.stderr == ""
        assert listed.stdout == (
            '{"environment":"default","name":"web","scopes":["write"],"types":null,"filter":""}\n'
        )
        _until(lambda: _status(collector, None) == 401)
        assert _status(collector, secret) == 200
        with open_socket(collector, secret) as opened:
            assert cube("keys", "revoke", "web", *where, cwd=tmp_path).returncode == 0
            assert opened.recv(1) == b"\x88"  # the frame that closes a WebSocket
        _until(lambda: _status(collector, secret) == 401)
        assert _status(collector, None) == 401  # and nothing is open again
    again = cube("keys", "revoke", "web", *where, cwd=tmp_path)
    assert (again.returncode, again.stderr) == (
        2,
        "cube: The environment default has no key web; `cube keys list` shows all.\n",
    )


@contextmanager
def open_socket(running: Daemon, key: str) -> Iterator[socket.socket]:
    with socket.create_connection((running.host, running.port), timeout=15) as opened:
        opened.sendall(
            b"GET /1.0/event/put HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            + f"Authorization: Bearer {key}\r\n\r\n".encode()
        )
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            answer += opened.recv(1)
        assert answer.startswith(b"HTTP/1.1 101")
        yield opened


def test_a_daemon_that_others_can_reach_needs_keys(tmp_path: Path) -> None:
    refused = subprocess.run(
        [*COLLECTOR, "--store", f"sqlite:{tmp_path}", "--host", "0.0.0.0", "--port", "0", "--udp-port", "0"],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert refused.returncode == 1
    assert "which others can reach, and no keys" in refused.stderr


def test_datagrams_bear_no_key(tmp_path: Path) -> None:
    store = f"sqlite:{tmp_path}"
    with daemon("collector", store, tmp_path) as early:  # it listens on UDP before there is a key
        assert early.udp is not None
        cube("keys", "add", "web", "--store", store, "--database", "test", cwd=tmp_path)
        _until(lambda: _status(early, None) == 401)
        host, _, port = early.udp.rpartition(":")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(json.dumps(event("x")).encode(), (host, int(port)))
        _until(lambda: b'cube_udp_dropped_total{reason="denied"} 1.0' in _figures(early))
    with daemon("collector", store, tmp_path) as late:
        assert late.udp is None
    with daemon("collector", store, tmp_path, "--udp-trusted") as trusting:
        assert trusting.udp is not None


def test_tls(tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        [*CERTIFICATE, "-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )
    flags = ("--tls-certificate", str(certificate), "--tls-key", str(key), "--http-head-seconds", "1")
    with daemon("evaluator", f"sqlite:{tmp_path}", tmp_path, *flags) as running:
        assert running.http.startswith("https://")
        context = ssl.create_default_context(cafile=str(certificate))
        connection = HTTPSConnection(running.host, running.port, context=context, timeout=10)
        connection.request("GET", "/healthz")
        assert connection.getresponse().read() == b"{}"
        connection.close()
        with socket.create_connection((running.host, running.port), timeout=15) as slow:
            slow.sendall(b"\x16\x03\x01")  # a handshake that does not go on
            assert slow.recv(1) == b""  # is cut


def _status(running: Daemon, key: str | None) -> int:
    headers = {} if key is None else {"X-Api-Key": key}
    body = json.dumps(event("x", id="same")).encode()
    return asyncio.run(ask(running.port, "POST", "/1.0/event", body, headers)).status


def _figures(running: Daemon) -> bytes:
    return asyncio.run(ask(running.port, "GET", "/metrics")).body


def _until(claim: Callable[[], bool]) -> None:
    wait_until(claim, "the daemon to heed the keys")
