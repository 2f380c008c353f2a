"""What hostile clients do to a running collector over raw sockets, and that it serves the others."""

from __future__ import annotations

import asyncio
import json
import resource
import struct
import time
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.daemon import Daemon, daemon
from tests.web_client import HANDSHAKE, Connection, ask, connection, head

HEAD, STALL, IDLE = 1, 2, 3
BODY_BYTES = 100_000
CONNECTIONS = 40
LIMITS = (
    *("--http-head-seconds", str(HEAD), "--http-stall-seconds", str(STALL)),
    *("--http-idle-seconds", str(IDLE), "--http-connections", str(CONNECTIONS)),
    *("--http-head-bytes", "8192", "--http-url-bytes", "2000", "--http-headers", "20"),
    *("--limits-body-bytes", str(BODY_BYTES), "--limits-sockets", "5"),
)
SLACK = 6.0
"""A look at every connection takes a second, and this machine may be busy."""


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    directory = tmp_path_factory.mktemp("limits")
    with daemon("collector", f"sqlite:{directory}", directory, *LIMITS) as running:
        yield running


@pytest.fixture(autouse=True)
async def _serves_others(collector: Daemon) -> AsyncIterator[None]:
    """Whatever was done to it, the next clients are served."""
    yield
    await until_served(collector)
    answer = await ask(collector.port, "POST", "/1.0/event", b'{"type":"a"}')
    assert answer.status == 200


def log_of(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return next(Path(tmp_path_factory.getbasetemp()).glob("limits*/collector.log"))


def files_of(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


async def seconds_until_end(own: Connection) -> float:
    began = time.monotonic()
    try:
        while await asyncio.wait_for(own.reader.read(2**16), 20):
            pass
    except ConnectionError:
        pass
    return time.monotonic() - began


async def drip(own: Connection, pause: float) -> None:
    """Send a byte now and then, until the other side has had enough."""
    try:
        while True:
            own.send(b"a")
            await own.writer.drain()
            await asyncio.sleep(pause)
    except ConnectionError:
        return


async def pour(own: Connection, content: bytes) -> None:
    """Send without reading what is answered, for as long as the other side takes it."""
    own.writer.transport.pause_reading()
    async with asyncio.timeout(20):
        while True:
            own.send(content)
            await own.writer.drain()


@asynccontextmanager
async def dripping(own: Connection, pause: float) -> AsyncIterator[None]:
    task = asyncio.create_task(drip(own, pause))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def figure(collector: Daemon, name: str) -> float:
    text = (await ask(collector.port, "GET", "/metrics")).body.decode()
    return float(next(line.split()[1] for line in text.splitlines() if line.startswith(f"{name} ")))


# Slow clients


async def test_a_connection_that_sends_nothing_is_closed(collector: Daemon) -> None:
    async with connection(collector.port) as own:
        assert HEAD * 0.5 < await seconds_until_end(own) < HEAD + SLACK


async def test_a_head_that_never_ends_is_cut_however_steadily_it_drips(collector: Daemon) -> None:
    before = await figure(collector, "cube_connections_cut_total")
    async with connection(collector.port) as own:
        own.send(b"POST /1.0/event HTTP/1.1\r\nX-Slow: ")
        async with dripping(own, 0.1):
            assert await seconds_until_end(own) < HEAD + SLACK
    assert await figure(collector, "cube_connections_cut_total") > before


async def test_a_body_that_drips_is_cut(collector: Daemon) -> None:
    async with connection(collector.port) as own:
        own.send(head("POST", "/1.0/event", {"Content-Length": "50000"}))
        async with dripping(own, 0.1):
            assert await seconds_until_end(own) < STALL + SLACK


async def test_a_body_that_moves_may_take_longer_than_a_stall(collector: Daemon) -> None:
    event = json.dumps({"type": "a", "data": "x" * 20_000}).encode()
    async with connection(collector.port) as own:
        own.send(head("POST", "/1.0/event", {"Content-Length": str(len(event))}))
        for place in range(0, len(event), 2000):
            own.send(event[place : place + 2000])
            await own.writer.drain()
            await asyncio.sleep(STALL / 8)
        assert (await own.answer()).status == 200


async def test_an_idle_connection_is_kept_for_a_while_then_closed(collector: Daemon) -> None:
    async with connection(collector.port) as own:
        assert (await own.ask("GET", "/healthz")).status == 200
        await asyncio.sleep(HEAD * 1.2)
        assert (await own.ask("GET", "/healthz")).status == 200
        assert IDLE * 0.5 < await seconds_until_end(own) < IDLE + SLACK


async def test_a_second_head_that_drips_is_cut_before_it_would_be_for_idleness(collector: Daemon) -> None:
    async with connection(collector.port) as own:
        assert (await own.ask("GET", "/healthz")).status == 200
        own.send(b"GET /healthz HTT")
        assert await seconds_until_end(own) < HEAD + SLACK


async def test_a_client_that_does_not_read_its_answers_is_cut(collector: Daemon) -> None:
    request = head("GET", "/openapi.json", {"Host": "localhost"})
    async with connection(collector.port) as own:
        with pytest.raises(ConnectionError):
            await pour(own, request * 100)


# Heads that are too much


async def test_a_long_url_is_a_414(collector: Daemon) -> None:
    answer = await ask(collector.port, "GET", "/healthz?" + "a" * 2000)
    assert answer.status == 414
    assert "2000" in answer.json["error"]


@pytest.mark.parametrize("size", [8_200, 100_000, 2_000_000])
async def test_a_url_over_the_limit_of_a_head_is_a_414(collector: Daemon, size: int) -> None:
    async with connection(collector.port) as own:
        own.send(b"GET /" + b"a" * size)
        assert (await own.answer()).status == 414


async def test_too_many_headers_are_a_431(collector: Daemon) -> None:
    answer = await ask(collector.port, "GET", "/healthz", headers={f"X-{n}": "1" for n in range(21)})
    assert answer.status == 431
    assert "accepted are 20" in answer.json["error"]


@pytest.mark.parametrize("size", [8_200, 100_000])
async def test_a_head_over_its_limit_is_a_431(collector: Daemon, size: int) -> None:
    async with connection(collector.port) as own:
        own.send(b"GET /healthz HTTP/1.1\r\nX: " + b"a" * size)
        answer = await own.answer()
        assert (answer.status, answer.headers["connection"]) == (431, "close")


# Too many connections


async def test_connections_are_bounded_and_idle_ones_make_room(collector: Daemon) -> None:
    before = await figure(collector, "cube_connections_turned_away_total")
    crowd = [await asyncio.open_connection("127.0.0.1", collector.port) for _ in range(CONNECTIONS)]
    try:
        async with connection(collector.port) as own:
            answer = await own.answer()
            assert (answer.status, answer.headers["retry-after"]) == (503, "1")
            assert await own.ended()
        await until_served(collector)
    finally:
        for _, writer in crowd:
            writer.close()
    await until_served(collector)
    assert await figure(collector, "cube_connections_turned_away_total") > before


async def until_served(collector: Daemon) -> None:
    """Return once a new client is served: those before make room."""
    async with asyncio.timeout(HEAD + SLACK):
        while (await ask_or_503(collector)) != 200:  # noqa: ASYNC110 - the server tells nobody
            await asyncio.sleep(0.05)


async def ask_or_503(collector: Daemon) -> int:
    try:
        return (await ask(collector.port, "GET", "/healthz")).status
    except (ConnectionError, asyncio.IncompleteReadError):
        return 0


async def test_without_files_for_more_connections_it_waits_and_goes_on(
    collector: Daemon, tmp_path_factory: pytest.TempPathFactory
) -> None:
    pid = collector.process.pid
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    used = files_of(pid)
    log = log_of(tmp_path_factory)
    async with connection(collector.port) as own:
        assert (await own.ask("GET", "/healthz")).status == 200
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (used + 2, limits[1]))
        crowd = [await asyncio.open_connection("127.0.0.1", collector.port) for _ in range(10)]
        try:
            async with asyncio.timeout(20):
                while "no connection can be accepted now" not in log.read_text():  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            assert (await own.ask("GET", "/healthz")).status == 200
        finally:
            resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
            for _, writer in crowd:
                writer.close()
    assert log.read_text().count("no connection can be accepted now") < 20


# WebSocket frames


@asynccontextmanager
async def upgraded(collector: Daemon, **headers: str) -> AsyncIterator[Connection]:
    async with connection(collector.port) as own:
        answer = await own.ask("GET", "/1.0/event/put", headers={**HANDSHAKE, **headers})
        assert answer.status == 101
        assert "sec-websocket-extensions" not in answer.headers
        yield own


def frame(
    payload: bytes, *, opcode: int = 1, fin: bool = True, flags: int = 0, size: int | None = None
) -> bytes:
    """Return a masked frame; its mask is all zeros. ``size`` may lie."""
    size = len(payload) if size is None else size
    first = bytes([(0x80 if fin else 0) | flags | opcode])
    if size < 126:
        length = bytes([0x80 | size])
    elif size < 2**16:
        length = bytes([0x80 | 126]) + struct.pack("!H", size)
    else:
        length = bytes([0x80 | 127]) + struct.pack("!Q", size)
    return first + length + bytes(4) + payload


async def closing_code(own: Connection) -> int | None:
    """Return the code of the closing frame, after whatever else comes; None if there is none."""
    code = None
    try:
        while True:
            first, second = await asyncio.wait_for(own.reader.readexactly(2), 20)
            size = second & 127
            if size == 126:
                size = struct.unpack("!H", await own.reader.readexactly(2))[0]
            payload = await own.reader.readexactly(size)
            if first & 15 == 8 and payload:
                code = struct.unpack("!H", payload[:2])[0]
    except (asyncio.IncompleteReadError, ConnectionError):
        return code


async def test_a_frame_that_announces_too_much_ends_the_socket_at_once(collector: Daemon) -> None:
    for size in (2 * BODY_BYTES + 1, 2**40, 2**63 - 1):
        async with upgraded(collector) as own:
            own.send(frame(b"", size=size))
            assert await closing_code(own) == 1009


async def test_a_message_of_many_fragments_is_bounded(collector: Daemon) -> None:
    async with upgraded(collector) as own:
        own.send(frame(b"x" * 50_000, fin=False))
        for _ in range(5):
            own.send(frame(b"x" * 50_000, opcode=0, fin=False))
        assert await closing_code(own) in (1009, None)  # closing on unread bytes may overtake the code


async def test_compression_is_not_agreed_to_so_no_frame_can_inflate(collector: Daemon) -> None:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = deflate.compress(b" " * 10_000_000) + deflate.flush(zlib.Z_SYNC_FLUSH)
    async with upgraded(collector, **{"Sec-WebSocket-Extensions": "permessage-deflate"}) as own:
        own.send(frame(bomb[:-4], flags=0x40))
        assert await seconds_until_end(own) < SLACK


async def test_a_half_sent_frame_is_cut_and_an_idle_socket_is_not(collector: Daemon) -> None:
    async with upgraded(collector) as idle, upgraded(collector) as half:
        half.send(frame(b"x" * 10, size=90_000))
        assert await seconds_until_end(half) < STALL + SLACK
        await asyncio.sleep(IDLE)
        idle.send(frame(b'{"events": [{"type": "a"}], "ack": 1}'))
        assert b'{"ack":1}' in await asyncio.wait_for(idle.reader.read(100), 10)


async def test_pings_whose_answers_nobody_reads_end_the_socket(collector: Daemon) -> None:
    async with upgraded(collector) as own:
        with pytest.raises(ConnectionError):
            await pour(own, frame(b"x" * 100, opcode=9) * 1000)


async def test_memory_stays_bounded_through_all_of_it(collector: Daemon) -> None:
    assert collector.resident_bytes() < 300 * 2**20


def test_nothing_of_it_is_a_fault(collector: Daemon, tmp_path_factory: pytest.TempPathFactory) -> None:
    log = log_of(tmp_path_factory).read_text()
    faults = [line for line in log.splitlines() if '"level":"error"' in line]
    assert [line for line in faults if "no connection can be accepted now" not in line] == []
    assert "Traceback" not in log
