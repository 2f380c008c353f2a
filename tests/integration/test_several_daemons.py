"""Two collectors and two evaluators, as processes, on one store: what one is told, all of them know."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cube.client import Emitter, Evaluator
from cube.tier import TIERS
from tests.daemon import daemon
from tests.evaluator_running import DAY
from tests.mongo_server import mongo_server

__all__ = ["mongo_server"]

HOUR = 3_600_000
TURNS = 6
BATCH = 40


@dataclass(frozen=True, slots=True)
class Crowd:
    """The clients of two collectors and of two evaluators."""

    collectors: list[Emitter]
    evaluators: list[Evaluator]

    def sums(self, step: int) -> list[float]:
        """Ask both evaluators at once for the sum of all that the tests store, by buckets of a step."""

        def total(evaluator: Evaluator) -> float:
            asked = {"step": step, "start": DAY, "stop": DAY + 2 * HOUR}
            return sum(metric.value or 0 for metric in evaluator.metrics("sum(test(v))", **asked))

        with ThreadPoolExecutor(2) as threads:
            return list(threads.map(total, self.evaluators))


@pytest.fixture(params=["sqlite", "mongo"])
def crowd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Crowd]:
    url = f"sqlite:{tmp_path}"
    database = "test"
    if request.param == "mongo":
        server = request.getfixturevalue("mongo_server")
        url, database = server.url, server.database()
    with ExitStack() as running:
        if request.param == "mongo":
            running.callback(server.forget, database)
        collectors = [
            running.enter_context(daemon("collector", url, tmp_path, database=database)) for _ in range(2)
        ]
        evaluators = [
            running.enter_context(daemon("evaluator", url, tmp_path, database=database)) for _ in range(2)
        ]
        yield Crowd(
            [running.enter_context(Emitter(each.http)) for each in collectors],
            [running.enter_context(Evaluator(each.http)) for each in evaluators],
        )


def events(collector: int, turn: int) -> Iterator[dict[str, Any]]:
    """Events over both hours; some replace, in another hour, what the other collector stored a turn ago."""
    for number in range(BATCH):
        id = f"{collector}-{turn}-{number}" if number % 4 else f"moving-{(collector + turn) % 2}-{number}"
        time = DAY + (number * 97_000 + turn * 3_600_000) % (2 * HOUR)
        yield {"type": "test", "time": time, "id": id, "data": {"v": 1}}


def test_what_any_collector_acknowledged_every_evaluator_counts_at_once(crowd: Crowd) -> None:
    ids: set[str] = set()
    with ThreadPoolExecutor(2) as threads:
        for turn in range(TURNS):
            batches = [list(events(collector, turn)) for collector in range(2)]
            assert list(threads.map(Emitter.send, crowd.collectors, batches)) == [BATCH, BATCH]
            ids.update(event["id"] for batch in batches for event in batch)
            for step in [*TIERS][1:6]:
                assert crowd.sums(step) == [len(ids)] * 2, (turn, step)
