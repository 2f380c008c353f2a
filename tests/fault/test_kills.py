"""Nothing that was acknowledged is lost, and nothing is stored twice, whatever is killed, and when."""

from __future__ import annotations

import random
import re
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from urllib.request import urlopen

import pytest

from cube.client import Evaluator
from cube.errors import CubeError
from cube.model.environment import DEFAULT, Environment
from cube.store.factory import opened
from tests.contract.builders import rows
from tests.end_to_end.serving import wait_until
from tests.fault.mortal import Mortal
from tests.fault.senders import Ledger, http_emitter, plain_http, run_client, socket_emitter
from tests.mongo_server import MongoServer
from tests.tools import LONG, SLOW

EVENTS, KILLS = (100_000, 20) if LONG else (3_000, 4)
BATCH = 100
SENDERS = (plain_http, plain_http, http_emitter, socket_emitter)
BETWEEN = EVENTS // (2 * KILLS)
"""So many events are acknowledged between two kills, so that each meets a load."""
STUCK_SECONDS = 240.0
"""A batch of which much is stored already takes its time, on a busy machine."""


@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", ["sqlite", pytest.param("mongodb", marks=SLOW)])
async def test_no_kill_loses_an_acknowledged_event(kind: str, tmp_path: Path) -> None:
    with ExitStack() as stack:
        server = stack.enter_context(MongoServer()) if kind == "mongodb" else None
        store = f"sqlite:{tmp_path}" if server is None else f"{server.url}/?serverSelectionTimeoutMS=500"
        collector = stack.enter_context(
            Mortal("collector", store, tmp_path, "--spool-directory", str(tmp_path / "spool"))
        )
        evaluator = stack.enter_context(Mortal("evaluator", store, tmp_path))
        ledger = Ledger(EVENTS)
        with sending(collector, ledger), asking(evaluator, ledger) as doubts:
            kills = kill_at_random(ledger, collector, evaluator, server)
        assert not doubts
        assert kills >= KILLS
        assert ledger.failures > 0, "no kill met a request"
        assert len(ledger.acknowledged) == ledger.taken >= EVENTS
        until_drained(collector)
        async with opened(store, [Environment(DEFAULT, "test")], "test") as databases:
            stored = [str(id) for _, id, _ in await rows(databases.stores[DEFAULT], "kill")]
        assert len(stored) == len(set(stored))
        assert ledger.acknowledged == set(stored)
        assert counted(evaluator) == len(stored)


def kill_at_random(ledger: Ledger, collector: Mortal, evaluator: Mortal, server: MongoServer | None) -> int:
    """Kill processes in any order, one or several at once, under load; return how many died."""
    chance = random.Random()
    victims: list[Mortal | MongoServer] = [collector, evaluator, *([] if server is None else [server])]
    kills = 0
    while kills < KILLS:
        due = len(ledger.acknowledged) + BETWEEN
        wait_until(lambda due=due: len(ledger.acknowledged) >= due, "acknowledged events")  # type: ignore[misc]
        time.sleep(chance.random() * 0.1)
        chosen = chance.sample(victims, chance.randrange(1, len(victims) + 1))
        for victim in chosen:
            victim.kill()
            kills += 1
        for victim in chance.sample(chosen, len(chosen)):
            victim.start()
        for victim in (collector, evaluator):
            victim.until_healthy()
    ledger.enough = True
    return kills


@contextmanager
def sending(collector: Mortal, ledger: Ledger) -> Iterator[None]:
    """Run all clients until everything is acknowledged, which is after the block."""
    clients = [
        threading.Thread(target=run_client, args=(partial(make, collector.port), f"c{number}", ledger, BATCH))
        for number, make in enumerate(SENDERS)
    ]
    for client in clients:
        client.start()
    try:
        yield
    finally:
        ledger.enough = True
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


def figure(running: Mortal, name: str) -> float:
    """Return one of a daemon's figures, without labels."""
    with urlopen(f"{running.http}/metrics") as answer:
        found = re.search(rf"^{name} (\S+)$", answer.read().decode(), re.MULTILINE)
    return float(found[1]) if found else 0.0


def until_drained(collector: Mortal) -> None:
    """Return when nothing waits in the spool; fail where it gets no shorter for a while."""
    left, since = float("inf"), time.monotonic()
    while (now := figure(collector, "cube_spool_events")) > 0:
        if now < left:
            left, since = now, time.monotonic()
        assert time.monotonic() - since < STUCK_SECONDS, f"{now:g} events stay in the spool"
        time.sleep(0.1)
