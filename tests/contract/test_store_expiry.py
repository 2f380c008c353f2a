"""What expires: events, then revisions, and metrics by themselves; never more than was declared before."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from cube.model.tier import CACHED_TIERS, CHUNK_BUCKETS, DAY, HOUR, TEN_SECONDS, Span, Tier
from cube.store.metric_ports import CachedBucket, CacheKey
from cube.store.ports import Store

from .builders import T0, event, numbers, revisions, rows
from .databases import Database

MINUTE = 60_000
EARLY = T0 - 400 * DAY.step
KEY = CacheKey("test", "sum(test)", "value", 1)


async def ids(store: Store) -> list[object]:
    return [id for _, id, _ in await rows(store)]


async def test_expired_events_are_deleted_and_counted(store: Store) -> None:
    await store.events.save("test", [event(T0 + i, i) for i in range(10)])
    await store.events.expire("test", T0 + 4)

    assert await store.events.delete_events("test", T0 + 4) == 4
    assert await ids(store) == [4, 5, 6, 7, 8, 9]
    assert await store.events.delete_events("test", T0 + 4) == 0


async def test_only_events_before_the_time_are_deleted(store: Store) -> None:
    await store.events.save("test", [event(T0 + i, i) for i in range(10)])
    await store.events.expire("test", T0 + 8)

    assert await store.events.delete_events("test", T0 + 4) == 4
    assert await ids(store) == [4, 5, 6, 7, 8, 9]


async def test_what_has_not_expired_is_never_deleted(store: Store) -> None:
    await store.events.save("test", [event(T0 + i, i) for i in range(10)])

    assert await store.events.delete_events("test", T0 + 10) == 0
    await store.events.expire("test", T0 + 2)
    assert await store.events.delete_events("test", T0 + 10) == 2
    assert await ids(store) == [2, 3, 4, 5, 6, 7, 8, 9]


async def test_deleting_from_an_unknown_type_does_nothing(store: Store) -> None:
    await store.events.expire("test", T0)

    assert await store.events.delete_events("test", T0) == 0
    await store.events.forget("other", T0)
    await store.events.delete_revisions("other", T0)
    async with store.events.read() as session:
        assert await session.types() == []


async def test_more_events_than_a_slice_are_deleted_many_of_one_time_among_them(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cube.store.sqlite.events.SLICE_ROWS", 7)
    monkeypatch.setattr("cube.store.mongo.maintenance.SLICE_EVENTS", 7)
    times = [T0 + i for i in range(20)] + [T0 + 20] * 30 + [T0 + 21]
    await store.events.save("test", [event(time, number) for number, time in enumerate(times)])
    await store.events.expire("test", T0 + 21)

    assert await store.events.delete_events("test", T0 + 21) == 50
    assert await ids(store) == [50]


async def test_several_processes_may_delete_beside_savers(
    database: Database, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cube.store.sqlite.events.SLICE_ROWS", 20)
    monkeypatch.setattr("cube.store.mongo.maintenance.SLICE_EVENTS", 20)
    other = await database.open()
    await store.events.save("test", [event(T0 + i, i) for i in range(200)])
    await store.events.expire("test", T0 + 150)

    outcomes = await asyncio.gather(
        store.events.delete_events("test", T0 + 150),
        other.events.delete_events("test", T0 + 150),
        *(other.events.save("test", [event(T0 + 200 + i, 200 + i)]) for i in range(20)),
    )

    assert sum(outcomes[:2]) == 150
    assert await ids(store) == list(range(150, 220))


async def test_an_event_that_moved_to_a_live_time_is_not_deleted(store: Store) -> None:
    await store.events.save("test", [event(T0, "moved"), event(T0, "left")])
    await store.events.expire("test", T0 + MINUTE)
    await store.events.save("test", [event(T0 + MINUTE, "moved")])

    assert await store.events.delete_events("test", T0 + MINUTE) == 1
    assert await ids(store) == ["moved"]


async def test_an_event_without_time_does_not_keep_an_expired_one(store: Store) -> None:
    """Else it would be acknowledged, never counted, and deleted."""
    await store.events.save("test", [event(T0, "a", 1), event(T0 + MINUTE, "b", 1)])
    await store.events.expire("test", T0 + MINUTE)

    await store.events.save(
        "test", [event(T0 + HOUR.step, "a", 2, timed=False), event(T0 + HOUR.step, "b", 2, timed=False)]
    )

    assert await rows(store) == [(T0 + MINUTE, "b", 2), (T0 + HOUR.step, "a", 2)]


async def test_deleting_events_changes_no_revision(store: Store) -> None:
    await store.events.save("test", [event(T0), event(T0 + HOUR.step)])
    before = await numbers(store)
    await store.events.expire("test", T0 + HOUR.step)

    await store.events.delete_events("test", T0 + HOUR.step)

    assert await numbers(store) == before


async def test_a_type_whose_events_are_all_deleted_is_still_known_and_complete(
    database: Database, store: Store
) -> None:
    await store.events.save("test", [event(T0)])
    await store.events.expire("test", T0 + 1)
    await store.events.delete_events("test", T0 + 1)

    other = await database.open()
    await other.events.save("test", [event(T0 + DAY.step)])

    found = await revisions(other, TEN_SECONDS)
    assert (found.known, found.complete, found.expired_before) == (True, True, T0 + 1)
    assert found.forgotten_before is None


async def test_a_build_raises_what_is_live_and_leaves_what_has_expired(database: Database) -> None:
    await database.fill("test", [event(T0), event(T0 + MINUTE + 7_000), event(T0 + HOUR.step)])
    store = await database.open()
    await store.events.expire("test", T0 + MINUTE + 5_000)

    await store.events.build("test")

    raised = await numbers(store)
    assert set(raised[TEN_SECONDS.step]) == {T0 + MINUTE, T0 + HOUR.step}
    assert set(raised[MINUTE]) == {T0 + MINUTE, T0 + HOUR.step}
    assert set(raised[DAY.step]) == {T0}


async def test_forgetting_only_rises_and_never_passes_the_expiry(store: Store) -> None:
    await store.events.save("test", [event(T0)])
    await store.events.forget("test", T0)
    assert (await revisions(store, HOUR)).forgotten_before is None

    await store.events.expire("test", T0 + MINUTE)
    for before, expected in ((T0, T0), (T0 - MINUTE, T0), (T0 + HOUR.step, T0 + MINUTE)):
        await store.events.forget("test", before)
        assert (await revisions(store, HOUR)).forgotten_before == expected


async def test_revisions_are_deleted_only_where_they_are_forgotten(store: Store) -> None:
    await store.events.save("test", [event(EARLY), event(T0)])
    before = await _early_and_late(store)
    await store.events.expire("test", T0 + 1)

    await store.events.delete_revisions("test", T0)

    assert await _early_and_late(store) == before


async def test_forgotten_revisions_are_deleted_and_live_ones_stay(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cube.store.sqlite.events.SLICE_ROWS", 3)
    monkeypatch.setattr("cube.store.mongo.maintenance.SLICE_CHUNKS", 3)
    await store.events.save("test", [*(event(EARLY + i * DAY.step) for i in range(10)), event(T0)])
    _, late = await _early_and_late(store)
    await store.events.expire("test", T0)
    await store.events.forget("test", T0)

    await store.events.delete_revisions("test", T0)

    left, kept = await _early_and_late(store)
    assert left[TEN_SECONDS.step] == left[HOUR.step] == set()
    assert kept == late


async def test_what_expired_before_a_type_was_built_is_forgotten(database: Database, store: Store) -> None:
    """Its events may have been deleted before anybody raised a revision for them."""
    await database.fill("test", [event(T0), event(T0 + DAY.step)])
    await store.events.expire("test", T0 + HOUR.step)
    await store.events.delete_events("test", T0 + HOUR.step)

    await store.events.build("test")

    found = await revisions(store, HOUR)
    assert (found.complete, found.forgotten_before) == (True, T0 + HOUR.step)
    assert set(found.numbers) == {T0 + DAY.step}


@pytest.mark.parametrize("tier", CACHED_TIERS, ids=lambda tier: tier.name)
@pytest.mark.parametrize("offset", [-1, 0, 1], ids=["before", "at", "after"])
async def test_metrics_are_deleted_to_the_bucket(store: Store, tier: Tier, offset: int) -> None:
    keys = [KEY, CacheKey("other", "max(other(i))", "partial", 1)]
    starts = [tier.floor(T0) + i * tier.step for i in range(-CHUNK_BUCKETS - 5, 5)]
    for key in keys:
        await store.metrics.save(key, tier, {start: CachedBucket(7, b"x") for start in starts})

    await store.metrics.delete(starts[-4] + offset)

    kept = starts[-4:] if offset >= 0 else starts[-5:]
    for key in keys:
        found = await store.metrics.read(key, tier, Span(starts[0], starts[-1] + tier.step))
        assert dict(found) == {start: CachedBucket(7, b"x") for start in kept}


async def test_more_chunks_than_a_slice_are_deleted_and_counted(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cube.store.sqlite.metrics.SLICE_CHUNKS", 4)
    monkeypatch.setattr("cube.store.mongo.maintenance.SLICE_CHUNKS", 4)
    first = HOUR.chunk_start(HOUR.chunk(T0))
    keys = [CacheKey("test", f"sum(test({name}))", "value", 1) for name in "abcdefghij"]
    for key in keys:
        await store.metrics.save(
            key, HOUR, {first: CachedBucket(1, b"x"), first + 400 * HOUR.step: CachedBucket(2, b"y")}
        )

    assert await store.metrics.delete(first + 361 * HOUR.step) == 10
    for key in keys:
        found = await store.metrics.read(key, HOUR, Span(first, first + 401 * HOUR.step))
        assert dict(found) == {first + 400 * HOUR.step: CachedBucket(2, b"y")}


async def test_deleting_from_an_empty_cache_does_nothing(store: Store) -> None:
    assert await store.metrics.delete(T0) == 0


async def _early_and_late(store: Store) -> Sequence[dict[int, set[int]]]:
    """The buckets that have revisions around the first and the last events, by step."""
    early: dict[int, set[int]] = {}
    late: dict[int, set[int]] = {}
    for tier in CACHED_TIERS:
        for found, start, count in ((early, EARLY, 2), (late, T0, 1)):
            span = Span(tier.floor(start), tier.floor(start) + count * tier.step)
            found[tier.step] = set((await revisions(store, tier, span=span)).numbers)
    return early, late
