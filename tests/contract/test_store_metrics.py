"""The cache of metrics: it gives back what it was given, by its exact key, or nothing."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from cube.model.tier import CACHED_TIERS, CHUNK_BUCKETS, HOUR, TEN_SECONDS, Span, Tier
from cube.store.metric_ports import CachedBucket, CacheKey
from cube.store.ports import Store

from .builders import T0, event
from .databases import Database

KEY = CacheKey("test", "sum(test(i))", "value", 1)


def _cells(tier: Tier, count: int, revision: int = 1, start: int = T0) -> dict[int, CachedBucket]:
    first = tier.floor(start)
    return {first + i * tier.step: CachedBucket(revision, b"%d" % i) for i in range(count)}


def _span(tier: Tier, count: int) -> Span:
    return Span(tier.floor(T0), tier.floor(T0) + count * tier.step)


async def test_nothing_saved_is_nothing_read(store: Store) -> None:
    assert dict(await store.metrics.read(KEY, HOUR, _span(HOUR, 10))) == {}


@pytest.mark.parametrize("tier", CACHED_TIERS, ids=lambda tier: tier.name)
async def test_cells_come_back_across_chunks(store: Store, tier: Tier) -> None:
    cells = _cells(tier, 3 * CHUNK_BUCKETS)
    await store.metrics.save(KEY, tier, cells)

    assert dict(await store.metrics.read(KEY, tier, _span(tier, 3 * CHUNK_BUCKETS))) == cells


async def test_cells_before_1970_come_back(store: Store) -> None:
    start = -5 * CHUNK_BUCKETS * HOUR.step - HOUR.step
    cells = _cells(HOUR, 10, start=start)
    await store.metrics.save(KEY, HOUR, cells)

    assert dict(await store.metrics.read(KEY, HOUR, Span(start, start + 10 * HOUR.step))) == cells


async def test_only_the_cells_of_the_span_are_read(store: Store) -> None:
    await store.metrics.save(KEY, HOUR, _cells(HOUR, 10))

    found = await store.metrics.read(KEY, HOUR, Span(T0 + 2 * HOUR.step, T0 + 4 * HOUR.step))

    assert sorted(found) == [T0 + 2 * HOUR.step, T0 + 3 * HOUR.step]


async def test_a_save_merges_into_what_is_there(store: Store) -> None:
    await store.metrics.save(KEY, HOUR, {T0: CachedBucket(1, b"a"), T0 + HOUR.step: CachedBucket(2, b"b")})
    await store.metrics.save(
        KEY, HOUR, {T0 + HOUR.step: CachedBucket(3, b"c"), T0 + 2 * HOUR.step: CachedBucket(4, b"d")}
    )

    assert dict(await store.metrics.read(KEY, HOUR, _span(HOUR, 5))) == {
        T0: CachedBucket(1, b"a"),
        T0 + HOUR.step: CachedBucket(3, b"c"),
        T0 + 2 * HOUR.step: CachedBucket(4, b"d"),
    }


async def test_concurrent_saves_lose_nothing(database: Database, store: Store) -> None:
    other = await database.open()
    await asyncio.gather(
        *(
            (store if i % 2 else other).metrics.save(
                KEY, HOUR, {T0 + i * HOUR.step: CachedBucket(i + 1, b"x")}
            )
            for i in range(40)
        )
    )

    found = await store.metrics.read(KEY, HOUR, _span(HOUR, 40))
    assert [cell.revision for _, cell in sorted(found.items())] == list(range(1, 41))


@pytest.mark.parametrize(
    "other",
    [
        replace(KEY, type="tesT"),
        replace(KEY, text="sum(test(j))"),
        replace(KEY, kind="partial"),
        replace(KEY, semantics=2),
    ],
    ids=["type", "text", "kind", "semantics"],
)
async def test_another_key_is_another_metric(store: Store, other: CacheKey) -> None:
    await store.metrics.save(KEY, HOUR, {T0: CachedBucket(1, b"one")})
    await store.metrics.save(other, HOUR, {T0: CachedBucket(2, b"two")})

    assert dict(await store.metrics.read(KEY, HOUR, _span(HOUR, 1))) == {T0: CachedBucket(1, b"one")}
    assert dict(await store.metrics.read(other, HOUR, _span(HOUR, 1))) == {T0: CachedBucket(2, b"two")}


async def test_tiers_are_kept_apart(store: Store) -> None:
    await store.metrics.save(KEY, HOUR, {T0: CachedBucket(1, b"hour")})

    assert dict(await store.metrics.read(KEY, TEN_SECONDS, _span(TEN_SECONDS, 360))) == {}


@pytest.mark.parametrize("content", [b"", b"\0", bytes(range(256)), b"x" * 100_000], ids=len)
async def test_contents_are_any_bytes(store: Store, content: bytes) -> None:
    await store.metrics.save(KEY, HOUR, {T0: CachedBucket(2**62 + 1, content)})

    assert dict(await store.metrics.read(KEY, HOUR, _span(HOUR, 1))) == {T0: CachedBucket(2**62 + 1, content)}


async def test_a_chunk_that_would_be_over_a_megabyte_is_left_as_it_was(store: Store) -> None:
    start = HOUR.chunk_start(HOUR.chunk(T0))
    span = Span(start, start + CHUNK_BUCKETS * HOUR.step)
    small = {start: CachedBucket(1, b"small")}
    await store.metrics.save(KEY, HOUR, small)

    await store.metrics.save(KEY, HOUR, {start + HOUR.step: CachedBucket(1, b"x" * 1_100_000)})

    assert dict(await store.metrics.read(KEY, HOUR, span)) == small


async def test_an_oversize_chunk_does_not_keep_others_from_being_saved(store: Store) -> None:
    start = HOUR.chunk_start(HOUR.chunk(T0))
    later = start + CHUNK_BUCKETS * HOUR.step
    await store.metrics.save(
        KEY, HOUR, {start: CachedBucket(1, b"x" * 1_100_000), later: CachedBucket(1, b"kept")}
    )

    found = await store.metrics.read(KEY, HOUR, Span(start, later + HOUR.step))
    assert dict(found) == {later: CachedBucket(1, b"kept")}


async def test_metrics_of_a_type_are_no_events_of_it(store: Store) -> None:
    await store.events.save("other", [event(T0)])
    await store.metrics.save(KEY, HOUR, _cells(HOUR, 1))

    async with store.events.read() as session:
        assert await session.types() == ["other"]


async def test_metrics_are_shared_with_other_processes(database: Database, store: Store) -> None:
    other = await database.open()
    await store.metrics.save(KEY, HOUR, _cells(HOUR, 3))

    assert dict(await other.metrics.read(KEY, HOUR, _span(HOUR, 3))) == _cells(HOUR, 3)


async def test_a_long_text_is_a_key(store: Store) -> None:
    key = replace(KEY, text="x" * 10_000 + "😀")
    await store.metrics.save(key, HOUR, _cells(HOUR, 1))

    assert dict(await store.metrics.read(key, HOUR, _span(HOUR, 1))) == _cells(HOUR, 1)
