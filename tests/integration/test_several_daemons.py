"""Two collectors and two evaluators, as processes, on one store: what one is told, all of them know."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import pytest

from cube.client import Emitter, Evaluator
from cube.model.tier import TIERS
from tests.daemon import daemon
from tests.evaluator_running import DAY
from tests.mongo_server import mongo_server

__all__ = ["mongo_server"]

HOUR = 3_600_000
TURNS = 6
BATCH = 40
_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class Crowd:
    """The clients of two collectors and of two evaluators."""

    collectors: list[Emitter]
    evaluators: list[Evaluator]
    type: str

    def sums(self, step: int) -> list[float]:
        """Ask both evaluators at once for the sum of all that the tests store, by buckets of a step."""

        def total(evaluator: Evaluator) -> float:
            asked = {"step": step, "start": DAY, "stop": DAY + 2 * HOUR}
            return sum(metric.value or 0 for metric in evaluator.metrics(f"sum({self.type}(v))", **asked))

        with ThreadPoolExecutor(2) as threads:
            return list(threads.map(total, self.evaluators))


@pytest.fixture(scope="module", params=["sqlite", "mongo"])
def daemons(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crowd]:
    tmp_path = tmp_path_factory.mktemp("crowd")
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
            "",
        )


@pytest.fixture
def crowd(daemons: Crowd) -> Crowd:
    """All of them, for events of a type that nobody else stores."""
    return replace(daemons, type=f"test{next(_numbers)}")


def events(type: str, collector: int, turn: int) -> Iterator[dict[str, Any]]:
    """Events over both hours; some replace, in another hour, what the other collector stored a turn ago."""
    for number in range(BATCH):
        id = f"{collector}-{turn}-{number}" if number % 4 else f"moving-{(collector + turn) % 2}-{number}"
        time = DAY + (number * 97_000 + turn * 3_600_000) % (2 * HOUR)
        yield {"type": type, "time": time, "id": id, "data": {"v": 1}}


def test_what_any_collector_acknowledged_every_evaluator_counts_at_once(crowd: Crowd) -> None:
    ids: set[str] = set()
    with ThreadPoolExecutor(2) as threads:
        for turn in range(TURNS):
            batches = [list(events(crowd.type, collector, turn)) for collector in range(2)]
            assert list(threads.map(Emitter.send, crowd.collectors, batches)) == [BATCH, BATCH]
            ids.update(event["id"] for batch in batches for event in batch)
            for step in [*TIERS][1:6]:
                assert crowd.sums(step) == [len(ids)] * 2, (turn, step)


def test_while_all_collectors_take_events_no_evaluator_misses_an_acknowledged_one(crowd: Crowd) -> None:
    """Each answer counts at least what was acknowledged before it, and never what was not sent."""
    tally = Tally()
    with ThreadPoolExecutor(4) as threads:
        writers = [threads.submit(_write, crowd, collector, tally) for collector in range(2)]
        readers = [threads.submit(_watch, crowd, place, tally, writers) for place in range(2)]
        answers = [reader.result() for reader in readers]
    assert all(len(asked) > 3 for asked in answers)
    assert crowd.sums(HOUR) == [2 * TURNS * BATCH] * 2


class Tally:
    """How many events are sent, and how many acknowledged; of all collectors together."""

    def __init__(self) -> None:
        self.sent = 0
        self.acknowledged = 0
        self._lock = threading.Lock()

    def send(self, emitter: Emitter, batch: list[dict[str, Any]]) -> None:
        with self._lock:
            self.sent += len(batch)
        emitter.send(batch)
        with self._lock:
            self.acknowledged += len(batch)


def _write(crowd: Crowd, collector: int, tally: Tally) -> None:
    for turn in range(TURNS):
        first = turn * BATCH
        tally.send(
            crowd.collectors[collector],
            [
                {
                    "type": crowd.type,
                    "time": DAY + number * 29_000,
                    "id": f"{collector}-{number}",
                    "data": {"v": 1},
                }
                for number in range(first, first + BATCH)
            ],
        )


def _watch(crowd: Crowd, place: int, tally: Tally, writers: list[Future[None]]) -> list[float]:
    """Ask one evaluator, at one tier after the other, until all is written."""
    answers: list[float] = []
    steps = itertools.cycle([*TIERS][1:5])
    while not all(writer.done() for writer in writers) or len(answers) < 4:
        acknowledged = tally.acknowledged
        rows = crowd.evaluators[place].metrics(
            f"sum({crowd.type}(v))", step=next(steps), start=DAY, stop=DAY + 2 * HOUR
        )
        answers.append(sum(row.value or 0 for row in rows))
        assert acknowledged <= answers[-1] <= tally.sent
    return answers
