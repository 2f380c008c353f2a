"""WebSockets that send much, and never the end of it: a running collector holds no more than its bound."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.daemon import Daemon, daemon
from tests.integration.test_web_limits import figure, frame
from tests.web_client import HANDSHAKE, Connection, ask, connection

MESSAGE_BYTES = 4_000_000
HALF = b"x" * 3_000_000
CROWD = 30
GROWTH_BYTES = 40 * 2**20
LIMITS = ("--limits-body-bytes", str(MESSAGE_BYTES), "--http-bodies-bytes", str(2 * MESSAGE_BYTES))


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Daemon]:
    with daemon("collector", f"sqlite:{tmp_path}", tmp_path, *LIMITS) as running:
        yield running


async def upgraded(collector: Daemon, stack: AsyncExitStack) -> Connection:
    own = await stack.enter_async_context(connection(collector.port))
    assert (await own.ask("GET", "/1.0/event/put", headers=HANDSHAKE)).status == 101
    return own


async def send(own: Connection, content: bytes) -> None:
    """Send what the other side takes of it."""
    try:
        await own.send_all(content)
    except ConnectionError:
        return


async def until(collector: Daemon, name: str, least: float) -> None:
    """Return when a figure has become so high."""
    async with asyncio.timeout(20):
        while await figure(collector, name) < least:  # noqa: ASYNC110 - it is another process
            await asyncio.sleep(0.05)


def half_a_frame() -> bytes:
    return frame(HALF, size=MESSAGE_BYTES)


def fragments_and_pings() -> bytes:
    """Return the beginning of a message, with frames in it that are not part of it."""
    parts = [HALF[place : place + 100_000] for place in range(0, len(HALF), 100_000)]
    ping = frame(b"", opcode=9)
    return b"".join(
        frame(part, opcode=0 if number else 1, fin=False) + ping for number, part in enumerate(parts)
    )


@pytest.mark.parametrize("make", [half_a_frame, fragments_and_pings])
async def test_half_messages_are_bounded_together(collector: Daemon, make: Callable[[], bytes]) -> None:
    content = make()
    before = collector.resident_bytes()
    async with AsyncExitStack() as stack:
        crowd = [await upgraded(collector, stack) for _ in range(CROWD)]
        await asyncio.gather(*(send(own, content) for own in crowd))
        await until(collector, "cube_connections_cut_total", CROWD - 3)
        assert collector.resident_bytes() - before < GROWTH_BYTES
        modest = await upgraded(collector, stack)
        modest.send(frame(b'{"events": [{"type": "a"}], "ack": 1}'))
        assert b'{"ack":1}' in await asyncio.wait_for(modest.reader.read(100), 10)


async def test_a_client_that_leaves_amid_a_message_leaves_nothing_behind(collector: Daemon) -> None:
    before = collector.resident_bytes()
    for _ in range(CROWD):
        async with AsyncExitStack() as stack:
            await send(await upgraded(collector, stack), half_a_frame())
    assert (await ask(collector.port, "GET", "/healthz")).status == 200
    assert collector.resident_bytes() - before < GROWTH_BYTES


async def test_messages_that_came_as_a_whole_are_stored_though_their_client_left_at_once(
    collector: Daemon,
) -> None:
    async with AsyncExitStack() as stack:
        own = await upgraded(collector, stack)
        await send(own, frame(b'{"type": "a"}') * 500 + half_a_frame())
    await until(collector, "cube_events_stored_total", 500)
