"""A collector that stops, alone or with another one on its port: in time, and nobody is turned away."""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
import socket
import time
from collections import Counter
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest

from cube.store.sqlite import open_store
from tests.contract.builders import rows
from tests.daemon import Daemon, daemon
from tests.mongo_server import MongoServer
from tests.tools import LONG
from tests.web_client import HANDSHAKE, Connection, connection, head

STOP_SECONDS = 2.0
UPGRADES = 3 if LONG else 1


class Load:
    """Clients that store one event after another: half of them on a connection for each, half on one.

    Those keep theirs until they are told to close it; ``late`` counts their requests that came when the
    process had gone from them. ``outcomes``: of those with a connection for each event.
    """

    def __init__(self, port: int, clients: int) -> None:
        self.port = port
        self.outcomes: Counter[str] = Counter()
        self.late = 0
        self.stored: set[int] = set()
        self._numbers = itertools.count()
        self._enough = False
        self._tasks = [asyncio.create_task(self._client(keeps=bool(n % 2))) for n in range(clients)]

    async def until(self, answers: int) -> None:
        """Return when there are so many more answers."""
        target = self.outcomes.total() + answers
        async with asyncio.timeout(60):
            while self.outcomes.total() < target:  # noqa: ASYNC110 - the clients count
                await asyncio.sleep(0.01)

    async def finish(self) -> None:
        """Stop all clients after what they are about."""
        self._enough = True
        await asyncio.gather(*self._tasks)

    async def _client(self, *, keeps: bool) -> None:
        while not self._enough:
            try:
                async with connection(self.port) as own:
                    while await self._store_one(own, keeps=keeps) and keeps:
                        pass
            except (OSError, asyncio.IncompleteReadError) as error:
                self._count(type(error).__name__, keeps=keeps)

    def _count(self, outcome: str, *, keeps: bool) -> None:
        if keeps:
            self.late += outcome != "200"
        else:
            self.outcomes[outcome] += 1

    async def _store_one(self, own: Connection, *, keeps: bool) -> bool:
        """Store an event and tell whether the connection may be used again."""
        number = next(self._numbers)
        answer = await own.ask("POST", "/1.0/event", json.dumps({"type": "a", "id": number}).encode())
        self._count(str(answer.status), keeps=keeps)
        if answer.status == 200:
            self.stored.add(number)
        await asyncio.sleep(0.002)
        return answer.headers.get("connection") != "close" and not self._enough


async def ids(directory: Path) -> set[object]:
    store = await open_store(directory, "test")
    try:
        return {row[1] for row in await rows(store, "a")}
    finally:
        await store.close()


async def stopped(process: Daemon) -> float:
    """Send SIGTERM and return how long the process took to end, with status 0 or 1."""
    began = time.monotonic()
    process.process.send_signal(signal.SIGTERM)
    await asyncio.to_thread(process.process.wait, 30)
    return time.monotonic() - began


async def test_collectors_replace_each_other_and_no_connection_is_refused_or_reset(tmp_path: Path) -> None:
    """Upgrades on one port, each under load: start the new one, end the old one."""
    async with AsyncExitStack() as stack:
        first = stack.enter_context(daemon("collector", f"sqlite:{tmp_path}", tmp_path))
        port = ("--port", str(first.port))
        load = Load(first.port, 12)
        current = first
        for _ in range(UPGRADES):
            await load.until(200)
            successor = await asyncio.to_thread(
                stack.enter_context, daemon("collector", f"sqlite:{tmp_path}", tmp_path, *port)
            )
            await load.until(200)
            await stopped(current)
            assert current.process.returncode == 0
            current = successor
        await load.until(200)
        await load.finish()
    assert set(load.outcomes) == {"200"}, load.outcomes
    assert load.outcomes.total() > 400 * UPGRADES
    assert load.late <= UPGRADES * 6  # one for each kept connection and upgrade, at the very worst
    assert await ids(tmp_path) == load.stored
    log = (tmp_path / "collector.log").read_text()
    assert "others listen on" in log
    assert "cannot be held back" not in log


async def test_datagrams_go_to_the_other_collector_and_none_is_lost(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        old = stack.enter_context(daemon("collector", f"sqlite:{tmp_path}", tmp_path))
        host, _, port = (old.udp or "").rpartition(":")
        flags = ("--udp-port", port)
        await asyncio.to_thread(
            stack.enter_context, daemon("collector", f"sqlite:{tmp_path}", tmp_path, *flags)
        )
        ending: asyncio.Task[float] | None = None
        for number in range(2_000):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:  # a new port, and so either one
                own.sendto(json.dumps({"type": "a", "id": number}).encode(), (host, int(port)))
            if number % 10 == 0:
                await asyncio.sleep(0.001)
            if number == 1_000:
                ending = asyncio.create_task(stopped(old))
        assert ending is not None
        await ending
    assert len(await ids(tmp_path)) == 2_000


def test_an_accidental_second_start_can_be_refused(tmp_path: Path) -> None:
    first = daemon("collector", f"sqlite:{tmp_path}", tmp_path, "--reuse-port", "false")
    refused = pytest.raises(AssertionError, match="Cannot listen on 127.0.0.1:.*: Address already in use")
    with first as running, refused:
        daemon("collector", f"sqlite:{tmp_path}", tmp_path, "--port", str(running.port)).__enter__()


# Alone


async def test_a_stop_ends_in_time_whatever_clients_hold_open(tmp_path: Path) -> None:
    flags = ("--stop-seconds", str(STOP_SECONDS))
    event = b'{"type": "a", "id": 1}'
    with daemon("collector", f"sqlite:{tmp_path}", tmp_path, *flags) as process:
        async with AsyncExitStack() as stack:
            idle, silent, half_head, half_body, feed = [
                await stack.enter_async_context(connection(process.port)) for _ in range(5)
            ]
            assert (await idle.ask("GET", "/healthz")).status == 200
            assert not silent.reader.at_eof()
            half_head.send(b"POST /1.0/event HTTP/1.1\r\nConte")
            half_body.send(head("POST", "/1.0/event", {"Content-Length": "1000"}) + event)
            assert (await feed.ask("GET", "/1.0/event/put", headers=HANDSHAKE)).status == 101
            await idle.ask("POST", "/1.0/event", event)
            assert await stopped(process) < STOP_SECONDS + 1.5
            assert process.process.returncode == 0
            for own in (idle, silent, half_head, half_body, feed):
                with suppress(ConnectionError):  # cut, or closed: the client notices
                    await asyncio.wait_for(own.reader.read(), 5)
    assert await ids(tmp_path) == {1}


BODY = b'{"type": "a"}'
WAITING = {
    "collector": head("POST", "/1.0/event", {"Content-Length": str(len(BODY))}) + BODY,
    "evaluator": head("GET", "/1.0/metric?expression=sum(a)", {}),
}
"""A request that each daemon cannot answer without its store."""


@pytest.mark.parametrize("name", WAITING)
async def test_a_stop_ends_in_time_when_the_store_hangs(tmp_path: Path, name: str) -> None:
    flags = ("--stop-seconds", str(STOP_SECONDS))
    with MongoServer() as server, daemon(name, server.url, tmp_path, *flags) as process:
        async with connection(process.port) as own:
            own.send(WAITING[name])
            assert (await own.answer()).status == 200
            with server.frozen():
                own.send(WAITING[name])
                assert STOP_SECONDS * 0.8 < await stopped(process) < STOP_SECONDS + 1.5
    assert process.process.returncode in (0, 1)
    log = (tmp_path / f"{name}.log").read_text()
    assert "they are cut off" in log
    assert ("it is ended now" in log) == (process.process.returncode == 1)
