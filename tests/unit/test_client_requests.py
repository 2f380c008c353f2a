"""Middleware and the log handler emit what applications do, and change nothing of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import Any
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest
from tornado.httpclient import AsyncHTTPClient
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application, HTTPError, RequestHandler

from cube.client import AsgiRequests, BackgroundEmitter, EventHandler, WsgiRequests, tell_requests


class Emitted(list[tuple[str, dict[str, Any]]]):
    """Keeps what is emitted, but for durations, which it looks at."""

    flushed = 0

    def emit(self, type: str, data: Any) -> bool:
        assert 0 <= data.pop("duration_ms") < 60_000
        self.append((type, data))
        return True

    async def aflush(self, seconds: float) -> None:
        self.flushed += 1


class Broken:
    def emit(self, type: str, data: Any) -> bool:
        raise RuntimeError


async def nothing() -> Any:
    return {"type": "http.request"}


async def ask(app: Any, kind: str = "http", **scope: Any) -> list[Any]:
    """Have an ASGI application answer; return what it sends."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    method = {"method": "GET"} if kind == "http" else {}
    await app({"type": kind, "path": "/a", "query_string": b"key=secret", **method, **scope}, nothing, send)
    return sent


class Route:
    path = "/{name}"


async def hello(scope: Any, receive: Any, send: Any) -> None:
    """Answer as most do."""
    scope["route"] = Route
    await send({"type": "http.response.start", "status": 201, "headers": []})
    await send({"type": "http.response.body", "body": b"hello", "more_body": True})
    await send({"type": "http.response.body", "body": b"!"})


async def test_an_asgi_request_is_an_event_and_its_answer_is_as_it_was() -> None:
    emitted = Emitted()
    app = AsgiRequests(hello, emitted, more=lambda scope: {"host": "a"})
    sent = await ask(app)
    assert [message["type"] for message in sent] == ["http.response.start", *["http.response.body"] * 2]
    told = {"method": "GET", "path": "/a", "status": 201, "bytes": 6, "route": "/{name}", "host": "a"}
    assert emitted == [("request", told)]


async def test_what_an_asgi_application_raises_goes_on_and_is_told() -> None:
    async def fails(scope: Any, receive: Any, send: Any) -> None:
        raise ZeroDivisionError

    async def late(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise asyncio.CancelledError

    emitted = Emitted()
    with pytest.raises(ZeroDivisionError):
        await ask(AsgiRequests(fails, emitted))
    with pytest.raises(asyncio.CancelledError):
        await ask(AsgiRequests(late, emitted))
    plain = {"method": "GET", "path": "/a"}
    assert [data for _, data in emitted] == [
        {**plain, "status": 500, "error": "ZeroDivisionError"},
        {**plain, "status": 200, "bytes": 0, "error": "CancelledError"},
    ]


async def test_sockets_and_the_end_of_an_application_are_heeded() -> None:
    async def talks(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket" and scope["path"] == "/a":
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.send", "text": "ü"})
        await send({"type": "websocket.close"})

    emitted = Emitted()
    app = AsgiRequests(talks, emitted, type="talk")
    await ask(app, "websocket")
    await ask(app, "websocket", path="/b")
    await ask(app, "lifespan")
    assert emitted == [
        ("talk", {"method": "WebSocket", "path": "/a", "status": 101, "bytes": 2}),
        ("talk", {"method": "WebSocket", "path": "/b", "status": 403, "bytes": 0}),
    ]
    assert emitted.flushed == 1


@pytest.mark.parametrize("more", [None, lambda scope: scope["nothing"]])
async def test_what_is_wrong_with_an_event_costs_no_request(
    more: Any, caplog: pytest.LogCaptureFixture
) -> None:
    assert len(await ask(AsgiRequests(hello, Broken(), more=more))) == 3
    assert "could not be told of" in caplog.text


def wsgi(app: Any, **environ: Any) -> tuple[str, bytes]:
    """Have a WSGI application answer, each side watched for the rules of PEP 3333."""
    given: dict[str, Any] = {"PATH_INFO": "/a", "SCRIPT_NAME": "", "QUERY_STRING": "key=secret", **environ}
    setup_testing_defaults(given)
    said: list[str] = []
    written: list[bytes] = []

    def start(status: str, headers: Any, *error: Any) -> Any:
        said.append(status)
        return written.append

    body = validator(app)(given, start)
    try:
        content = b"".join(body)
    finally:
        body.close()
    return said[-1], b"".join(written) + content


def test_a_wsgi_request_is_an_event_once_its_body_is_closed() -> None:
    emitted = Emitted()

    def app(environ: Any, start: Any) -> Iterator[bytes]:
        write = start("202 Accepted", [("Content-Type", "text/plain")])
        write(b"hel")
        yield b"lo"
        assert emitted == []

    status, body = wsgi(WsgiRequests(validator(app), emitted), PATH_INFO="/\xc3\xbc", SCRIPT_NAME="/s")
    assert (status, body) == ("202 Accepted", b"hello")
    assert emitted == [("request", {"method": "GET", "path": "/s/ü", "status": 202, "bytes": 5})]


def test_what_a_wsgi_application_raises_goes_on_and_is_told_once() -> None:
    def early(environ: Any, start: Any) -> list[bytes]:
        raise KeyError

    def late(environ: Any, start: Any) -> Iterator[bytes]:
        start("200 OK", [("Content-Type", "text/plain")])
        yield b"a"
        raise ValueError

    emitted = Emitted()
    with pytest.raises(KeyError):
        wsgi(WsgiRequests(early, emitted))
    with pytest.raises(ValueError):
        wsgi(WsgiRequests(late, emitted))
    assert [data.get("error") for _, data in emitted] == ["KeyError", "ValueError"]


async def test_a_tornado_application_tells_each_request(caplog: pytest.LogCaptureFixture) -> None:
    class Hello(RequestHandler):
        def get(self, name: str) -> None:
            if name == "bad":
                raise HTTPError(404)
            self.write("hello")

    emitted = Emitted()
    application = Application([("/(.*)", Hello)])
    tell_requests(application, emitted, more=lambda handler: {"agent": handler.request.headers["X-Agent"]})
    server = HTTPServer(application)
    listening, port = bind_unused_port()
    server.add_sockets([listening])
    with caplog.at_level(logging.INFO):
        for path in ("a?key=secret", "bad"):
            await AsyncHTTPClient().fetch(
                f"http://127.0.0.1:{port}/{path}", raise_error=False, headers={"X-Agent": "x"}
            )
    server.stop()
    await server.close_all_connections()
    assert [data["bytes"] > 4 for _, data in emitted] == [True, True]
    plain = {"method": "GET", "route": "Hello", "agent": "x"}
    assert [{**data, "bytes": 0} for _, data in emitted] == [
        {**plain, "path": "/a", "status": 200, "bytes": 0},
        {**plain, "path": "/bad", "status": 404, "bytes": 0},
    ]
    assert "404 GET /bad" in caplog.text  # its own log goes on


# The log.


class Kept(BackgroundEmitter):
    """Keeps what would be sent."""

    def __init__(self) -> None:
        super().__init__("udp://127.0.0.1:9")
        self.kept: list[Any] = []

    def emit(self, type: str, data: Any = None, **options: Any) -> bool:
        self.kept.append((type, data, options))
        return True


@pytest.fixture
def log() -> Iterator[tuple[logging.Logger, EventHandler, Kept]]:
    with Kept() as emitter:
        logger, handler = logging.getLogger("test.events"), EventHandler(emitter)
        logger.addHandler(handler)
        yield logger, handler, emitter
        logger.removeHandler(handler)
        handler.close()


def test_a_line_of_the_log_is_an_event(log: tuple[logging.Logger, EventHandler, Kept]) -> None:
    logger, _, emitter = log
    more = {"user": 7, "at": [float("nan"), object, {1: 2**80}], "flag": True}
    try:
        raise LookupError("nothing there")
    except LookupError:
        logger.exception("got %s", "it", extra=more)
    ((type, data, options),) = emitter.kept
    assert type == "log"
    assert options.keys() == {"time"}
    assert data.pop("exception").endswith("LookupError: nothing there")
    assert data.pop("file") == __file__
    assert data.pop("line") > 0
    extra = data.pop("extra")
    assert extra == {
        "user": 7,
        "at": ["nan", "<class 'object'>", {"1": str(2**80)}],
        "flag": True,
    }
    assert data == {
        "level": "ERROR",
        "logger": "test.events",
        "message": "got it",
        "function": "test_a_line_of_the_log_is_an_event",
    }


def test_the_clients_own_lines_are_no_events(
    log: tuple[logging.Logger, EventHandler, Kept], capsys: pytest.CaptureFixture[str]
) -> None:
    _, handler, emitter = log
    own = logging.getLogger("cube.client.delivery")
    own.addHandler(handler)
    own.warning("events wait to be sent")
    own.removeHandler(handler)
    assert emitter.kept == []
    # What is wrong with a record is told, and raised nowhere (but by pytest's handler, which is left out).
    wrong = logging.LogRecord("test", logging.WARNING, "", 1, "got %d", ("it",), None)
    handler.handle(wrong)
    assert emitter.kept == []
    assert "Logging error" in capsys.readouterr().err
