"""An evaluator that is asked too much goes on serving others: running processes, on SQLite."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlencode

import pytest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from cube.model.event import Event
from cube.model.made_id import make_id
from cube.store.sqlite import open_store
from tests.daemon import Daemon, daemon
from tests.evaluator_running import DAY, event
from tests.web_client import HANDSHAKE, Answer, Connection, close_socket, connection, head

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
PATIENCE_SECONDS = 60.0
SEARCH = "[ab]*a[ab]{100}c"
"""A pattern that RE2 cannot tabulate: a microsecond a character."""

_numbers = count()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A day of events: many, few, and with long texts."""
    directory = tmp_path_factory.mktemp("abuse") / "store"
    asyncio.run(fill(directory))
    return directory


async def fill(directory: Path) -> None:
    made = await open_store(directory, "test")
    many = [event(DAY + number * 1_400, {"i": number, "k": f"k{number % 3_000}"}) for number in range(60_000)]
    await made.events.save("big", [Event("big", one.time, one.id, one.data) for one in many])
    await made.events.save("small", [event(DAY + n * 60_000, {"v": n}, type="small") for n in range(200)])
    text = random.Random(0)
    texts = ["".join(text.choices("ab", k=20_000)) for _ in range(400)]
    await made.events.save(
        "text", [event(DAY + n * 10_000, {"s": s}, type="text") for n, s in enumerate(texts)]
    )
    await made.close()


@pytest.fixture(scope="module")
def evaluator(store: Path) -> Iterator[Daemon]:
    """One that has patience, but none with those who do not read."""
    flags = ["--http-stall-seconds", "1", "--stream-poll-ms", "50", "--limits-answer-bytes", "20000000"]
    with daemon("evaluator", f"sqlite:{store}", store.parent, *flags) as running:
        yield running


@pytest.fixture(scope="module")
def strict(store: Path) -> Iterator[Daemon]:
    """One that grants little memory."""
    limits = {"memory-bytes": "2000000", "answer-bytes": "100000", "groups": "100"}
    flags = [flag for name, value in limits.items() for flag in (f"--limits-{name}", value)]
    with daemon("evaluator", f"sqlite:{store}", store.parent, *flags) as running:
        yield running


@pytest.fixture(scope="module")
def hasty(store: Path) -> Iterator[Daemon]:
    """One that grants little time."""
    with daemon("evaluator", f"sqlite:{store}", store.parent, "--limits-query-seconds", "0.5") as running:
        yield running


def target(expression: str, *, of: str = "metric", step: int = HOUR_MS, **others: Any) -> str:
    asked = {"expression": expression, "step": step, "start": DAY, "stop": DAY + DAY_MS, **others}
    return f"/1.0/{of}?{urlencode(asked)}"


async def ask(evaluator: Daemon, expression: str, **others: Any) -> Answer:
    async with connection(evaluator.port) as client:
        return await client.ask("GET", target(expression, **others), seconds=PATIENCE_SECONDS)


async def cheap_seconds(evaluator: Daemon) -> float:
    """How long a question takes that nobody has asked before, about few events."""
    began = time.monotonic()
    answer = await ask(evaluator, f"sum(small(v).ne(v, {-1 - next(_numbers)}))", stop=DAY + HOUR_MS)
    assert (answer.status, answer.json[0]["value"]) == (200, sum(range(60)))
    return time.monotonic() - began


def dear() -> str:
    """An expression over many events that nobody has asked for before."""
    return " + ".join(f"distinct(big(k).ne(i, {-1 - next(_numbers)}))" for _ in range(64))


@asynccontextmanager
async def asked(evaluator: Daemon, *expressions: str) -> AsyncIterator[list[Connection]]:
    """Questions on connections of their own, which are cut at the end."""
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connection(evaluator.port)) for _ in expressions]
        for client, expression in zip(clients, expressions, strict=True):
            client.send(head("GET", target(expression), {"Host": "localhost"}))
        yield clients


async def is_answered(client: Connection) -> bool:
    """Tell whether anything of an answer has come."""
    try:
        return bool(await asyncio.wait_for(client.reader.read(1), 0.01))
    except TimeoutError:
        return False


async def figure(evaluator: Daemon, line: str) -> float:
    async with connection(evaluator.port) as client:
        text = (await client.ask("GET", "/metrics")).body.decode()
    return sum(float(each.rpartition(" ")[2]) for each in text.splitlines() if each.startswith(line))


# Fairness.


async def test_expensive_queries_do_not_hold_up_cheap_ones(evaluator: Daemon) -> None:
    """More of them than may compute at once; the cheap ones are answered while all of them go on."""
    alone = median([await cheap_seconds(evaluator) for _ in range(5)])
    async with asked(evaluator, *(dear() for _ in range(8))) as clients:
        await asyncio.sleep(0.5)
        beside = [await cheap_seconds(evaluator) for _ in range(10)]
        assert not any([await is_answered(client) for client in clients])
    assert median(beside) < alone + 0.5  # 0.1 on a machine of one's own


async def test_a_pathological_pattern_holds_nobody_up(evaluator: Daemon) -> None:
    alone = median([await cheap_seconds(evaluator) for _ in range(5)])
    patterns = [f'sum(text.re(s, "{SEARCH}|{number}"))' for number in range(4)]
    async with asked(evaluator, *patterns) as clients:
        await asyncio.sleep(0.5)
        beside = [await cheap_seconds(evaluator) for _ in range(10)]
        assert not any([await is_answered(client) for client in clients])
    assert median(beside) < alone + 0.5


async def test_a_pattern_with_too_many_steps_for_a_text_is_refused(evaluator: Daemon) -> None:
    answer = await ask(evaluator, 'sum(text.re(s, "(.{1,30}){1,30}c"))')
    assert answer.status == 400
    assert "meets a text of 20000 characters; accepted for it are" in answer.json["error"]


# Limits.


async def test_a_query_that_takes_too_long_is_a_503_and_gets_further_when_asked_again(hasty: Daemon) -> None:
    """Each of its reductions is kept; about as many texts for each as this machine needs to be refused."""
    refused = 0
    for texts in (2, 4, 8, 16, 32):
        parts = (f'sum(text.re(s, "{SEARCH}|{texts}|{number}"))' for number in range(32))
        expression, stop = " + ".join(parts), DAY + texts * 10_000
        while (answer := await ask(hasty, expression, step=10_000, stop=stop)).status == 503:
            assert "more than 0.5 s" in answer.json["error"]
            assert int(answer.headers["retry-after"]) >= 1
            await cheap_seconds(hasty)
            refused += 1
            assert refused < 100
        assert answer.status == 200, answer.body
        if refused:
            break
    assert refused >= 1
    assert await figure(hasty, 'cube_queries_refused_total{reason="time"}') == refused


async def test_a_query_for_events_that_takes_too_long_is_a_503(hasty: Daemon) -> None:
    answer = await ask(hasty, f'text(s).re(s, "{SEARCH}")', of="event")
    assert (answer.status, "more than 0.5 s" in answer.json["error"]) == (503, True)


async def test_an_answer_of_too_many_bytes_is_refused(strict: Daemon) -> None:
    for of, expression, step in (("event", "text(s)", HOUR_MS), ("metric", "sum(small)", 10_000)):
        answer = await ask(strict, expression, of=of, step=step)
        assert answer.status == 400
        assert "more than 100000 bytes of JSON" in answer.json["error"]
    assert (await ask(strict, "text(s)", of="event", limit=4)).status == 200


async def test_partial_results_of_too_many_bytes_are_refused(strict: Daemon) -> None:
    answer = await ask(strict, "distinct(text(s))", step=DAY_MS)  # sets of keys of hours are merged
    assert (answer.status, "2000000 bytes of partial results" in answer.json["error"]) == (400, True)


async def test_groups_are_refused_before_all_is_read(strict: Daemon) -> None:
    before = await figure(strict, "cube_scanned_events_total")
    answer = await ask(strict, "sum(big).group(k)")
    assert (answer.status, "more than 100 groups" in answer.json["error"]) == (400, True)
    assert await figure(strict, "cube_scanned_events_total") - before < 20_000


async def test_over_a_websocket_the_bounds_are_the_same(strict: Daemon) -> None:
    socket = await websocket_connect(f"ws://127.0.0.1:{strict.port}/1.0/event/get")
    request = {"expression": "text(s)", "start": DAY, "stop": DAY + DAY_MS, "id": 1}
    await socket.write_message(json.dumps(request))
    answer = json.loads(str(await asyncio.wait_for(socket.read_message(), PATIENCE_SECONDS)))
    assert "more than 100000 bytes" in answer["error"]
    await close_socket(socket)


# Sockets.


async def test_a_thousand_idle_sockets_take_nothing_from_others(evaluator: Daemon) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(1_000):
            idle = await stack.enter_async_context(connection(evaluator.port))
            idle.send(head("GET", "/1.0/metric/get", {"Host": "localhost", **HANDSHAKE}))
            assert (await idle.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
        assert await figure(evaluator, "cube_websockets ") == 1_000
        await cheap_seconds(evaluator)


async def test_two_hundred_streams_of_one_expression(evaluator: Daemon, store: Path) -> None:
    """Each gets every event; whoever asks meanwhile gets an answer before they have all they wait for."""
    url = f"ws://127.0.0.1:{evaluator.port}/1.0/event/get"
    request = json.dumps({"expression": "streamed(n)", "delay": 0, "start": int(time.time() * 1000)})
    sockets = [await websocket_connect(url) for _ in range(200)]
    for each in sockets:
        await each.write_message(request)
    writer = await open_store(store, "test")
    now = int(time.time() * 1000)
    await writer.events.save("streamed", [Event("streamed", now, make_id(), {"n": n}) for n in range(50)])
    received = asyncio.gather(*(numbers(each, 50) for each in sockets))
    await cheap_seconds(evaluator)
    assert await asyncio.wait_for(received, PATIENCE_SECONDS) == [set(range(50))] * 200
    await writer.close()
    await asyncio.gather(*(close_socket(each) for each in sockets))


async def numbers(socket: WebSocketClientConnection, many: int) -> set[int]:
    return {json.loads(str(await socket.read_message()))["data"]["n"] for _ in range(many)}


async def test_who_reads_a_byte_a_second_is_given_up(evaluator: Daemon) -> None:
    """Over HTTP: the answer of 8 MB waits in memory, once, and not forever."""
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        slow.setblocking(False)
        await asyncio.get_running_loop().sock_connect(slow, ("127.0.0.1", evaluator.port))
        slow.send(head("GET", target("text(s)", of="event"), {"Host": "localhost"}))
        await cheap_seconds(evaluator)
        await until_cut(evaluator, slow)


async def test_over_a_websocket_who_reads_a_byte_a_second_is_given_up(evaluator: Daemon) -> None:
    """Whatever is asked for on the socket, no more than four answers wait for it."""
    before = evaluator.resident_bytes()
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        slow.setblocking(False)
        await asyncio.get_running_loop().sock_connect(slow, ("127.0.0.1", evaluator.port))
        slow.send(head("GET", "/1.0/event/get", {"Host": "localhost", **HANDSHAKE}))
        for number in range(100):
            slow.send(frame({"expression": "text(s)", "start": DAY, "stop": DAY + DAY_MS, "id": number}))
        await cheap_seconds(evaluator)
        await until_cut(evaluator, slow)
    assert evaluator.resident_bytes() - before < 400 * 2**20  # all hundred would hold 800 MB


async def until_cut(evaluator: Daemon, slow: socket.socket) -> None:
    """Read a byte now and then until the evaluator has cut a connection, serving others meanwhile."""
    cut = await figure(evaluator, "cube_connections_cut_total")
    deadline = time.monotonic() + PATIENCE_SECONDS
    while await figure(evaluator, "cube_connections_cut_total") == cut:
        assert time.monotonic() < deadline
        with suppress(BlockingIOError):
            slow.recv(1)
        await cheap_seconds(evaluator)
        await asyncio.sleep(0.3)


def frame(message: dict[str, Any]) -> bytes:
    """A WebSocket message of a client, its mask all zeros."""
    text = json.dumps(message).encode()
    assert len(text) < 126
    return bytes((0x81, 0x80 | len(text), 0, 0, 0, 0)) + text
