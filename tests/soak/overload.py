"""A collector is offered five times what its store takes, over HTTP, a WebSocket and UDP at once.

The store is a MongoDB behind a proxy that lets only so many bytes a second through, so that the ratio is
the same on every machine.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import math
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tornado.websocket import WebSocketClientConnection, websocket_connect

from tests.daemon import Daemon, daemon
from tests.fault.proxy import FaultyProxy
from tests.fault.sending import figure, stored
from tests.mongo_server import MongoServer
from tests.web_client import Answer, connection

OVERLOAD = 5
BATCH = 50
WAITING_EVENTS = 10_000
BYTES_PER_SECOND = 200_000
MEASURE_SECONDS = 2.0
RECOVERED, MEASURES = 0.5, 5
"""The share of its rate that a collector must reach again, in one of so many measures."""
CLIENTS = 40
"""So many at once fill the commits, and with them the line to the store."""
SHARES = {"http": 0.7, "ws": 0.2, "udp": 0.1}
FLAGS = (
    *("--intake-waiting-events", str(WAITING_EVENTS), "--intake-waiting-bytes", str(8 * 2**20)),
    *("--intake-commit-events", "1000"),
)


@dataclass(slots=True)
class Report:
    """What came of it: rates in events per second, times in seconds, memory in bytes.

    ``slowest``: of the accepted requests. ``recovery``: from the end of the overload until a request is
    answered within a second.
    """

    rate_before: float = 0.0
    rate_after: float = 0.0
    offered: int = 0
    acknowledged: dict[str, set[int]] = field(default_factory=lambda: {"http": set(), "ws": set()})
    statuses: dict[int, int] = field(default_factory=dict)
    slowest: float = 0.0
    recovery: float = 0.0
    memory: list[int] = field(default_factory=list)
    stored: dict[str, set[int]] = field(default_factory=dict)
    sent_by_udp: int = 0
    received_by_udp: int = 0
    dropped_by_udp: int = 0

    @property
    def lost(self) -> int:
        """How many acknowledged events are not stored."""
        return sum(len(ids - self.stored[name]) for name, ids in self.acknowledged.items())

    @property
    def growth(self) -> int:
        """By how much the second half's highest memory is over that of the first half."""
        half = len(self.memory) // 2
        return max(self.memory[half:]) - max(self.memory[:half])

    def lines(self) -> str:
        """Return it as text."""
        counts = {name: len(ids) for name, ids in self.acknowledged.items()}
        return (
            f"the store takes {self.rate_before:,.0f} events/s; offered {self.offered:,} events\n"
            f"acknowledged {counts}, lost {self.lost}; statuses {self.statuses}\n"
            f"slowest accepted request {self.slowest:.2f} s\n"
            f"memory at most {max(self.memory) / 2**20:.0f} MiB,"
            f" grown by {self.growth / 2**20:.1f} MiB in the second half\n"
            f"UDP: {self.sent_by_udp:,} sent, {self.received_by_udp:,} received,"
            f" {self.dropped_by_udp:,} dropped, {len(self.stored['udp']):,} stored\n"
            f"answers in under 1 s again after {self.recovery:.1f} s; then {self.rate_after:,.0f} events/s\n"
        )


def run(server: MongoServer, directory: Path, seconds: float, *flags: str) -> Report:
    """Overload a collector for so long, and report."""
    database = server.database()
    port = server.port
    with (
        FaultyProxy(port, bytes_per_second=BYTES_PER_SECOND) as proxy,
        daemon("collector", proxy.url, directory, *FLAGS, *flags, database=database) as collector,
    ):
        report = asyncio.run(Overload(collector).run(seconds))
        _wait_until_idle(collector, OVERLOAD * seconds + 60, spools="--spool-directory" in flags)
        for name in SHARES:
            report.stored[name] = set(stored(server.url, database, name))
    server.forget(database)
    return report


def _wait_until_idle(collector: Daemon, seconds: float, *, spools: bool) -> None:
    """Return when all that was accepted is stored; a spool may have taken in most of the overload."""
    names = ["cube_waiting_events", *(["cube_spool_events"] if spools else [])]
    deadline = time.monotonic() + seconds
    while waiting := sum(figure(collector, name) for name in names):
        assert time.monotonic() < deadline, f"{waiting:g} events still wait after {seconds:g} s"
        time.sleep(0.1)


class Overload:
    """The clients, in one event loop."""

    def __init__(self, collector: Daemon) -> None:
        self._collector = collector
        self._report = Report()
        self._numbers = {name: itertools.count() for name in SHARES}

    async def run(self, seconds: float) -> Report:
        report = self._report
        report.rate_before = await self._rate()
        per_second = OVERLOAD * report.rate_before
        watching = asyncio.create_task(self._watch())
        async with asyncio.TaskGroup() as group:
            group.create_task(self._http(SHARES["http"] * per_second, seconds))
            group.create_task(self._ws(SHARES["ws"] * per_second, seconds))
            group.create_task(self._udp(SHARES["udp"] * per_second, seconds))
        watching.cancel()
        for _ in range(MEASURES):  # a noisy machine's worst moment says nothing of the collector
            report.rate_after = max(report.rate_after, await self._rate())
            if report.rate_after > RECOVERED * report.rate_before:
                break
        report.received_by_udp = int(figure(self._collector, "cube_udp_datagrams_total"))
        report.dropped_by_udp = int(figure(self._collector, 'cube_udp_dropped_total{reason="overloaded"}'))
        return report

    async def _rate(self) -> float:
        """Send as fast as is answered; return how many events were stored a second."""
        before, began = self._acknowledged(), time.monotonic()
        async with asyncio.TaskGroup() as group:
            for _ in range(CLIENTS):
                group.create_task(self._closed_loop(began + MEASURE_SECONDS))
        return (self._acknowledged() - before) / (time.monotonic() - began)

    async def _closed_loop(self, until: float) -> None:
        while time.monotonic() < until:
            await self._post()

    async def _http(self, per_second: float, seconds: float) -> None:
        async with asyncio.TaskGroup() as group:
            async for _ in _paced(per_second / BATCH, seconds):
                group.create_task(self._post())
                self._report.offered += BATCH
            await self._recover()

    async def _post(self) -> float:
        """Send one batch, and note what came of it; return the seconds that it took, infinite if refused."""
        events, ids = self._batch("http")
        began = time.monotonic()
        async with connection(self._collector.port) as own:
            answer: Answer = await own.ask("POST", "/1.0/event", json.dumps(events).encode(), seconds=60)
        took = time.monotonic() - began
        self._report.statuses[answer.status] = self._report.statuses.get(answer.status, 0) + 1
        if answer.status in (200, 202):
            self._report.acknowledged["http"].update(ids)
            self._report.slowest = max(self._report.slowest, took)
            return took
        assert int(answer.headers["retry-after"]) >= 1
        return math.inf

    async def _ws(self, per_second: float, seconds: float) -> None:
        url = f"ws://127.0.0.1:{self._collector.port}/1.0/event/put"
        client = await websocket_connect(url)
        sent: dict[int, list[int]] = {}
        reading = asyncio.create_task(self._acks(client, sent))
        async for token in _paced(per_second / BATCH, seconds):
            events, ids = self._batch("ws")
            sent[token] = ids
            self._report.offered += BATCH
            await client.write_message(
                json.dumps({"ack": token, "events": events})
            )  # waits while it is not read
        while sent:  # noqa: ASYNC110 - the other task empties it
            await asyncio.sleep(0.05)
        client.close()
        await reading

    async def _acks(self, client: WebSocketClientConnection, sent: dict[int, list[int]]) -> None:
        while (message := await client.read_message()) is not None:
            answer = json.loads(message)
            assert "error" not in answer, answer
            self._report.acknowledged["ws"].update(sent.pop(answer["ack"]))

    async def _udp(self, per_second: float, seconds: float) -> None:
        host, _, port = str(self._collector.udp).rpartition(":")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            async for _ in _paced(per_second / 5, seconds):
                for _ in range(5):
                    event = {"type": "udp", "id": next(self._numbers["udp"])}
                    sender.sendto(json.dumps(event).encode(), (host, int(port)))
                    self._report.sent_by_udp += 1
                    self._report.offered += 1

    async def _watch(self) -> None:
        while True:
            self._report.memory.append(self._collector.resident_bytes())
            await asyncio.sleep(0.2)

    async def _recover(self) -> None:
        """Return once a request is answered as quickly as if there had been no overload."""
        began = time.monotonic()
        while await self._post() > 1:  # noqa: ASYNC110 - it is asked now and then
            await asyncio.sleep(0.05)
        self._report.recovery = time.monotonic() - began

    def _batch(self, type: str) -> tuple[list[dict[str, Any]], list[int]]:
        ids = list(itertools.islice(self._numbers[type], BATCH))
        return [{"type": type, "id": id, "data": {"path": "/", "ms": id % 1000}} for id in ids], ids

    def _acknowledged(self) -> int:
        return len(self._report.acknowledged["http"])


async def _paced(per_second: float, seconds: float) -> AsyncIterator[int]:
    """Yield 1, 2, 3 … at a rate; who is made to wait goes on at that rate, and does not catch up."""
    ends = time.monotonic() + seconds
    due = time.monotonic()
    for number in itertools.count(1):
        yield number
        due = max(due + 1 / per_second, time.monotonic() - 1)
        if due >= ends or time.monotonic() >= ends:
            return
        await asyncio.sleep(max(0, due - time.monotonic()))
