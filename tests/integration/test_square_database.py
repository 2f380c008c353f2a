"""A database that Square's Cube filled, under our daemons; and types that another tool goes on writing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from bson import Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.binary import Binary
from bson.code import Code
from pymongo import MongoClient
from pymongo.database import Database

from cube.client import Emitter, Evaluator
from cube.model.tier import CACHED_TIERS, TIERS
from tests.daemon import Daemon, daemon
from tests.end_to_end.serving import wait_until
from tests.evaluator_running import DAY
from tests.mongo_server import MongoServer, mongo_server

__all__ = ["mongo_server"]

HOUR = 3_600_000
KINDS: dict[str, tuple[Any, Any]] = {
    "long": (Int64(2**40), 2**40),
    "double": (2.5, 2.5),
    "date": (datetime(2011, 7, 19, tzinfo=UTC), "2011-07-19T00:00:00.000Z"),
    "id": (ObjectId("0" * 24), "0" * 24),
    "decimal": (Decimal128("1.5"), 1.5),
    "binary": (Binary(b"ab", 128), "YWI="),
    "regex": (Regex("^a", "i"), "/^a/"),
    "code": (Code("f()"), "f()"),
    "timestamp": (Timestamp(1, 2), "1970-01-01T00:00:01.000Z"),
    "lowest": (MinKey(), "MinKey"),
    "highest": (MaxKey(), "MaxKey"),
    "nothing": (None, None),
    "nested": ([{"a": ObjectId("0" * 24)}], [{"a": "0" * 24}]),
}
"""Name -> what stands in the database, and what an answer shows of it."""


@pytest.fixture
def filled(mongo_server: MongoServer) -> Iterator[Database[dict[str, Any]]]:
    """What Square's collector and evaluator leave, with cached metrics that no longer hold."""
    name = mongo_server.database()
    with MongoClient[dict[str, Any]](mongo_server.url) as client:
        database = client[name]
        database.test_events.insert_many([
            {"_id": ObjectId(), "t": at(0), "d": {"i": 1}},
            {"_id": "client", "t": at(1000), "d": {"i": 2}},
            {"_id": ObjectId(), "t": at(HOUR), "d": {"i": 3, **{k: kind for k, (kind, _) in KINDS.items()}}},
            {"_id": ObjectId(), "t": at(HOUR + 1), "d": 5},
            {"_id": ObjectId(), "t": at(HOUR + 2)},
        ])  # fmt: skip
        database.create_collection("test_metrics", capped=True, size=1_000_000)
        database.test_metrics.create_index({"i": 1, "_id.e": 1, "_id.l": 1, "_id.t": 1})
        database.test_metrics.insert_many([
            {"_id": {"e": "sum(test(i))", "l": tier.step, "t": at(0)}, "i": False, "v": 999}
            for tier in CACHED_TIERS
        ])  # fmt: skip
        yield database
    mongo_server.forget(name)


def at(offset: int) -> datetime:
    return datetime.fromtimestamp((DAY + offset) / 1000, UTC)


def sums(running: Daemon, step: int = HOUR) -> list[float | None]:
    """The sums of the first two hours, or of the buckets that cover them."""
    with Evaluator(running.http) as evaluator:
        metrics = evaluator.metrics("sum(test(i))", step=step, start=DAY, stop=DAY + 2 * HOUR)
        return [metric.value for metric in metrics]


def shown(running: Daemon, expression: str) -> list[tuple[int | str | None, Any]]:
    with Evaluator(running.http) as evaluator:
        return [(each.id, each.data) for each in evaluator.events(expression, stop=DAY + 2 * HOUR)]


def test_it_is_answered_written_to_and_answered_again(
    filled: Database[dict[str, Any]], mongo_server: MongoServer, tmp_path: Path
) -> None:
    with (
        daemon("evaluator", mongo_server.url, tmp_path, database=filled.name) as evaluator,
        daemon("collector", mongo_server.url, tmp_path, database=filled.name) as collector,
    ):
        with Evaluator(evaluator.http) as asking:
            assert asking.types() == ["test"]
        assert shown(evaluator, "test(i)") == [(None, {"i": 1}), ("client", {"i": 2}), (None, {"i": 3})]
        ((_, data),) = shown(evaluator, "test(*).eq(i,3)")
        assert data == {"i": 3, **{name: said for name, (_, said) in KINDS.items()}}
        assert shown(evaluator, "test(*)")[3][1] == 5
        assert sums(evaluator) == sums(evaluator) == [3, 3]
        wait_until(
            lambda: "capped" not in filled.test_metrics.options(),
            "a collection for metrics, which are saved last",
        )

        with Emitter(collector.http) as emitter:
            emitter.send([{"type": "test", "time": DAY + 2000, "id": "new", "data": {"i": 10}}])
            assert sums(evaluator) == [13, 3]
            emitter.send([{"type": "test", "time": DAY + HOUR, "id": "client", "data": {"i": 20}}])
        for tier in reversed(CACHED_TIERS):
            assert sum(value or 0 for value in sums(evaluator, tier.step)) == 34
        assert sums(evaluator) == [11, 23]
    assert "test_metrics is a cache of another format" in (tmp_path / "evaluator.log").read_text()
    assert all({"_id", "t"} <= each.keys() <= {"_id", "t", "d"} for each in filled.test_events.find())


def test_the_collector_may_be_the_first_to_meet_it(
    filled: Database[dict[str, Any]], mongo_server: MongoServer, tmp_path: Path
) -> None:
    with (
        daemon("collector", mongo_server.url, tmp_path, database=filled.name) as collector,
        Emitter(collector.http) as emitter,
    ):
        emitter.send([{"type": "test", "time": DAY, "data": {"i": 10}}])
    with daemon("evaluator", mongo_server.url, tmp_path, database=filled.name) as evaluator:
        assert sums(evaluator) == [13, 3]


def test_of_a_foreign_type_nothing_is_kept_and_a_plain_insert_shows_at_once(
    filled: Database[dict[str, Any]], mongo_server: MongoServer, tmp_path: Path
) -> None:
    filled.drop_collection("test_metrics")
    flags = ("--foreign", "test")
    with (
        daemon("evaluator", mongo_server.url, tmp_path, *flags, database=filled.name) as evaluator,
        daemon("collector", mongo_server.url, tmp_path, *flags, database=filled.name) as collector,
        Emitter(collector.http) as emitter,
    ):
        total = 6
        for step in TIERS:
            assert sum(value or 0 for value in sums(evaluator, step)) == total
            filled.test_events.insert_one({"_id": ObjectId(), "t": at(1500), "d": {"i": 100 + step}})
            total += 100 + step
            assert sum(value or 0 for value in sums(evaluator, step)) == total
            assert shown(evaluator, "test(i)")[-2][1] == {"i": 100 + step}
        emitter.send([{"type": "test", "time": DAY + HOUR, "data": {"i": 1}}])
        filled.test_events.delete_one({"_id": "client"})
        assert sum(value or 0 for value in sums(evaluator)) == total + 1 - 2
    assert filled.test_metrics.estimated_document_count() == 0
