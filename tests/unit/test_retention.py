"""Retention: what is declared, when it is deleted, and what is kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from collector.ingest.retention import Aging, Retention
from collector.instrumentation import RetentionCounters
from cube.errors import InvalidEvent
from cube.model.tier import DAY, WEEK, Span
from cube.store.metric_ports import CachedBucket, CacheKey
from cube.store.ports import Revisions
from cube.store.sqlite import SqliteStore, open_store
from tests.contract.builders import T0, event, revisions, rows

NOW = T0 + 100 * DAY.step
KEY = CacheKey("test", "sum(test)", "value", 1)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = await open_store(tmp_path, "test")
    yield opened
    await opened.close()


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def retention(
    store: SqliteStore,
    registry: CollectorRegistry,
    *,
    event_days: float = 0,
    metric_days: float = 0,
    lag: float = 0,
) -> Retention:
    figures = RetentionCounters(registry)
    return Retention(store, figures, lambda: NOW, event_days=event_days, metric_days=metric_days, lag=lag)


async def days(store: SqliteStore) -> list[int]:
    """How many days before now the stored events are."""
    return [(NOW - time) // DAY.step for time, _, _ in await rows(store)]


async def state(store: SqliteStore) -> Revisions:
    return await revisions(store, WEEK)


async def save(store: SqliteStore, *ages: int) -> None:
    await store.events.save("test", [event(NOW - age * DAY.step) for age in ages])


async def test_events_older_than_their_days_are_deleted_and_counted(
    store: SqliteStore, registry: CollectorRegistry
) -> None:
    await save(store, 40, 31, 30, 29, 0)
    await store.events.save("other", [event(NOW - 50 * DAY.step, type="other")])

    await retention(store, registry, event_days=30).keep()

    assert await days(store) == [30, 29, 0]
    assert await rows(store, "other") == []
    assert registry.get_sample_value("cube_expired_events_total") == 3
    with pytest.raises(InvalidEvent, match="have expired"):
        await save(store, 31)


async def test_they_are_refused_at_once_and_deleted_only_a_lag_later(
    store: SqliteStore, registry: CollectorRegistry
) -> None:
    await save(store, 40, 20)
    kept = retention(store, registry, event_days=30, lag=0.2)

    await kept.keep()
    assert (await state(store)).expired_before == NOW - 30 * DAY.step
    assert await days(store) == [40, 20]

    await asyncio.sleep(0.25)
    await kept.keep()
    assert await days(store) == [20]


async def test_metrics_outlive_events_and_revisions_outlive_both(
    store: SqliteStore, registry: CollectorRegistry
) -> None:
    await save(store, 90, 50, 10)
    buckets = [DAY.floor(NOW - age * DAY.step) for age in (90, 50, 10)]
    await store.metrics.save(KEY, DAY, {bucket: CachedBucket(1, b"x") for bucket in buckets})

    await retention(store, registry, event_days=30, metric_days=60).keep()

    assert await days(store) == [10]
    span = Span(buckets[0], buckets[-1] + DAY.step)
    assert sorted(await store.metrics.read(KEY, DAY, span)) == buckets[1:]
    found = await revisions(store, DAY, span=span)
    assert sorted(found.numbers) == buckets[1:]
    assert (found.expired_before, found.forgotten_before) == (NOW - 30 * DAY.step, NOW - 60 * DAY.step)


async def test_metrics_kept_for_ever_keep_all_revisions(
    store: SqliteStore, registry: CollectorRegistry
) -> None:
    await save(store, 90)

    await retention(store, registry, event_days=30).keep()

    found = await revisions(store, DAY, span=Span(T0, NOW))
    assert (len(found.numbers), found.forgotten_before) == (1, None)


async def test_metrics_may_be_bounded_though_events_are_kept_for_ever(
    store: SqliteStore, registry: CollectorRegistry
) -> None:
    await save(store, 90)
    bucket = DAY.floor(NOW - 90 * DAY.step)
    await store.metrics.save(KEY, DAY, {bucket: CachedBucket(1, b"x")})

    await retention(store, registry, metric_days=60).keep()

    assert await store.metrics.read(KEY, DAY, Span(bucket, bucket + DAY.step)) == {}
    assert await days(store) == [90]
    assert (await state(store)).expired_before is None


async def test_a_clock_that_leaps_ahead_lets_nothing_expire(
    store: SqliteStore, registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    await save(store, 40, 20)
    await store.metrics.save(KEY, DAY, {DAY.floor(NOW - 20 * DAY.step): CachedBucket(1, b"x")})
    clock = iter([NOW, NOW + 3_000 * DAY.step])
    kept = Retention(
        store, RetentionCounters(registry), lambda: next(clock), event_days=30, metric_days=30, lag=60
    )

    await kept.keep()
    assert "nothing is deleted: the clock jumped ahead by 259200000 s" in caplog.text
    assert (await state(store)).expired_before is None
    assert await store.metrics.read(KEY, DAY, Span(T0, DAY.ceil(NOW))) != {}
    await save(store, 0)


async def test_several_may_do_it_at_once(store: SqliteStore) -> None:
    await save(store, *range(60))
    keepers = [retention(store, CollectorRegistry(), event_days=30, metric_days=40) for _ in range(4)]

    await asyncio.gather(*(keeper.keep() for keeper in keepers))

    assert await days(store) == list(range(30, -1, -1))


async def test_without_a_bound_nothing_is_done(store: SqliteStore, registry: CollectorRegistry) -> None:
    await save(store, 90)

    await retention(store, registry).run(0.01)

    assert (await state(store)).expired_before is None
    assert await days(store) == [90]


async def test_a_failure_is_tried_again(
    store: SqliteStore, registry: CollectorRegistry, tmp_path: Path
) -> None:
    await save(store, 90)
    await store.close()
    running = asyncio.create_task(retention(store, registry, event_days=30).run(0.01))
    await asyncio.sleep(0.05)
    assert not running.done()
    running.cancel()
    again = await open_store(tmp_path, "test")
    assert await days(again) == [90]
    await again.close()


def test_a_time_is_ripe_a_lag_after_it_was_declared() -> None:
    aging = Aging(10)
    ripe = [aging.declare(time, at) for time, at in ((1, 0), (2, 5), (3, 9.9), (4, 10), (5, 16), (6, 40))]
    assert ripe == [None, None, None, 1, 2, 5]
