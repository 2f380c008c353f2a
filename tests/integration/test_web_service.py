"""The plumbing of both daemons, over real sockets, with a table of routes of its own."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from tornado.httpclient import HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from cube.errors import (
    AccessDenied,
    CubeError,
    InvalidExpression,
    InvalidRequest,
    InvalidSettings,
    NotFound,
    Overloaded,
    TooLarge,
    Unavailable,
)
from cube.web import (
    Authenticator,
    Connection,
    Operation,
    Reply,
    Request,
    Route,
    Server,
    Service,
    Telemetry,
    with_standard_routes,
)
from cube.web.handler import LINGER_BYTES
from cube.web.reply_writer import ALONE_BYTES
from tests.authenticators import open_authenticator
from tests.web_client import HANDSHAKE, Answer, ask, connection, head

LIMIT = 1_000
ORIGIN = {"Origin": "http://localhost:3000"}

ERRORS: dict[str, tuple[Exception, int]] = {
    "invalid": (InvalidRequest("It is wrong.", field="a"), 400),
    "expression": (InvalidExpression("It does not parse.", line=1, column=4), 400),
    "large": (TooLarge("It is too large."), 413),
    "missing": (NotFound("It is not there."), 404),
    "denied": (AccessDenied("The key is unknown."), 403),
    "overloaded": (Overloaded("It is full.", retry_after_seconds=7), 503),
    "away": (Unavailable("The store is away."), 503),
    "fault": (ValueError("a secret"), 500),
}


class Echo:
    """Sends every message back; ``bad`` and ``fault`` are errors, ``wait`` waits until it is released."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.is_closed = asyncio.Event()
        self.is_finished = False

    async def receive(self, message: bytes) -> None:
        if message == b"bad":
            raise InvalidRequest("It is bad.", id=7)
        if message == b"fault":
            raise ValueError("a secret")
        await self.connection.send({"got": message.decode()})

    def closed(self) -> None:
        self.is_closed.set()

    async def finish(self) -> None:
        self.is_finished = True
        await self.connection.send("finished")


class Stage:
    """A service that runs, with what its operations share."""

    def __init__(self, access: Authenticator, max_sockets: int) -> None:
        self.ready: CubeError | None = None
        self.entered = asyncio.Event()
        self.let_go = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.echoes: list[Echo] = []
        self.seen: list[Request] = []
        self.running: asyncio.Task[Any] | None = None
        telemetry = Telemetry(CollectorRegistry())
        self.table = with_standard_routes("A stage", self.routes(), telemetry, self.is_ready)
        self.service = Service(
            self.table,
            access=access,
            telemetry=telemetry,
            max_body_bytes=LIMIT,
            max_sockets=max_sockets,
            on_request=self.seen.append,
        )
        self.server = Server(self.service, host="127.0.0.1", port=0)
        self.port = self.server.port

    def routes(self) -> list[Route]:
        size = Operation(self.size, "The length of the body.", body={})
        return [
            Route("/size", {"POST": size, "PUT": size}),
            Route("/error", {"GET": Operation(self.error, "The error that the query names.")}),
            Route("/error/{part}", {"GET": Operation(self.error, "The same.")}),
            Route("/parameters", {"GET": Operation(self.parameters, "The parameters.")}),
            Route("/wait", {"GET": Operation(self.wait, "Waits.")}),
            Route("/cut", {"GET": Operation(self.cut, "Large, and nobody is there to take it.")}),
            Route("/echo", {}, socket=self.echo, socket_summary="Echoes."),
        ]

    async def is_ready(self) -> None:
        if self.ready is not None:
            raise self.ready

    async def size(self, request: Request) -> Reply:
        return Reply.json(len(request.body))

    async def error(self, request: Request) -> Reply:
        raise ERRORS[request.query][0]

    async def parameters(self, request: Request) -> Reply:
        return Reply.json(request.parameters())

    async def wait(self, request: Request) -> Reply:
        self.entered.set()
        try:
            await self.let_go.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return Reply()

    async def cut(self, request: Request) -> Reply:
        self.running = asyncio.current_task()
        self.server._reaper.cut_all()
        return Reply(b"x" * (ALONE_BYTES + 1))

    def echo(self, connection: Connection) -> Echo:
        self.echoes.append(Echo(connection))
        return self.echoes[-1]

    async def ask(self, method: str, target: str, body: bytes | None = None, **headers: str) -> Answer:
        return await ask(
            self.port,
            method,
            target,
            body,
            {name.replace("_", "-"): value for name, value in headers.items()},
        )

    async def socket(self, **headers: str) -> WebSocketClientConnection:
        return await websocket_connect(HTTPRequest(f"ws://127.0.0.1:{self.port}/echo", headers=headers))


@asynccontextmanager
async def staged(*origins: str, max_sockets: int = 10) -> AsyncIterator[Stage]:
    stage = Stage(open_authenticator(*origins), max_sockets)
    try:
        yield stage
    finally:
        stage.let_go.set()
        await stage.server.stop(5)


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with staged() as made:
        yield made


async def heard(socket: WebSocketClientConnection) -> Any:
    message = await asyncio.wait_for(socket.read_message(), 10)
    return None if message is None else json.loads(message)


# Errors


@pytest.mark.parametrize("name", sorted(ERRORS))
async def test_every_error_has_its_status_a_sentence_the_id_and_cors_headers(stage: Stage, name: str) -> None:
    answer = await ask(stage.port, "GET", f"/error?{name}", headers=ORIGIN)
    assert answer.status == ERRORS[name][1]
    assert answer.json["error"].endswith(".")
    assert answer.json["request"] == answer.headers["x-request-id"]
    assert answer.headers["access-control-allow-origin"] == ORIGIN["Origin"]
    assert answer.headers["content-type"] == "application/json"


async def test_details_of_an_error_stand_beside_its_sentence(stage: Stage) -> None:
    assert (await stage.ask("GET", "/error?invalid")).json["field"] == "a"
    answer = (await stage.ask("GET", "/error?expression")).json
    assert (answer["line"], answer["column"]) == (1, 4)


async def test_overload_says_when_to_come_back(stage: Stage) -> None:
    assert (await stage.ask("GET", "/error?overloaded")).headers["retry-after"] == "7"
    assert (await stage.ask("GET", "/error?away")).headers["retry-after"] == "1"


async def test_parts_of_a_path_which_may_be_keys_are_not_logged(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    assert (await stage.ask("GET", "/error/a-key-of-mine?fault")).status == 500
    assert "a fault in GET /error/{part}" in caplog.text
    assert "a-key-of-mine" not in caplog.text


async def test_a_fault_is_logged_with_its_trace_and_answered_without(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await stage.ask("GET", "/error?fault")
    assert b"secret" not in answer.body
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.exc_info is not None
    assert answer.json["request"] in record.getMessage()


async def test_an_unknown_path_is_a_404_with_json_and_cors(stage: Stage) -> None:
    answer = await ask(stage.port, "POST", "/nowhere", b"{}", ORIGIN)
    assert answer.status == 404
    assert "/nowhere" in answer.json["error"]
    assert answer.headers["access-control-allow-origin"] == ORIGIN["Origin"]


async def test_another_method_is_a_405_with_allow(stage: Stage) -> None:
    answer = await stage.ask("DELETE", "/size")
    assert (answer.status, answer.headers["allow"]) == (405, "POST, PUT, OPTIONS")
    assert (await stage.ask("BREW", "/error")).headers["allow"] == "GET, HEAD, OPTIONS"
    assert (await stage.ask("GET", "/echo")).status == 405


async def test_a_request_may_bring_its_id(stage: Stage) -> None:
    assert (await stage.ask("GET", "/healthz", X_Request_Id="mine-1")).headers["x-request-id"] == "mine-1"
    assert (await stage.ask("GET", "/healthz", X_Request_Id="<script>")).headers["x-request-id"] != "<script>"


async def test_ids_differ(stage: Stage) -> None:
    ids = {(await stage.ask("GET", "/healthz")).headers["x-request-id"] for _ in range(3)}
    assert len(ids) == 3


# CORS


async def test_a_page_of_this_machine_is_echoed_where_no_origin_is_configured(stage: Stage) -> None:
    answer = await ask(stage.port, "GET", "/healthz", headers=ORIGIN)
    assert answer.headers["access-control-allow-origin"] == ORIGIN["Origin"]
    assert answer.headers["vary"] == "Origin"
    assert "access-control-allow-credentials" not in answer.headers


async def test_a_caller_without_origin_gets_no_cors_headers_but_the_reply_varies(stage: Stage) -> None:
    answer = await stage.ask("GET", "/healthz")
    assert "access-control-allow-origin" not in answer.headers
    assert answer.headers["vary"] == "Origin"


async def test_only_configured_origins_are_allowed() -> None:
    async with staged("https://example.org") as stage:
        mine = await stage.ask("GET", "/healthz", Origin="https://example.org")
        other = await stage.ask("GET", "/healthz", Origin="https://other.org")
    assert mine.headers["access-control-allow-origin"] == "https://example.org"
    assert other.status == 403
    assert "access-control-allow-origin" not in other.headers


async def test_an_answer_whose_connection_was_just_cut_is_no_fault(stage: Stage) -> None:
    async with connection(stage.port) as own:
        own.send(head("GET", "/cut", {}))
        assert await own.reader.read() == b""
    assert stage.running is not None
    await asyncio.wait({stage.running})
    assert stage.running.cancelled() or stage.running.exception() is None


@pytest.mark.parametrize("path", ["/size", "/healthz", "/echo", "/openapi.json"])
async def test_a_preflight_is_answered_on_every_route(stage: Stage, path: str) -> None:
    wanted = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "x-key, content-type",
    }
    answer = await ask(stage.port, "OPTIONS", path, headers=ORIGIN | wanted)
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == ORIGIN["Origin"]
    assert answer.headers["access-control-allow-headers"] == "x-key, content-type"
    assert answer.headers["access-control-allow-methods"] == answer.headers["allow"]


@pytest.mark.parametrize("target", ["/healthz", "/openapi.json", "/error?invalid", "/nowhere"])
async def test_nothing_between_keeps_an_answer(stage: Stage, target: str) -> None:
    assert (await stage.ask("GET", target)).headers["cache-control"] == "no-store"


# Reading requests


async def test_head_is_answered_like_get_without_the_body(stage: Stage) -> None:
    async with connection(stage.port) as own:
        got = await own.ask("GET", "/openapi.json")
        looked = await own.ask("HEAD", "/openapi.json")
        assert (looked.status, looked.headers["content-length"]) == (200, got.headers["content-length"])
        assert (await own.ask("HEAD", "/error?invalid")).status == 400
        assert (await own.ask("GET", "/healthz")).status == 200


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_a_body_may_come_plain_gzipped_or_in_chunks(stage: Stage, method: str) -> None:
    assert (await stage.ask(method, "/size", b"x" * LIMIT)).json == LIMIT
    zipped = await stage.ask(method, "/size", gzip.compress(b"x" * LIMIT), Content_Encoding="gzip")
    assert zipped.json == LIMIT
    async with connection(stage.port) as own:
        own.send(head(method, "/size", {"Host": "localhost", "Transfer-Encoding": "chunked"}))
        own.send(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
        assert (await own.answer()).json == 5


async def test_a_body_over_the_limit_is_a_413_and_the_connection_lives_on(stage: Stage) -> None:
    async with connection(stage.port) as own:
        for body, headers in (
            (b"x" * (LIMIT + 1), ORIGIN),
            (gzip.compress(b"x" * 10**6), {"Content-Encoding": "gzip", **ORIGIN}),
            (b"x" * 3_000_000, ORIGIN),
        ):
            answer = await own.ask("POST", "/size", body, headers)
            assert answer.status == 413
            assert answer.json["limit"] == LIMIT
            assert answer.headers["access-control-allow-origin"] == ORIGIN["Origin"]
        assert (await own.ask("POST", "/size", b"x")).json == 1


async def test_a_chunked_body_over_the_limit_is_a_413(stage: Stage) -> None:
    async with connection(stage.port) as own:
        own.send(head("POST", "/size", {"Host": "localhost", "Transfer-Encoding": "chunked"}))
        own.send((b"200\r\n" + b"x" * 512 + b"\r\n") * 3)
        own.send(b"0\r\n\r\n")
        assert (await own.answer()).status == 413
        assert (await own.ask("POST", "/size", b"x")).json == 1


async def test_a_client_that_asks_before_it_sends_too_much_is_told_at_once(stage: Stage) -> None:
    async with connection(stage.port) as own:
        own.send(head("POST", "/size", {"Content-Length": "1001", "Expect": "100-continue"}))
        answer = await own.answer()
        assert (answer.status, answer.headers["connection"]) == (413, "close")
        assert await own.ended()


async def test_a_client_that_asks_before_it_sends_is_bidden_to_go_on(stage: Stage) -> None:
    async with connection(stage.port) as own:
        own.send(head("POST", "/size", {"Content-Length": "2", "Expect": "100-continue"}))
        assert (await own.answer()).status == 100
        own.send(b"ab")
        assert (await own.answer()).json == 2


async def test_a_body_without_end_is_cut_off(stage: Stage) -> None:
    async with connection(stage.port) as own:
        own.send(head("POST", "/size", {"Content-Length": str(LINGER_BYTES * 2)}))
        answer = await own.answer()
        assert (answer.status, answer.headers["connection"]) == (413, "close")
        with pytest.raises(ConnectionError):
            await own.send_all(b"x" * (2 * LINGER_BYTES))


async def test_another_content_encoding_is_a_415(stage: Stage) -> None:
    answer = await stage.ask("POST", "/size", b"x", Content_Encoding="br")
    assert (answer.status, answer.headers["accept-encoding"]) == (415, "gzip, deflate, zstd")


async def test_broken_gzip_is_a_400(stage: Stage) -> None:
    assert (await stage.ask("POST", "/size", b"x", Content_Encoding="gzip")).status == 400
    cut = gzip.compress(b"hello")[:-3]
    assert (await stage.ask("POST", "/size", cut, Content_Encoding="gzip")).status == 400


async def test_requests_may_be_sent_ahead_on_one_connection(stage: Stage) -> None:
    async with connection(stage.port) as own:
        for size in (1, 2, 3):
            own.send(head("POST", "/size", {"Content-Length": str(size)}) + b"x" * size)
        assert [(await own.answer()).json for _ in range(3)] == [1, 2, 3]


async def test_a_connection_is_closed_when_the_client_wants_it(stage: Stage) -> None:
    async with connection(stage.port) as own:
        assert (await own.ask("GET", "/healthz", headers={"Connection": "close"})).headers[
            "connection"
        ] == "close"
        assert await own.ended()


async def test_http_1_0_is_served(stage: Stage) -> None:
    async with connection(stage.port) as own:
        own.send(head("GET", "/healthz", {"Connection": "keep-alive"}, "HTTP/1.0"))
        assert (await own.answer()).headers["connection"] == "keep-alive"
        own.send(head("GET", "/healthz", {}, "HTTP/1.0"))
        assert (await own.answer()).status == 200
        assert await own.ended()


async def test_an_unparsable_head_gets_a_bare_400(stage: Stage) -> None:
    async with connection(stage.port) as own:
        own.send(b"nonsense\r\n\r\n")
        assert (await asyncio.wait_for(own.reader.readline(), 10)).startswith(b"HTTP/1.1 400")


async def test_parameters_are_decoded(stage: Stage) -> None:
    answer = await stage.ask("GET", "/parameters?a=1%2B1&b=&c=x+y&%C3%A9=%E2%82%AC")
    assert answer.json == {"a": "1+1", "b": "", "c": "x y", "é": "€"}


@pytest.mark.parametrize("query", ["a=1&a=2", "a=%ff", "&".join(f"a{number}=1" for number in range(200))])
async def test_a_query_that_cannot_be_read_is_a_400(stage: Stage, query: str) -> None:
    assert (await stage.ask("GET", f"/parameters?{query}")).status == 400


async def test_the_work_of_a_client_that_left_stops(stage: Stage) -> None:
    async with connection(stage.port) as own:
        own.send(head("GET", "/wait", {}))
        await asyncio.wait_for(stage.entered.wait(), 10)
    await asyncio.wait_for(stage.cancelled.wait(), 10)


# Standard routes


async def test_the_description_lists_exactly_what_is_served(stage: Stage) -> None:
    description = (await stage.ask("GET", "/openapi.json")).json
    assert set(description["paths"]) == {route.path for route in stage.table}
    for path, item in description["paths"].items():
        allowed = (await stage.ask("OPTIONS", path)).headers["allow"].lower().split(", ")
        assert set(item) - {"description"} == set(allowed) - {"options"}


async def test_health_is_told_apart_from_readiness(stage: Stage) -> None:
    assert (await stage.ask("GET", "/readyz")).status == 200
    stage.ready = Unavailable("The store is away.")
    assert (await stage.ask("GET", "/readyz")).status == 503
    assert (await stage.ask("GET", "/healthz")).status == 200


async def test_requests_are_counted_by_route_method_and_status(stage: Stage) -> None:
    await stage.ask("POST", "/size", b"x")
    await stage.ask("BREW", "/nowhere")
    text = (await stage.ask("GET", "/metrics")).body.decode()
    assert 'cube_http_requests_total{method="POST",route="/size",status="200"} 1.0' in text
    assert 'cube_http_requests_total{method="other",route="other",status="404"} 1.0' in text


async def test_requests_to_known_paths_are_told(stage: Stage) -> None:
    await stage.ask("POST", "/size?a", b"x")
    await stage.ask("GET", "/nowhere")
    assert [(request.method, request.path, request.remote) for request in stage.seen] == [
        ("POST", "/size", "127.0.0.1")
    ]


async def test_a_port_that_is_taken_is_refused_with_a_sentence(stage: Stage) -> None:
    with pytest.raises(InvalidSettings, match="Cannot listen on"):
        Server(stage.service, host="127.0.0.1", port=stage.port)


# WebSockets


async def test_a_bad_message_is_answered_and_the_socket_lives_on(stage: Stage) -> None:
    socket = await stage.socket()
    for message, error in (("bad", "It is bad."), ("fault", "The server met a fault; its log says more.")):
        await socket.write_message(message)
        assert (await heard(socket))["error"] == error
    await socket.write_message("x" * (LIMIT + 1))
    assert "limit" in (await heard(socket))["error"]
    await socket.write_message(b"binary", binary=True)
    assert await heard(socket) == {"got": "binary"}
    socket.close()


async def test_a_message_far_over_the_limit_ends_the_socket(stage: Stage) -> None:
    socket = await stage.socket()
    await socket.write_message("x" * (2 * LIMIT + 1))
    assert await heard(socket) is None
    await asyncio.wait_for(stage.echoes[0].is_closed.wait(), 10)
    socket.close()


async def test_the_origin_of_a_socket_follows_the_same_rule() -> None:
    async with staged("https://example.org") as stage:
        (await stage.socket(Origin="https://example.org")).close()
        (await stage.socket()).close()
        refused = await ask(stage.port, "GET", "/echo", headers={**HANDSHAKE, "Origin": "https://other.org"})
    assert refused.status == 403
    assert "other.org" in refused.json["error"]


async def test_a_handshake_that_is_none_is_a_400(stage: Stage) -> None:
    old = {**HANDSHAKE, "Sec-WebSocket-Version": "7"}
    assert (await ask(stage.port, "GET", "/echo", headers=old)).status == 400
    assert (await ask(stage.port, "GET", "/size", headers=HANDSHAKE)).status == 405


async def test_sockets_are_bounded() -> None:
    async with staged(max_sockets=1) as stage:
        first = await stage.socket()
        assert (await ask(stage.port, "GET", "/echo", headers=HANDSHAKE)).status == 503
        first.close()
        await asyncio.wait_for(stage.echoes[0].is_closed.wait(), 10)
        (await stage.socket()).close()


async def test_open_sockets_are_counted(stage: Stage) -> None:
    socket = await stage.socket()
    await socket.write_message("x")
    await heard(socket)
    assert "cube_websockets 1.0" in (await stage.ask("GET", "/metrics")).body.decode()
    socket.close()


# Stopping


async def test_a_stop_finishes_what_was_accepted_and_takes_nothing_new(stage: Stage) -> None:
    async with connection(stage.port) as busy, connection(stage.port) as idle:
        assert (await idle.ask("GET", "/healthz")).status == 200
        busy.send(head("GET", "/wait", {}))
        await asyncio.wait_for(stage.entered.wait(), 10)
        stopping = asyncio.create_task(stage.server.stop(10))
        await asyncio.sleep(0)
        refused = await idle.ask("GET", "/healthz")
        assert (refused.status, refused.headers["connection"]) == (503, "close")
        with pytest.raises(OSError, match="refused|Connect call failed"):
            await stage.ask("GET", "/healthz")
        stage.let_go.set()
        answer = await busy.answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert await stopping
        assert await busy.ended()


async def test_a_stop_says_goodbye_to_sockets(stage: Stage) -> None:
    socket = await stage.socket()
    await socket.write_message("x")
    await heard(socket)
    stopping = asyncio.create_task(stage.server.stop(10))
    assert await heard(socket) == "finished"
    assert await heard(socket) is None
    assert socket.close_code == 1001
    socket.close()
    assert await stopping


async def test_a_stop_does_not_wait_longer_than_it_is_told(stage: Stage) -> None:
    async with connection(stage.port) as busy:
        busy.send(head("GET", "/wait", {}))
        await asyncio.wait_for(stage.entered.wait(), 10)
        assert not await stage.server.stop(0.05)
        assert await busy.ended()
