"""Requests whose head is known are answered as all others are, over real sockets."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from cube.errors import Unauthenticated, Unavailable
from cube.model.environment import Credentials, Scope
from cube.web.connection import Phase
from cube.web.message import Request
from cube.web.prompt import MAX_HEADS, KnownHead, PromptRequests
from tests.collector_stage import NOW, Stage, staged
from tests.web_client import Connection, connection, head

BODY = b'{"type":"a","id":%d}'


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with staged(tmp_path) as made:
        yield made


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The bodies of requests that were answered promptly."""
    found: list[bytes] = []
    begin = PromptRequests._begin

    def noted(self: PromptRequests, known: KnownHead, request: Request) -> None:
        found.append(request.body)
        begin(self, known, request)

    monkeypatch.setattr(PromptRequests, "_begin", noted)
    return found


def request(body: bytes, **headers: str) -> bytes:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return head("POST", "/1.0/event", {"Host": "localhost", **named, "Content-Length": str(len(body))}) + body


async def ask(own: Connection, body: bytes, **headers: str) -> tuple[int, Any]:
    own.send(request(body, **headers))
    answer = await own.answer()
    return answer.status, answer.json


async def test_the_second_request_with_a_head_is_answered_as_the_first(
    stage: Stage, taken: list[bytes]
) -> None:
    async with connection(stage.port) as own:
        answers = []
        for number in range(4):
            own.send(request(BODY % number))
            answers.append(await own.answer())

    assert taken == [BODY % number for number in (1, 2, 3)]
    assert len({answer.headers["x-request-id"] for answer in answers}) == 4
    first, *others = [{**answer.headers, "x-request-id": ""} for answer in answers]
    assert others == [first] * 3
    assert [(answer.status, answer.json) for answer in answers] == [(200, {})] * 4
    assert [row[:2] for row in await stage.stored("a")] == [(NOW, number) for number in range(4)]
    counted = {"route": "/1.0/event", "method": "POST", "status": "200"}
    assert stage.figure("cube_http_requests_total", **counted) == 4


async def test_bodies_of_any_length_are_answered_as_the_first(stage: Stage, taken: list[bytes]) -> None:
    bodies = [b'{"type":"a","id":"%s"}' % (b"x" * length) for length in (1, 300, 2, 77, 512)]
    many = b"[%s]" % b",".join(b'{"type":"a"}' for _ in range(999))
    async with connection(stage.port) as own:
        for body in (*bodies, many):
            assert await ask(own, body) == (200, {})
    assert taken == [*bodies[1:], many]
    assert len(await stage.stored("a")) == 5 + 999


LENGTHS = [b"0", b"70000000", b"1x", b"+5", b"5, 5", b"5\r\nContent-Length: 5", b"5\r\nContent-Length: 6"]


@pytest.mark.parametrize("length", LENGTHS)
async def test_another_length_is_checked_as_in_a_first_request(
    stage: Stage, taken: list[bytes], length: bytes
) -> None:
    odd = request(b"12345").replace(b"Content-Length: 5", b"Content-Length: " + length)
    async with connection(stage.port) as first, connection(stage.port) as own:
        first.send(odd)
        await ask(own, BODY % 0)
        own.send(odd)
        answers = [await first.answer(), await own.answer()]
    assert answers[0].status == answers[1].status != 200
    assert not taken


@pytest.mark.parametrize("second", [b"Content-Length: 19", b"content-length:19"])
async def test_of_a_length_that_is_told_twice_both_are_checked(
    stage: Stage, taken: list[bytes], second: bytes
) -> None:
    """Or a proxy that heeds the other one takes the rest of the body for a request of its own."""
    twice = request(BODY % 1).replace(b"\r\n\r\n", b"\r\n" + second + b"\r\n\r\n")
    assert b"Content-Length: 19" in twice
    async with connection(stage.port) as own:
        own.send(twice)
        assert (await own.answer()).status == 200
        own.send(twice.replace(b"Content-Length: 19", b"Content-Length: 2", 1).replace(BODY % 1, b"[]"))
        assert (await own.answer()).status == 400
    assert not taken


async def test_a_long_body_behind_a_known_head_is_read_as_usual(stage: Stage, taken: list[bytes]) -> None:
    body = b'{"type":"a","data":"%s"}' % (b"x" * 65_500)
    async with connection(stage.port) as own:
        assert await ask(own, BODY % 0) == (200, {})
        assert await ask(own, body) == (200, {})
        assert await ask(own, BODY % 2) == (200, {})
    assert taken == [BODY % 2]


async def test_ids_that_clients_give_stay_theirs(stage: Stage, taken: list[bytes]) -> None:
    async with connection(stage.port) as own:
        for number in range(2):
            own.send(request(BODY % number, X_Request_Id="mine"))
            assert (await own.answer()).headers["x-request-id"] == "mine"
    assert len(taken) == 1


async def test_of_a_client_whose_heads_all_differ_one_is_kept(
    stage: Stage, taken: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As they do where each has the id of a trace."""
    found: list[PromptRequests] = []
    serve = PromptRequests.serve

    async def noted(self: PromptRequests) -> None:
        found.append(self)
        await serve(self)

    monkeypatch.setattr(PromptRequests, "serve", noted)
    async with connection(stage.port) as own:
        for number in (*range(2 * MAX_HEADS), 0, "a", "b", "a", "b", "a", "b"):
            assert await ask(own, BODY % len(taken), traceparent=str(number)) == (200, {})
            assert len(found[-1]._heads) <= (3 if number in ("a", "b") else 1)
    assert taken == [BODY % number for number in range(3)]  # the first one, and two that came twice


async def test_what_is_wrong_is_told_and_the_next_request_is_taken(stage: Stage, taken: list[bytes]) -> None:
    async with connection(stage.port) as own:
        assert await ask(own, b'{"type":"a","id":0}') == (200, {})
        status, told = await ask(own, b'{"type":"A","id":0}')
        assert (status, told["field"]) == (400, "type")
        assert (await ask(own, b'{"type":"a","id":0,'))[0] == 400
        assert await ask(own, b'{"type":"a","id":5}') == (200, {})
    assert len(taken) == 3
    assert stage.figure("cube_events_refused_total", reason="invalid") == 1
    assert [row[1] for row in await stage.stored("a")] == [0, 5]


async def test_requests_that_come_together_are_answered_in_order(stage: Stage, taken: list[bytes]) -> None:
    async with connection(stage.port) as own:
        await ask(own, BODY % 0, X_Request_Id="0")
        await ask(own, BODY % 0, X_Request_Id="1")
        for number in range(9):
            own.send(request(BODY % number, X_Request_Id=str(number % 2)))
        ids = [(await own.answer()).headers["x-request-id"] for _ in range(9)]
    assert ids == [str(number % 2) for number in range(9)]
    assert len(await stage.stored("a")) == 9


async def test_what_was_read_behind_another_request_is_answered_promptly_again(
    stage: Stage, taken: list[bytes]
) -> None:
    async with connection(stage.port) as own:
        await ask(own, BODY % 0)
        for number in range(3):  # each pair is left to Tornado, and of each the second taken back
            own.send(request(BODY % 1) + request(BODY % (10 + number)))
            assert [(await own.answer()).status for _ in range(2)] == [200, 200]
            assert await ask(own, BODY % 2) == (200, {})
    assert taken == [body for number in range(3) for body in (BODY % (10 + number), BODY % 2)]


async def test_a_request_that_comes_while_another_is_stored_waits(stage: Stage, taken: list[bytes]) -> None:
    async with connection(stage.port) as own:
        await ask(own, BODY % 0)
        stage.store.gate.clear()
        own.send(request(BODY % 1))
        await _until(lambda: len(taken) == 1)
        own.send(request(b"[]", X_Request_Id="behind"))
        stage.store.gate.set()
        assert (await own.answer()).headers["x-request-id"] != "behind"
        assert (await own.answer()).headers["x-request-id"] == "behind"
        assert await ask(own, BODY % 2) == (200, {})
    assert taken == [BODY % 1, BODY % 2]


@pytest.mark.parametrize("cut", [-len(BODY % 1), -10, -1])
async def test_a_body_that_comes_later_than_its_head_is_waited_for(
    stage: Stage, taken: list[bytes], monkeypatch: pytest.MonkeyPatch, cut: int
) -> None:
    streams: list[Any] = []
    wait = PromptRequests._wait_for_rest

    def noted(self: PromptRequests, part: bytes) -> None:
        wait(self, part)
        streams.append(self._stream)

    monkeypatch.setattr(PromptRequests, "_wait_for_rest", noted)
    async with connection(stage.port) as own:
        await ask(own, BODY % 0)
        whole = request(BODY % 1)
        own.send(whole[:cut])
        await _until(lambda: len(streams) == 1)
        assert streams[0].phase is Phase.BODY
        own.send(whole[cut:] + whole)
        assert [(await own.answer()).status for _ in range(2)] == [200, 200]
        own.send(whole[:cut])
        await _until(lambda: len(streams) == 2)
        own.send(whole[cut:])
        assert (await own.answer()).status == 200
        assert streams[1].phase is Phase.HEAD
    assert taken == [BODY % 1] * 2  # and the second one of those that came together
    assert len(await stage.stored("a")) == 2


async def test_a_client_that_goes_away_within_a_body_is_forgotten(
    stage: Stage, taken: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting: list[bytes] = []
    monkeypatch.setattr(PromptRequests, "_wait_for_rest", lambda _, part: waiting.append(part))
    async with connection(stage.port) as own:
        await ask(own, BODY % 0)
        own.send(request(BODY % 1)[:-1])
        await _until(lambda: len(waiting) == 1)
    await _until(lambda: stage.figure("cube_connections") == 0)
    assert not taken
    assert len(await stage.stored("a")) == 1


async def test_what_has_come_of_a_body_behind_a_known_head_is_bounded(
    stage: Stage, taken: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    incoming = stage.collector.server.service.incoming
    body = b'{"type":"a","data":"%s"}' % (b"x" * 9_000)
    async with connection(stage.port) as own, connection(stage.port) as other:
        await ask(own, BODY % 0)
        await ask(other, BODY % 0)
        own.send(request(body)[:5_000])
        await _until(lambda: incoming.held == 5_000)
        own.send(request(body)[5_000:])
        assert (await own.answer()).status == 200
        assert incoming.held == 0
        monkeypatch.setattr(incoming, "limit", 8_000)
        own.send(request(body)[:4_000])
        await _until(lambda: incoming.held == 4_000)
        other.send(request(body)[:5_000])
        assert await other.reader.read() == b""
        own.send(request(body)[4_000:])
        assert (await own.answer()).status == 200
    assert taken == [body] * 2
    assert stage.figure("cube_connections_cut_total") == 1


@pytest.mark.parametrize("cut", [1, 30, -1, -10])
async def test_a_request_in_two_parts_is_read_as_usual(stage: Stage, taken: list[bytes], cut: int) -> None:
    async with connection(stage.port) as own:
        await ask(own, BODY % 0)
        whole = request(BODY % 1)
        own.send(whole[:cut])
        await own.writer.drain()
        await asyncio.sleep(0.02)  # it may come at once all the same; then less is tested
        own.send(whole[cut:])
        assert (await own.answer()).status == 200
        assert await ask(own, BODY % 2) == (200, {})
    assert taken[-1] == BODY % 2
    assert len(await stage.stored("a")) == 3


async def test_other_requests_on_the_connection_are_answered(stage: Stage, taken: list[bytes]) -> None:
    async with connection(stage.port) as own:
        await ask(own, BODY % 0)
        assert (await own.ask("GET", "/healthz")).status == 200
        assert await ask(own, BODY % 1) == (200, {})
        packed = gzip.compress(BODY % 2, mtime=0)
        for _ in range(2):
            assert await ask(own, packed, Content_Encoding="gzip") == (200, {})
        assert (await own.ask("POST", "/1.0/event", BODY % 3, {"Connection": "close"})).status == 200
        assert await own.reader.read() == b""
    assert taken == [BODY % 1]
    assert len(await stage.stored("a")) == 4


async def test_what_a_client_sent_that_goes_away_is_stored(stage: Stage, taken: list[bytes]) -> None:
    async with connection(stage.port) as own:
        await ask(own, BODY % 0)
        stage.store.gate.clear()
        own.send(request(BODY % 1))
        await _until(lambda: len(taken) == 1)
    stage.store.gate.set()
    await stage.until_stored("a", 2)
    await _until(lambda: stage.figure("cube_connections") == 0)


async def test_a_store_that_fails_is_told(stage: Stage, taken: list[bytes]) -> None:
    async with connection(stage.port) as own:
        await ask(own, BODY % 0)
        stage.store.error = Unavailable("It is away.")
        status, told = await ask(own, BODY % 1)
        assert (status, told["error"]) == (503, "It is away.")
        stage.store.error = ValueError("a fault")
        status, told = await ask(own, BODY % 1)
        assert (status, told["error"]) == (500, "The server met a fault; its log says more.")
        stage.store.error = None
        assert await ask(own, BODY % 1) == (200, {})
    assert len(taken) == 3


async def test_who_may_not_call_any_more_is_refused(
    stage: Stage, taken: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(credentials: Credentials, scope: Scope) -> None:
        raise Unauthenticated("The key is not known.")

    async with connection(stage.port) as own:
        await ask(own, BODY % 0)
        monkeypatch.setattr(stage.collector.context.authenticator, "admit", refuse)
        assert (await ask(own, BODY % 1))[0] == 401
    assert len(taken) == 1
    assert len(await stage.stored("a")) == 1


async def test_a_server_that_leaves_answers_last_and_closes(stage: Stage, taken: list[bytes]) -> None:
    async with connection(stage.port) as own:
        await ask(own, BODY % 0)
        stage.store.gate.clear()
        own.send(request(BODY % 1))
        await _until(lambda: len(taken) == 1)
        stopping = asyncio.create_task(stage.collector.server.stop(10))
        await _until(lambda: stage.collector.server.service.stopping)
        stage.store.gate.set()
        answer = await own.answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert await own.reader.read() == b""
        assert await stopping
    assert len(await stage.stored("a")) == 2


async def test_bodies_are_not_held_once_they_are_stored(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    heads: list[KnownHead] = []
    begin = PromptRequests._begin

    def noted(self: PromptRequests, known: KnownHead, request: Request) -> None:
        heads.append(known)
        begin(self, known, request)

    monkeypatch.setattr(PromptRequests, "_begin", noted)
    async with connection(stage.port) as own:
        for _ in range(2):
            assert await ask(own, BODY % 1) == (200, {})
        assert [known.request.body for known in heads] == [b""]


async def test_a_connection_whose_reply_did_not_fit_is_watched_as_any_other(
    stage: Stage, taken: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full:
        """A socket that takes nothing at first."""

        def __init__(self, socket: Any) -> None:
            self._socket = socket
            self._is_full = True

        def __getattr__(self, name: str) -> Any:
            return getattr(self._socket, name)

        def send(self, content: Any) -> int:
            if self._is_full:
                self._is_full = False
                raise BlockingIOError
            sent: int = self._socket.send(content)
            return sent

    streams: list[Any] = []
    send = PromptRequests._send

    def into_full(self: PromptRequests, content: bytes, last: bool) -> None:
        self._stream.socket = Full(self._stream.socket)
        streams.append(self._stream)
        send(self, content, last)

    async with connection(stage.port) as own:
        await ask(own, BODY % 0)
        monkeypatch.setattr(PromptRequests, "_send", into_full)
        assert await ask(own, BODY % 1) == (200, {})
        await _until(lambda: not streams[0].writing())
        assert streams[0].phase is Phase.HEAD
        assert await ask(own, BODY % 2) == (200, {})
    assert taken == [BODY % 1]
    assert len(await stage.stored("a")) == 3


async def _until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.005)
