"""Requests as they stand on the wire, over real sockets: what is read, and what is refused, and how."""

from __future__ import annotations

import asyncio
import base64
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from cube.errors import InvalidRequest
from cube.model.environment import DEFAULT, Environment, Scope
from cube.web import (
    Authenticator,
    Connection,
    KeyRing,
    Operation,
    Reply,
    Request,
    Route,
    Server,
    Service,
    Telemetry,
)
from cube.web.access import Hosts
from cube.web.http1 import IGNORED_BYTES, LINE_BYTES
from tests.web_client import HANDSHAKE, Answer, connection
from tests.web_client import Connection as Client

LIMIT = 200_000


async def told(request: Request) -> Reply:
    """Tell what came."""
    return Reply.json(
        {
            "path": request.path,
            "parameters": dict(request.parameters()),
            "host": request.headers.get("Host"),
            "body": request.body.decode(),
        }
    )


class Silent:
    async def receive(self, message: bytes) -> None:
        await self.connection.send(message.decode())

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def closed(self) -> None:
        return

    async def finish(self) -> None:
        return


class Noting:
    """Notes messages at once, each with the event loop's turn that it came in, and tells all when asked."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.noted: list[str] = []
        self.turns: list[int] = []
        self.turn = 0
        self.is_open = True
        self._tick()

    def receive(self, message: bytes) -> Awaitable[None] | None:
        if message == b"?":
            return self.connection.send({"noted": self.noted, "turns": self.turns})
        if message == b"!":
            raise InvalidRequest("This is refused.")
        self.noted.append(message.decode())
        self.turns.append(self.turn)
        return None

    def closed(self) -> None:
        self.is_open = False

    async def finish(self) -> None:
        return

    def _tick(self) -> None:
        self.turn += 1
        if self.is_open:
            asyncio.get_running_loop().call_soon(self._tick)


@pytest.fixture
async def port() -> AsyncIterator[int]:
    operation = Operation(told, "What came.", body={})
    asked = Operation(told, "The same, of callers.", body={}, scope=Scope.WRITE)
    service = Service(
        [
            Route("/told", {"GET": operation, "POST": operation}),
            Route("/asked", {"GET": asked}),
            Route("/", {"GET": operation}),
            Route("/echo", {}, socket=Silent),
            Route("/noting", {}, socket=Noting),
        ],
        access=Authenticator((Environment(DEFAULT, "test"),), KeyRing(), Hosts(("*",))),
        telemetry=Telemetry(CollectorRegistry()),
        max_body_bytes=LIMIT,
        max_sockets=10,
    )
    server = Server(service, host="127.0.0.1", port=0)
    try:
        yield server.port
    finally:
        await server.stop(5)


async def answered(port: int, content: bytes, *, closes: bool = False) -> Answer:
    """Send bytes and return the answer, which has to be the only one where the connection closes."""
    async with connection(port) as client:
        client.send(content)
        answer = await client.answer()
        if closes:
            assert await client.ended()
        return answer


def head(*lines: str, first: str = "GET /told HTTP/1.1") -> bytes:
    return ("\r\n".join([first, "Host: cube", *lines]) + "\r\n\r\n").encode("latin-1")


# Targets.


@pytest.mark.parametrize(
    ("target", "path", "parameters", "host"),
    [
        ("http://other:81/told?a=1", "/told", {"a": "1"}, "other:81"),
        ("HTTPS://other/told", "/told", {}, "other"),
        ("http://[::1]:8080//told/", "//told/", {}, "[::1]:8080"),
        ("http://other", "/", {}, "other"),
        ("http://other?a=1", "/", {"a": "1"}, "other"),
        ("//told", "//told", {}, "cube"),
        ("/told/", "/told/", {}, "cube"),
    ],
)
async def test_an_absolute_target_and_slashes_reach_the_route(
    port: int, target: str, path: str, parameters: dict[str, str], host: str
) -> None:
    answer = await answered(port, head(first=f"GET {target} HTTP/1.1"))
    assert answer.status == 200
    assert answer.json == {"path": path, "parameters": parameters, "host": host, "body": ""}


@pytest.mark.parametrize("text", ["Zürich", "東京", "🌍", "a&b=ü"])
async def test_raw_bytes_in_a_query_are_utf_8(port: int, text: str) -> None:
    answer = await answered(port, b"GET /told?city=" + text.encode() + b" HTTP/1.1\r\nHost: cube\r\n\r\n")
    name, _, rest = text.partition("&")
    assert answer.json["parameters"] == {"city": name, **({"b": rest[2:]} if rest else {})}


@pytest.mark.parametrize("text", [b"Z\xfcrich", b"Z%FCrich", b"%ED%A0%80", b"\xc3", b"%C3", b"\xc0\xaf"])
async def test_what_is_not_utf_8_in_a_query_is_refused(port: int, text: bytes) -> None:
    answer = await answered(port, b"GET /told?city=" + text + b" HTTP/1.1\r\nHost: cube\r\n\r\n")
    assert (answer.status, answer.json["error"]) == (400, "Got a query that is not UTF-8.")


# Hosts.


@pytest.mark.parametrize(
    "content",
    [
        b"GET /told HTTP/1.1\r\n\r\n",
        b"GET /told HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        b"GET /told HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET /told HTTP/1.1\r\nHost: a,b\r\n\r\n",
        b"GET /told HTTP/1.1\r\nHost: a b\r\n\r\n",
        b"GET /told HTTP/1.1\r\nHost: a/b\r\n\r\n",
        b"GET /told HTTP/1.1\r\nHost: u@a\r\n\r\n",
        b"GET /told HTTP/1.1\r\nHost: a:x\r\n\r\n",
        b"GET /told HTTP/1.1\r\nHost: \xfc\r\n\r\n",
        b"GET http://u@a/told HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET http:///told HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET http://a/told HTTP/1.1\r\n\r\n",
    ],
)
async def test_no_host_two_or_a_wrong_one_are_refused(port: int, content: bytes) -> None:
    answer = await answered(port, content, closes=True)
    assert answer.status == 400
    assert "Host" in answer.json["error"]


@pytest.mark.parametrize(
    ("lines", "version", "host"),
    [("", "1.0", None), ("Host: a_b.c:80\r\n", "1.1", "a_b.c:80"), ("Host:\r\n", "1.1", "")],
)
async def test_other_hosts_are_taken(port: int, lines: str, version: str, host: str | None) -> None:
    """HTTP/1.0 knew none, and balancers still ask so whether we live."""
    answer = await answered(port, f"GET /told HTTP/{version}\r\n{lines}\r\n".encode())
    assert (answer.status, answer.json["host"]) == (200, host)


# Framing.


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (("Content-Length: " + "9" * 5000,), 413),
        (("Content-Length: " + "9" * 19,), 413),
        (("Content-Length: " + "0" * 5000 + "2", "X: y"), 200),
        (("Content-Length: 2", "Content-Length: 2"), 200),
        (("Content-Length: 2, 2",), 200),
        (("Content-Length: 2", "Content-Length: 3"), 400),
        (("Content-Length: -2",), 400),
        (("Content-Length: +2",), 400),
        (("Content-Length: 0x2",), 400),
        (("Content-Length:",), 400),
        (("Content-Length: \xb2",), 400),
        (("Content-Length: 2", "Transfer-Encoding: chunked"), 400),
        (("Transfer-Encoding: gzip, chunked",), 501),
        (("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"), 501),
        (("Transfer-Encoding:",), 501),
        (("A b: c",), 400),
        (("nothing",), 400),
        ((" folded: c",), 400),
        (("A: \x00",), 400),
    ],
)
async def test_a_framing_is_beyond_doubt_or_refused(port: int, lines: tuple[str, ...], status: int) -> None:
    content = head(*lines, first="POST /told HTTP/1.1") + b"{}"
    answer = await answered(port, content, closes=status != 200)
    assert answer.status == status
    assert answer.json["body" if status == 200 else "error"]


@pytest.mark.parametrize("first", ["GET /told", "GET  /told HTTP/1.1", "GET /told HTTP/2.0", "x", "\x00"])
async def test_a_line_that_is_none_is_refused_with_a_sentence(port: int, first: str) -> None:
    answer = await answered(port, head(first=first), closes=True)
    assert (answer.status, answer.headers["content-type"]) == (400, "application/json")
    assert answer.json["error"].startswith("The request's head cannot be read")


async def test_chunked_needs_http_1_1(port: int) -> None:
    content = head("Transfer-Encoding: chunked", first="POST /told HTTP/1.0")
    assert (await answered(port, content, closes=True)).status == 400


# Chunks.

CHUNKED = head("Transfer-Encoding: chunked", first="POST /told HTTP/1.1")


@pytest.mark.parametrize(
    ("chunks", "body"),
    [
        (b"5\r\nhello\r\n0\r\n\r\n", "hello"),
        (b'2;name=value\r\nhe\r\n3 ; a="b;c" ;d\r\nllo\r\n0;last\r\n\r\n', "hello"),
        (b"5\r\nhello\r\n0\r\nDigest: abc\r\nX-Checksum:1\r\n\r\n", "hello"),
        (b"00000005\r\nhello\r\n000\r\n\r\n", "hello"),
        (b"".join(b"1\r\n%c\r\n" % letter for letter in b"hello") + b"0\r\n\r\n", "hello"),
        (b"0\r\n\r\n", ""),
        (b"%x\r\n%s\r\n0\r\n\r\n" % (150_000, b"x" * 150_000), "x" * 150_000),
    ],
)
async def test_chunks_are_read_with_extensions_and_trailers(port: int, chunks: bytes, body: str) -> None:
    async with connection(port) as client:
        for _ in range(2):  # what comes after them is the next request
            client.send(CHUNKED + chunks)
            assert (await client.answer()).json["body"] == body
        for place in range(0, len(CHUNKED + chunks[:60]), 7):
            client.send((CHUNKED + chunks[:60])[place : place + 7])
            await asyncio.sleep(0)
        client.send(chunks[60:])
        assert (await client.answer()).json["body"] == body


@pytest.mark.parametrize(
    "chunks",
    [
        b"hello\r\n",
        b"-1\r\n",
        b"5 x\r\nhello\r\n",
        b"5\r\nhello!\r\n",
        b"11111111111111111\r\n",
        b"0\r\nno trailer\r\n\r\n",
        b"0\r\n Folded: a\r\n\r\n",
        # A proxy that takes half a line end for a whole one would see other chunks, and another request.
        b"2;\nxx\r\nhe\r\n0\r\n\r\n",
        b'2;a="\r"\r\nhe\r\n0\r\n\r\n',
        b"0;\n\r\n\r\n",
        b"0\r\nA: b\rC: d\r\n\r\n",
        b"1;" + b"x" * (LINE_BYTES + 10) + b"\r\na\r\n0\r\n\r\n",
        (b"1;" + b"x" * 1000 + b"\r\na\r\n") * (IGNORED_BYTES // 1000 + 1) + b"0\r\n\r\n",
        b"0\r\n" + (b"A: " + b"x" * 1000 + b"\r\n") * (IGNORED_BYTES // 1000 + 1) + b"\r\n",
    ],
)
async def test_broken_chunks_are_refused_once(port: int, chunks: bytes) -> None:
    answer = await answered(port, CHUNKED + chunks, closes=True)
    assert answer.status == 400
    assert "body" in answer.json["error"] or "chunk" in answer.json["error"]


async def test_chunks_over_the_limit_are_refused(port: int) -> None:
    many = b"c8\r\n%s\r\n" % (b"x" * 200) * (LIMIT // 200 + 1) + b"0\r\n\r\n"
    assert (await answered(port, CHUNKED + many)).status == 413


# Heads that made somebody raise.


@pytest.mark.parametrize(
    "line",
    [
        "Authorization: Basic \xfc\xfc",
        "Authorization: Basic a\xe9b",
        "Authorization: Basic " + base64.b64encode(b"\xff\xfe").decode(),
        "Authorization: Basic ====",
        "Authorization: Basic a",
        "Authorization: \xa0",
        "X-Api-Key: \xff",
        "Cookie: \xff=\xfe",
        "Origin: \xff",
        "Origin: http://[",
        "X-Request-Id: \xff",
        "Expect: \xff",
        "Content-Type: multipart/form-data; boundary=\xff",
        "Access-Control-Request-Headers: \xff",
        "Connection: \xff",
    ],
)
@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
async def test_no_header_is_a_fault(
    port: int, line: str, method: str, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await answered(port, head(line, first=f"{method} /asked HTTP/1.1"))
    assert answer.status in (200, 204, 403)  # the last for pages of foreign origins
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


# Frames.


async def closing(port: int, *frames: bytes) -> int:
    """Open a socket, send frames, and return the code with which it is closed."""
    async with connection(port) as client:
        assert (await client.ask("GET", "/echo", headers=HANDSHAKE)).status == 101
        for frame in frames:
            client.send(frame)
        kind, length = await asyncio.wait_for(client.reader.readexactly(2), 10)
        assert kind == 0x88
        content = await client.reader.readexactly(length)
        assert await client.ended()
        return int.from_bytes(content[:2], "big")


def masked(first: int, content: bytes) -> bytes:
    return bytes([first, 0x80 | len(content), 0, 0, 0, 0]) + content


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ((b"\x81\x02{}",), 1002),
        ((b"\x82\x02{}",), 1002),
        ((b"\x89\x00",), 1002),
        ((b"\x88\x02\x03\xe8",), 1002),
        ((b"\x81\x7e\x00\x7e",), 1002),
        ((masked(0xC1, b"{}"),), 1002),
        ((masked(0x80, b"{}"),), 1002),
        ((masked(0x09, b""),), 1002),
        ((masked(0x83, b"{}"),), 1002),
        ((masked(0x01, b"{}"), masked(0x81, b"{}")), 1002),
        ((masked(0x81, b"\xff"),), 1007),
        ((masked(0x01, b"\xc3"), masked(0x80, b"\x28")), 1007),
        ((masked(0x88, b"\x03\xe8\xff"),), 1007),
    ],
)
async def test_frames_against_the_protocol_close_the_socket_with_its_code(
    port: int, frames: tuple[bytes, ...], code: int, caplog: pytest.LogCaptureFixture
) -> None:
    assert await closing(port, *frames) == code
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_a_text_in_pieces_is_one_message(port: int) -> None:
    """Its UTF-8 may be cut anywhere."""
    text = "ü".encode()
    async with connection(port) as client:
        assert (await client.ask("GET", "/echo", headers=HANDSHAKE)).status == 101
        client.send(masked(0x01, text[:1]) + masked(0x89, b"") + masked(0x80, text[1:]))
        assert await asyncio.wait_for(client.reader.readexactly(2), 10) == b"\x8a\x00"
        assert await asyncio.wait_for(client.reader.readexactly(6), 10) == b'\x81\x04"\xc3\xbc"'


def long(first: int, content: bytes, mask: bytes) -> bytes:
    """Return a frame whose length has two bytes, and whose mask changes something."""
    masked_content = bytes(byte ^ mask[place % 4] for place, byte in enumerate(content))
    return bytes([first, 0xFE]) + len(content).to_bytes(2, "big") + mask + masked_content


async def message(client: Client) -> bytes:
    """Return the content of the next frame from the server."""
    head = await asyncio.wait_for(client.reader.readexactly(2), 10)
    size = head[1]
    if size == 126:
        size = int.from_bytes(await asyncio.wait_for(client.reader.readexactly(2), 10), "big")
    elif size == 127:
        size = int.from_bytes(await asyncio.wait_for(client.reader.readexactly(8), 10), "big")
    return await asyncio.wait_for(client.reader.readexactly(size), 10)


@pytest.mark.parametrize("cut", [None, 1, 3, 9])
async def test_messages_that_come_together_are_handled_in_order(port: int, cut: int | None) -> None:
    """Whatever their form, and wherever what was read of them ends."""
    texts = [f"text {number}" for number in range(300)]
    middle, last = "ü" * 500, "in pieces"
    frames = b"".join(masked(0x81 + number % 2, text.encode()) for number, text in enumerate(texts))
    frames += long(0x82, middle.encode(), b"\x01\x80\xff\x00")
    frames += masked(0x01, last[:4].encode()) + masked(0x89, b"p") + masked(0x80, last[4:].encode())
    frames += masked(0x81, b"!") + masked(0x81, b"after") + masked(0x81, b"?")
    async with connection(port) as client:
        assert (await client.ask("GET", "/noting", headers=HANDSHAKE)).status == 101
        step = len(frames) if cut is None else len(frames) // cut - cut
        for start in range(0, len(frames), step):
            client.send(frames[start : start + step])
            await client.writer.drain()
        assert await message(client) == b"p"
        assert msgspec.json.decode(await message(client))["error"] == "This is refused."
        noted = msgspec.json.decode(await message(client))["noted"]
    assert noted == [*texts, middle, last, "after"]


async def test_messages_that_come_together_leave_others_their_turn(port: int) -> None:
    async with connection(port) as client:
        assert (await client.ask("GET", "/noting", headers=HANDSHAKE)).status == 101
        client.send(masked(0x81, b"x") * 1_000 + masked(0x81, b"?"))
        turns = msgspec.json.decode(await message(client))["turns"]
    assert len(turns) == 1_000
    assert max(Counter(turns).values()) <= 64


@pytest.mark.parametrize(
    ("bad", "code"), [(b"\x81\x02{}", 1002), (masked(0xC1, b"{}"), 1002), (masked(0x81, b"\xff"), 1007)]
)
async def test_a_bad_frame_behind_good_ones_ends_the_socket_and_nothing_behind_it_is_heard(
    port: int, bad: bytes, code: int
) -> None:
    async with connection(port) as client:
        assert (await client.ask("GET", "/noting", headers=HANDSHAKE)).status == 101
        client.send(masked(0x81, b"x") * 3 + bad + masked(0x81, b"?") * 3)
        assert int.from_bytes((await message(client))[:2], "big") == code
        assert await client.ended()
