"""Eight equal questions at once, over HTTP, while a writer raises the buckets that they ask for."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cube.client import Emitter, Evaluator
from tests.daemon import daemon
from tests.evaluator_running import DAY
from tests.mongo_server import mongo_server

__all__ = ["mongo_server"]

ASKING = 8
MINUTE = 60_000
BUCKETS = 5
AT_FIRST = 1_000
ROUNDS = 20


@pytest.fixture(params=["sqlite", "mongo"])
def addresses(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Where a collector and an evaluator on one store listen."""
    url, database = f"sqlite:{tmp_path}", "test"
    if request.param == "mongo":
        server = request.getfixturevalue("mongo_server")
        url, database = server.url, server.database()
    with (
        daemon("collector", url, tmp_path, database=database) as collector,
        daemon("evaluator", url, tmp_path, database=database) as evaluator,
    ):
        yield collector.http, evaluator.http
    if request.param == "mongo":
        server.forget(database)


class Load:
    """Eight who ask the same question at once, and one writer, for as long as they ask."""

    def __init__(self, collector: str, evaluator: str) -> None:
        self._collector = collector
        self._evaluator = evaluator
        self._sent = self.acknowledged = 0
        self._is_over = threading.Event()

    def run(self) -> list[bool]:
        """Return of each answer whether it is right."""
        with Emitter(self._collector) as emitter, ThreadPoolExecutor(1 + ASKING) as threads:
            self._send(emitter, AT_FIRST)
            writing = threads.submit(self._write, emitter)
            try:
                asking = [threads.submit(self._ask) for _ in range(ASKING)]
                return list(itertools.chain.from_iterable(each.result() for each in asking))
            finally:
                self._is_over.set()
                writing.result()

    def _write(self, emitter: Emitter) -> None:
        """Send two events at a time, to one bucket after the other."""
        while not self._is_over.is_set():
            self._send(emitter, 2)

    def _send(self, emitter: Emitter, count: int) -> None:
        numbers = range(self._sent, self._sent + count)
        self._sent += count
        emitter.send(
            {"type": "test", "time": DAY + number % BUCKETS * MINUTE + number % 10_000} for number in numbers
        )
        self.acknowledged += count

    def _ask(self) -> list[bool]:
        """Ask for the count of all events: it has all acknowledged before, and none that was not sent."""
        right: list[bool] = []
        with Evaluator(self._evaluator) as evaluator:
            for _ in range(ROUNDS):
                acknowledged = self.acknowledged
                rows = evaluator.metrics("count(test)", step=MINUTE, start=DAY, stop=DAY + BUCKETS * MINUTE)
                right.append(acknowledged <= sum(row.value or 0 for row in rows) <= self._sent)
        return right


def test_equal_questions_at_once_count_what_was_acknowledged_before_them(addresses: tuple[str, str]) -> None:
    load = Load(*addresses)
    right = load.run()
    assert (right.count(False), right.count(True)) == (0, ASKING * ROUNDS)
    assert load.acknowledged > AT_FIRST + 10, "hardly anything was written meanwhile"
