"""A campaign: daemons with keys on one store, and so many hostile inputs to every way in."""

from __future__ import annotations

import asyncio
import json
import random
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from tornado.httpclient import HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from tests.daemon import Daemon, daemon
from tests.fuzz import claims, heads
from tests.fuzz.dialects import changed
from tests.fuzz.inputs import Inputs
from tests.fuzz.openapi import fuzz_openapi
from tests.web_client import close_socket

SECONDS = 20.0
"""A reply that takes longer is a hang."""

_CONFIG = f"""
[environments.default]
open = true
[[environments.default.keys]]
name = "canary"
key = "{claims.SECRET}"
"""
_FEEDS = ("/1.0/event/get", "/1.0/metric/get", "/1.0/types/get")
_CONTINUE = b"HTTP/1.1 100 (Continue)\r\n\r\n"  # as Tornado writes it


@dataclass(frozen=True, slots=True)
class Target:
    """The daemons under test, and where they log."""

    collector: Daemon
    evaluator: Daemon
    directory: Path

    def check(self) -> None:
        """Fail where a daemon suffered."""
        claims.check_daemon(self.collector, self.directory / "collector.log")
        claims.check_daemon(self.evaluator, self.directory / "evaluator.log")
        claims.check_canaries(self.evaluator)
        claims.check_stored(self.evaluator)


@contextmanager
def target(store: str, directory: Path) -> Iterator[Target]:
    """Run both daemons with a key that must not leak."""
    config = directory / "fuzz.toml"
    config.write_text(_CONFIG)
    flags = ("--config", str(config), "--log-level", "debug")
    with (
        daemon("collector", store, directory, *flags, "--udp-trusted") as collector,
        daemon("evaluator", store, directory, *flags) as evaluator,
    ):
        claims.store_canaries(collector)
        yield Target(collector, evaluator, directory)


def run(aimed: Target, inputs: int, seed: int, *, described: bool = True) -> dict[str, int]:
    """Send at least so many inputs; return how many each way in got. Raises `AssertionError`.

    ``described``: whether requests are made of ``/openapi.json`` as well, each of which takes its time.
    """
    ways: dict[str, Callable[[Target, int, int], int]] = {
        "events over HTTP": fuzz_events,
        "questions over HTTP": fuzz_questions,
        "foreign clients' requests": fuzz_dialects,
        "heads of requests": fuzz_heads,
        "datagrams": fuzz_datagrams,
        "WebSocket of the collector": lambda *to: asyncio.run(_fuzz_sockets(*to, collector=True)),
        "WebSockets of the evaluator": lambda *to: asyncio.run(_fuzz_sockets(*to, collector=False)),
    }
    sent = {}
    if described:
        each = inputs // (len(ways) + 1)
        sent["routes of /openapi.json"] = fuzz_openapi((aimed.collector, aimed.evaluator), each, seed)
        aimed.check()
    rest = inputs - sum(sent.values())
    for place, (name, fuzz) in enumerate(ways.items(), 1):
        sent[name] = fuzz(aimed, -(-rest // len(ways)), seed + place)
        aimed.check()
    return sent


def fuzz_events(aimed: Target, count: int, seed: int) -> int:
    """Bodies to the collector's native routes."""
    made = Inputs(seed)
    with _connection(aimed.collector) as connection:
        for _ in range(count):
            body, headers = made.encoded(made.body())
            path = made.random.choice(("/1.0/event", "/1.0/event/put"))
            _ask(connection, made.random.choice(("POST", "PUT")), path, body, {**made.headers(), **headers})
    return count


def fuzz_questions(aimed: Target, count: int, seed: int) -> int:
    """Queries to the evaluator's native routes."""
    made = Inputs(seed)
    with _connection(aimed.evaluator) as connection:
        for _ in range(count):
            path = made.random.choice(("/1.0/event", "/1.0/metric", "/1.0/metric", "/1.0/types"))
            _ask(connection, "GET", f"{path}?{made.query()}", None, made.headers())
    return count


def fuzz_dialects(aimed: Target, count: int, seed: int) -> int:
    """Requests of foreign clients to the collector."""
    made = Inputs(seed)
    with _connection(aimed.collector) as connection:
        for _ in range(count):
            _ask(connection, *changed(made))
    return count


def fuzz_heads(aimed: Target, count: int, seed: int) -> int:
    """Broken heads and frames of requests, each on a connection of its own; silence is an answer."""
    made = Inputs(seed)
    for number in range(count):
        running = (aimed.collector, aimed.evaluator)[number % 2]
        content = heads.head(made) + heads.body(made)
        with socket.create_connection((running.host, running.port), timeout=SECONDS) as raw:
            raw.sendall(content)
            raw.shutdown(socket.SHUT_WR)
            reply = b""
            try:
                while part := raw.recv(65536):
                    reply += part
            except ConnectionResetError:
                continue
        reply = reply.removeprefix(_CONTINUE)
        assert b"HTTP/1.1 500" not in reply, (content, reply)
        if reply.startswith(b"HTTP/1.1 ") and not reply.startswith(b"HTTP/1.1 101"):
            claims.check_reply(int(reply[9:12]), reply.partition(b"\r\n\r\n")[2])
    return count


def fuzz_datagrams(aimed: Target, count: int, seed: int) -> int:
    """Datagrams: nothing is answered."""
    made = Inputs(seed)
    host, _, port = str(aimed.collector.udp).rpartition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(count):
            sender.sendto(made.body()[:60_000], (host, int(port)))
    return count


async def _fuzz_sockets(aimed: Target, count: int, seed: int, *, collector: bool) -> int:
    made = Inputs(seed)
    sent = 0
    while sent < count:
        some = min(500, count - sent)
        path = "/1.0/event/put" if collector else made.random.choice(_FEEDS)
        await _fuzz_socket(aimed.collector if collector else aimed.evaluator, path, some, made)
        sent += some
    return sent


async def _fuzz_socket(running: Daemon, path: str, count: int, made: Inputs) -> None:
    """Send messages on one socket, which must live on: a last one is answered."""
    url = running.http.replace("http", "ws", 1) + path
    opened = await websocket_connect(HTTPRequest(url, request_timeout=SECONDS))
    reading = asyncio.create_task(_read_until_done(opened))
    try:
        for _ in range(count):
            collector = path.endswith("put")
            message = made.body() if collector else _question(made)
            await opened.write_message(message, binary=made.random.random() < 0.1 or not _is_text(message))
        last = '{"events": [], "ack": "done"}' if path.endswith("put") else '{"id": "done", "cancel": true}'
        await opened.write_message(last)
        await asyncio.wait_for(reading, SECONDS)
    finally:
        reading.cancel()
        await close_socket(opened)


def _question(made: Inputs) -> bytes:
    raw = made.question()
    raw.setdefault("stop", 0)  # streams without an end would use up what one socket may run at once
    if raw.get("id") == "done":
        raw["id"] = 1
    text = json.dumps(raw).encode()
    return made.broken(text) if made.random.random() < 0.3 else text


async def _read_until_done(opened: WebSocketClientConnection) -> None:
    while True:
        message = await opened.read_message()
        assert message is not None, "the socket was closed"
        claims.check_message(message)
        if b"done" in (message if isinstance(message, bytes) else message.encode()):
            return


def _is_text(message: bytes) -> bool:
    try:
        message.decode()
    except UnicodeDecodeError:
        return False
    return True


@contextmanager
def _connection(running: Daemon) -> Iterator[HTTPConnection]:
    connection = HTTPConnection(running.host, running.port, timeout=SECONDS)
    try:
        yield connection
    finally:
        connection.close()


def _ask(
    connection: HTTPConnection, method: str, path: str, body: bytes | None, headers: dict[str, str]
) -> None:
    try:
        connection.request(
            method,
            path,
            body,
            {name: value.encode("utf-8") for name, value in headers.items()},  # type: ignore[misc]  # bytes are taken too
        )
        response = connection.getresponse()
        claims.check_reply(response.status, response.read())
    except (ConnectionError, HTTPException):
        connection.close()  # the head was not valid; the next request opens another connection
        with socket.create_connection((connection.host, connection.port), timeout=SECONDS):
            return


def random_seed() -> int:
    """Return a seed that is shown where something fails."""
    return random.SystemRandom().randrange(10**6)
