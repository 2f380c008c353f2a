"""Computed metrics are saved after the answer, many at once, and never lost to who asks meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from cube.errors import Unavailable
from cube.model.tier import HOUR, MINUTE, Span
from cube.store.metric_ports import CachedBucket, CacheKey
from cube.store.ports import Store
from cube.store.sqlite import open_store
from evaluator.engine.deferred_metrics import DeferredMetrics
from tests.stores import StoreProxy

T0 = 1_699_999_200_000
SPAN = Span(T0, T0 + 10 * MINUTE.step)


def _key(number: int) -> CacheKey:
    return CacheKey("test", f"sum(test(v{number}))", "value", 1)


def _buckets(*values: int, revision: int = 1) -> dict[int, CachedBucket]:
    return {
        T0 + place * MINUTE.step: CachedBucket(revision, b"%d" % value) for place, value in enumerate(values)
    }


class Written(StoreProxy):
    """A store that notes how many saves each transaction has, and holds it up while ``gate`` is clear."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.transactions: list[int] = []
        self.direct = 0
        self.begun = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None

    async def before(self, call: str, *arguments: Any) -> None:
        if call == "metrics.save":
            self.direct += 1
        if call == "metrics.save_all":
            saves: Sequence[Any] = arguments[0]
            self.transactions.append(len(saves))
            self.begun.set()
            await self.gate.wait()
            if self.error is not None:
                raise self.error


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Written]:
    opened = await open_store(str(tmp_path), "test")
    yield Written(opened)
    await opened.close()


async def test_what_many_reductions_computed_is_written_in_one_transaction(store: Written) -> None:
    metrics = DeferredMetrics(store.metrics, delay_seconds=None)
    for number in range(60):
        await metrics.save(_key(number), MINUTE, _buckets(number))
    await metrics.save(_key(1), HOUR, {T0: CachedBucket(1, b"hour")})

    assert (store.transactions, store.direct) == ([], 0)
    await metrics.flush()

    assert (store.transactions, store.direct) == ([61], 0)
    assert await store.store.metrics.read(_key(7), MINUTE, SPAN) == _buckets(7)
    assert await store.store.metrics.read(_key(1), HOUR, Span(T0, T0 + HOUR.step)) == {
        T0: CachedBucket(1, b"hour")
    }
    assert metrics.bytes == 0


async def test_it_is_written_by_itself_after_a_while(store: Written) -> None:
    metrics = DeferredMetrics(store.metrics, delay_seconds=0.0)
    await metrics.save(_key(1), MINUTE, _buckets(1))

    await asyncio.wait_for(store.begun.wait(), 30)
    await metrics.close()

    assert await store.store.metrics.read(_key(1), MINUTE, SPAN) == _buckets(1)


async def test_what_is_not_written_yet_is_found(store: Written) -> None:
    metrics = DeferredMetrics(store.metrics, delay_seconds=None)
    await store.store.metrics.save(_key(1), MINUTE, _buckets(1, 2, 3))
    await metrics.save(_key(1), MINUTE, _buckets(4, revision=2))

    assert await metrics.read(_key(1), MINUTE, SPAN) == _buckets(1, 2, 3) | _buckets(4, revision=2)
    assert await metrics.read(_key(2), MINUTE, SPAN) == {}
    assert await metrics.read(_key(1), MINUTE, Span(T0 + MINUTE.step, T0 + 2 * MINUTE.step)) == {
        T0 + MINUTE.step: CachedBucket(1, b"2")
    }


async def test_what_is_being_written_is_found_and_what_comes_meanwhile_is_written_after_it(
    store: Written,
) -> None:
    metrics = DeferredMetrics(store.metrics, delay_seconds=None)
    await metrics.save(_key(1), MINUTE, _buckets(1))
    store.gate.clear()
    flush = asyncio.create_task(metrics.flush())
    await asyncio.wait_for(store.begun.wait(), 30)

    assert await metrics.read(_key(1), MINUTE, SPAN) == _buckets(1)
    await metrics.save(_key(1), MINUTE, _buckets(2, revision=2))
    assert await metrics.read(_key(1), MINUTE, SPAN) == _buckets(2, revision=2)
    store.gate.set()
    await flush

    assert store.transactions == [1, 1]
    assert await store.store.metrics.read(_key(1), MINUTE, SPAN) == _buckets(2, revision=2)


async def test_where_too_much_waits_it_is_saved_at_once(store: Written) -> None:
    metrics = DeferredMetrics(store.metrics, delay_seconds=None, most_bytes=100)
    await metrics.save(_key(1), MINUTE, _buckets(1))
    await metrics.save(_key(2), MINUTE, _buckets(2))

    assert store.direct == 1
    assert await store.store.metrics.read(_key(2), MINUTE, SPAN) == _buckets(2)
    await metrics.flush()
    await metrics.save(_key(3), MINUTE, _buckets(3))

    assert store.direct == 1


async def test_buckets_that_are_computed_again_before_they_are_written_count_once(store: Written) -> None:
    metrics = DeferredMetrics(store.metrics, delay_seconds=None)
    await metrics.save(_key(1), MINUTE, _buckets(1, 2))
    once = metrics.bytes
    await metrics.save(_key(1), MINUTE, _buckets(3, 4, revision=2))

    assert metrics.bytes == once


async def test_what_cannot_be_written_is_dropped_and_the_next_is_written(store: Written) -> None:
    metrics = DeferredMetrics(store.metrics, delay_seconds=None)
    store.error = Unavailable("The store is away.")
    await metrics.save(_key(1), MINUTE, _buckets(1))
    await metrics.flush()
    store.error = None
    await metrics.save(_key(2), MINUTE, _buckets(2))
    await metrics.flush()

    assert await metrics.read(_key(1), MINUTE, SPAN) == {}
    assert await metrics.read(_key(2), MINUTE, SPAN) == _buckets(2)
    assert metrics.bytes == 0


async def test_a_fault_of_the_store_is_logged_and_ends_nothing(
    store: Written, caplog: pytest.LogCaptureFixture
) -> None:
    metrics = DeferredMetrics(store.metrics, delay_seconds=None)
    store.error = RuntimeError("a fault")
    await metrics.save(_key(1), MINUTE, _buckets(1))
    await metrics.flush()

    assert [record.message for record in caplog.records] == ["saving computed metrics met a fault"]


async def test_the_end_writes_what_waits(store: Written) -> None:
    metrics = DeferredMetrics(store.metrics, delay_seconds=1e6)
    await metrics.save(_key(1), MINUTE, _buckets(1))
    await metrics.close()

    assert await store.store.metrics.read(_key(1), MINUTE, SPAN) == _buckets(1)


async def test_the_end_does_not_wait_for_a_store_that_hangs(store: Written) -> None:
    metrics = DeferredMetrics(store.metrics, delay_seconds=None)
    await metrics.save(_key(1), MINUTE, _buckets(1))
    store.gate.clear()
    await asyncio.wait_for(metrics.close(seconds=0.01), 30)

    assert await store.store.metrics.read(_key(1), MINUTE, SPAN) == {}
