"""Event streams under random saves: every client gets every event once, whenever it came and joined."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cube.model.event import EventId
from cube.model.made_id import make_id
from cube.store import mongo
from tests.evaluator_running import ANSWER_SECONDS, Running, Socket, event, running, running_on
from tests.mongo_server import MongoServer, mongo_server

__all__ = ["mongo_server"]

SECOND = 1_000
LATE = 600 * SECOND
"""Longer than anything here takes: no event is too late."""

LATENESS = (0, 0, 0, SECOND, 4 * SECOND, 15 * SECOND, 70 * SECOND, -8 * SECOND)


@dataclass
class Client:
    """One that follows a stream, and what it has got: versions of events, by their numbers."""

    socket: Socket
    asked: dict[str, Any]
    got: Counter[int] = field(default_factory=Counter)

    async def until(self, wanted: set[int]) -> None:
        """Return when it has got all of these; an `AssertionError` says what is missing."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                while not wanted <= self.got.keys():
                    row = await self.socket.next()
                    self.got[row["data"]["n"]] += 1
        except TimeoutError:
            assert wanted - self.got.keys() == set(), self.asked
            raise


@dataclass
class Saver:
    """Saves events of random times, some of them in place of others; keeps what is there in the end."""

    made: Running
    random: random.Random
    stored: dict[EventId, tuple[int, int]] = field(default_factory=dict)
    replaced: set[int] = field(default_factory=set)
    count: int = 0

    async def save(self, how_many: int) -> None:
        some = [self._event() for _ in range(how_many)]
        await self.made.save(*some)

    def _event(self) -> Any:
        self.count += 1
        time = self.made.clock.now - self.random.choice(LATENESS) - self.random.randrange(SECOND)
        known = list(self.stored)
        id: EventId = make_id() if self.count % 3 else f"id {self.count}"
        if known and self.random.random() < 0.1:
            id = self.random.choice(known)
            self.replaced |= {self.stored[id][1], self.count}
        self.stored[id] = (time, self.count)
        return event(time, {"n": self.count}, id)

    def wanted(self, start: int) -> set[int]:
        return {number for time, number in self.stored.values() if time >= start}


async def follow(made: Running, choice: random.Random) -> Client:
    socket = await made.socket("/1.0/event/get")
    start = made.clock.now - choice.choice((0, 3 * SECOND, 40 * SECOND, LATE))
    asked = {"start": start, "delay": choice.choice((0, 500, 5 * SECOND, 20 * SECOND)), "late": LATE}
    await socket.ask(expression="test(n)", **asked)
    return Client(socket, asked)


async def hold_to_it(made: Running, seed: int, steps: int) -> None:
    choice = random.Random(seed)
    saver = Saver(made, choice)
    await saver.save(200)
    clients = [await follow(made, choice)]
    for step in range(steps):
        made.clock.now += choice.choice((0, 300, SECOND, 2 * SECOND))
        await saver.save(choice.randrange(1, 12))
        if step % 5 == 0:
            clients.append(await follow(made, choice))
        await asyncio.sleep(choice.choice((0, 0.002, 0.02)))
    made.clock.now += 40 * SECOND
    for client in clients:
        await client.until(saver.wanted(client.asked["start"]))
    await made.save(event(made.clock.now - 30 * SECOND, {"n": 0}))
    for client in clients:
        await client.until({0})
        twice = {number for number, count in client.got.items() if count > 1}
        assert twice <= saver.replaced  # of a replaced one an older form may come between


@pytest.mark.parametrize("seed", [3, 38])
async def test_every_client_gets_every_event_once(tmp_path: Path, seed: int) -> None:
    async with running(tmp_path) as made:
        await hold_to_it(made, seed, steps=40)


async def test_every_client_gets_every_event_once_on_mongodb(mongo_server: MongoServer) -> None:
    name = mongo_server.database()
    async with running_on(await mongo.open_store(mongo_server.url, name), poll_ms=60) as made:
        await hold_to_it(made, 4, steps=16)
    mongo_server.forget(name)
