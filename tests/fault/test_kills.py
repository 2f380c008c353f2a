"""Nothing that was acknowledged is lost, and nothing is stored twice, whatever is killed, and when."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import pytest

from cube.client import Evaluator
from cube.environment import DEFAULT, Environment
from cube.errors import CubeError
from cube.opening import opened
from tests.contract.builders import rows
from tests.fault.mortal import Mortal
from tests.fault.senders import Ledger, http_emitter, plain_http, run_client, socket_emitter
from tests.mongo_server import MongoServer

EVENTS = 100_000
KILLS = 20
BATCH = 100
SENDERS = (plain_http, plain_http, http_emitter, socket_emitter)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", ["sqlite", "mongodb"])
async def test_no_kill_loses_an_acknowledged_event(kind: str, tmp_path: Path) -> None:
    with ExitStack() as stack:
        server = stack.enter_context(MongoServer()) if kind == "mongodb" else None
        store = f"sqlite:{tmp_path}" if server is None else f"{server.url}/?serverSelectionTimeoutMS=500"
        collector = stack.enter_context(Mortal("collector", store, tmp_path))
        evaluator = stack.enter_context(Mortal("evaluator", store, tmp_path))
        ledger = Ledger(EVENTS)
        with sending(collector, ledger) as clients, asking(evaluator, ledger) as doubts:
            kills = kill_at_random(clients, ledger, collector, evaluator, server)
        assert not doubts
        assert kills >= KILLS
        assert ledger.failures > 0, "no kill met a request"
        assert ledger.is_full, f"{len(ledger.acknowledged)} of {EVENTS} events were acknowledged"
        collector.until_healthy()
        evaluator.until_healthy()
        async with opened(store, [Environment(DEFAULT, "test")], "test") as databases:
            stored = [str(id) for _, id, _ in await rows(databases.stores[DEFAULT], "kill")]
        assert len(stored) == len(set(stored)) == EVENTS
        assert ledger.acknowledged == set(stored)
        assert counted(evaluator) == EVENTS


def kill_at_random(
    clients: list[threading.Thread],
    ledger: Ledger,
    collector: Mortal,
    evaluator: Mortal,
    server: MongoServer | None,
) -> int:
    """Kill one process after another, in any order, spread over the whole of the load; return how many."""
    chance = random.Random()
    kills = 0
    victims: list[Mortal | MongoServer] = [collector, evaluator, *([] if server is None else [server])]
    while any(client.is_alive() for client in clients):
        due = len(ledger.acknowledged) >= EVENTS * kills // (KILLS + 5)
        if not due:
            time.sleep(0.005)
            continue
        time.sleep(chance.random() * 0.05)
        chosen = chance.sample(victims, chance.randrange(1, len(victims) + 1))
        for victim in chosen:
            victim.kill()
            kills += 1
        for victim in chance.sample(chosen, len(chosen)):
            victim.start()
        for victim in (collector, evaluator):
            victim.until_healthy()
    return kills


@contextmanager
def sending(collector: Mortal, ledger: Ledger) -> Iterator[list[threading.Thread]]:
    """Run all clients until everything is acknowledged."""
    clients = [
        threading.Thread(target=run_client, args=(partial(make, collector.port), f"c{number}", ledger, BATCH))
        for number, make in enumerate(SENDERS)
    ]
    for client in clients:
        client.start()
    try:
        yield clients
    finally:
        for client in clients:
            client.join()


@contextmanager
def asking(evaluator: Mortal, ledger: Ledger) -> Iterator[list[str]]:
    """Ask all the while, and note every answer that lacks what was stored before the question."""
    doubts: list[str] = []
    done = threading.Event()

    def ask() -> None:
        while not done.wait(0.05):
            before = len(ledger.stored)
            try:
                value = counted(evaluator)
            except CubeError:
                continue
            if value < before:
                doubts.append(f"{before} events were stored, and {value:g} counted")

    reader = threading.Thread(target=ask)
    reader.start()
    try:
        yield doubts
    finally:
        done.set()
        reader.join()


def counted(evaluator: Mortal) -> float:
    """Return how many events the evaluator counts."""
    with Evaluator(evaluator.http) as asking:
        values = asking.metrics("sum(kill)", step=86_400_000, start="2023-11-14", stop="2023-11-16")
    return sum(metric.value or 0 for metric in values)
