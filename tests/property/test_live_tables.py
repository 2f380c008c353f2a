"""Live metrics under random changes: what the messages add up to is what HTTP answers.

A table of rows by time and group is kept of each request's messages, as a client would. After each
change it must become, and stay, the answer that HTTP gives to the same question at that moment.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from cube.model import instant
from cube.model.tier import DAY as DAY_TIER
from cube.model.tier import TEN_SECONDS, TIERS, Tier
from cube.store import mongo
from tests.evaluator_running import ANSWER_SECONDS, Running, Socket, event, running, running_on
from tests.mongo_server import MongoServer, mongo_server
from tests.web_client import Connection, connection

__all__ = ["mongo_server"]

SUNDAY_NIGHT = instant.parse("2011-07-17T23:59:45Z")
SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000

POLL_MS = 100
CHANGES = 15

GROUPS = ("a", "b", True, 1, 2.5)
AGES = (0, 0, SECOND, 3 * SECOND, 25 * SECOND, MINUTE, 7 * MINUTE, HOUR, 30 * HOUR, 9 * DAY, -5 * SECOND)
IDS = tuple(f"event {number}" for number in range(6))

EXPRESSIONS = (
    "sum(test(v))",
    "sum(test(v)).group(floor(v / 2))",
    'max(test(v).gt(v, 0)).group(log2(v - 1), "none")',
    "sum(test(v)).group(g) / sum(test) - median(test(v)).group(g)",
    "rolling(distinct(test(v)).group(g), 7m) - shift(sum(test(v)).group(g), 1h)",
    "change(cumulative(sum(test(v))), 3s) + fill(mean(test(v)), previous)",
)


@dataclass
class Table:
    """What one client has of a live metric: the latest ``limit`` buckets."""

    expression: str
    tier: Tier
    limit: int
    start: int | None
    rows: dict[tuple[str, Any], dict[str, Any]] = field(default_factory=dict)
    is_live: bool = False

    @property
    def question(self) -> dict[str, Any]:
        asked = {"expression": self.expression, "step": self.tier.step, "limit": self.limit}
        return asked if self.start is None else {**asked, "start": self.start}

    def take(self, message: dict[str, Any]) -> None:
        row = {name: value for name, value in message.items() if name != "id"}
        assert "error" not in row, row
        if row == {"live": True}:
            self.is_live = True
        elif "removed" in row:
            assert "value" not in row
            self.rows.pop(_key(row), None)
        else:
            self.rows[_key(row)] = row
            self._drop_old()

    def shown(self) -> list[dict[str, Any]]:
        return sorted(self.rows.values(), key=_order)

    def _drop_old(self) -> None:
        """Keep the latest buckets: nothing is said of those that leave at the start."""
        newest = instant.parse(max(time for time, _ in self.rows))
        first = instant.format(newest - (self.limit - 1) * self.tier.step)
        self.rows = {key: row for key, row in self.rows.items() if row["time"] >= first}


def _key(row: dict[str, Any]) -> tuple[str, Any]:
    group = row.get("group")
    return row["time"], (isinstance(group, bool), group)


def _order(row: dict[str, Any]) -> Any:
    group = row.get("group")
    return row["time"], isinstance(group, str), isinstance(group, bool), group


class Board:
    """Many live metrics on one socket, and the same questions over HTTP."""

    def __init__(self, made: Running, socket: Socket, http: Connection) -> None:
        self.made = made
        self._socket = socket
        self._http = http
        self._tables: list[Table] = []

    async def ask(self, table: Table) -> None:
        await self._socket.ask(id=len(self._tables), **table.question)
        self._tables.append(table)

    async def until_right(self, after: str) -> None:
        """Return when every table is what HTTP answers, and its messages have been read."""
        right = [await self._answer(table) for table in self._tables]
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                while not all(map(self._is_right, self._tables, right)):
                    self._take(await self._socket.next())
        except TimeoutError:
            for table, rows in zip(self._tables, right, strict=True):
                assert table.shown() == rows, (after, table.question)
            raise

    def _take(self, message: dict[str, Any]) -> None:
        self._tables[message["id"]].take(message)

    def _is_right(self, table: Table, rows: list[dict[str, Any]]) -> bool:
        return table.is_live and table.shown() == rows

    def _stop(self, table: Table) -> int:
        return table.tier.floor(self.made.clock.now) + table.tier.step

    async def _answer(self, table: Table) -> list[dict[str, Any]]:
        stop = self._stop(table)
        if table.start is not None and table.start >= stop:
            return []
        answer = await self._http.ask("GET", f"/1.0/metric?{urlencode({**table.question, 'stop': stop})}")
        assert answer.status == 200, answer.json
        return sorted(answer.json, key=_order)


class Changes:
    """Random changes of a store and of the clock."""

    def __init__(self, made: Running, seed: int) -> None:
        self._made = made
        self._random = random.Random(seed)
        self._expired = 0

    async def make(self) -> str:
        """Make one, and return its name."""
        kinds: list[tuple[int, Callable[[], Awaitable[None]]]] = [
            (8, self.save),
            (4, self.advance),
            (1, self.set_back),
            (1, self.expire),
            (1, self.delete_metrics),
        ]
        weights, changes = zip(*kinds, strict=True)
        (change,) = self._random.choices(changes, weights)
        await change()
        return change.__name__

    async def save(self) -> None:
        """Store an event, mostly in place of another one, whose group and time may differ."""
        time = self._made.clock.now - self._random.choice(AGES)
        data = {"v": self._random.choice((0, 0, 1, 2, 7)), "g": self._random.choice(GROUPS)}
        if time >= self._expired:
            await self._made.save(event(time, data, self._random.choice(IDS)))

    async def advance(self) -> None:
        self._made.clock.now += self._random.choice((SECOND, SECOND, 10 * SECOND, 70 * SECOND, HOUR, DAY))

    async def set_back(self) -> None:
        self._made.clock.now -= self._random.choice((2 * SECOND, 40 * SECOND, HOUR))

    async def expire(self) -> None:
        """Let events expire, and delete them."""
        self._expired = max(self._expired, self._made.clock.now - self._random.choice(AGES[3:-1]))
        await self._made.store.events.expire("test", self._expired)
        await self._made.store.events.delete_events("test", self._expired)

    async def delete_metrics(self) -> None:
        """Delete old metrics and revisions; that is seen within a minute."""
        before = self._made.clock.now - self._random.choice(AGES[3:-1])
        await self._made.store.metrics.delete(before)
        await self._made.store.events.forget("test", before)
        await self._made.store.events.delete_revisions("test", before)
        self._made.clock.now += MINUTE


@asynccontextmanager
async def board(made: Running) -> AsyncIterator[Board]:
    socket = await made.socket("/1.0/metric/get")
    async with connection(made.port) as http:
        yield Board(made, socket, http)


async def hold_to_it(made: Running, seed: int, changes: int, tiers: Iterable[Tier]) -> None:
    some = Changes(made, seed)
    for _ in range(10):
        await some.save()
    async with board(made) as asked:
        for number, tier in enumerate(tiers):
            grouped, plain = EXPRESSIONS[1 + number % 3], EXPRESSIONS[0]
            await asked.ask(Table(grouped, tier, 9, None))
            if number % 2:
                await asked.ask(Table(EXPRESSIONS[1], tier, 5, SUNDAY_NIGHT - 2 * tier.step))
            else:
                await asked.ask(Table(plain, tier, 4, None))
        await asked.until_right("nothing")
        for number in range(changes):
            name = await some.make()
            await asked.until_right(f"change {number} of seed {seed}: {name}")


@pytest.mark.parametrize("seed", [1, 2])
async def test_messages_add_up_to_what_http_answers(tmp_path: Path, seed: int) -> None:
    async with running(tmp_path, now=SUNDAY_NIGHT, poll_ms=POLL_MS) as made:
        await hold_to_it(made, seed, CHANGES, TIERS.values())


async def test_messages_add_up_to_what_http_answers_on_mongodb(mongo_server: MongoServer) -> None:
    name = mongo_server.database()
    async with running_on(
        await mongo.open_store(mongo_server.url, name), now=SUNDAY_NIGHT, poll_ms=POLL_MS
    ) as made:
        await hold_to_it(made, 4, 5, (TEN_SECONDS, DAY_TIER))
    mongo_server.forget(name)
