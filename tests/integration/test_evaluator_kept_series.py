"""Answers that are kept: who asks again needs one read of revisions at most, and hears of every change."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import pytest_asyncio

from cube.store.sqlite import open_store
from cube.store.sqlite.readers import CommitWatch
from evaluator.engine.block_cache import BlockCache
from evaluator.engine.kept_series import SeriesCache
from tests.evaluator_running import DAY, Bench, event

TEN, MINUTE, HOUR = 10_000, 60_000, 3_600_000


@pytest_asyncio.fixture
async def made(tmp_path: Path) -> AsyncIterator[Bench]:
    """A store and a pyramid that keeps answers: an event every 10 s of an hour, but the last 10 minutes."""
    store = await open_store(tmp_path, "series")
    with ThreadPoolExecutor(2) as executor:
        bench = Bench(store, executor, kept=BlockCache(10**7), series=SeriesCache(10**6))
        await bench.save(
            *(event(DAY + number * TEN, {"v": number, "w": str(number % 3)}) for number in range(300))
        )
        yield bench
        await bench.pyramid.close()
    await store.close()


async def test_who_asks_again_reads_revisions_alone(made: Bench) -> None:
    for text in ("sum(test(v))", "min(test(v))"):
        first = await made.values(text, MINUTE, DAY, DAY + HOUR)
        made.seen.clear()

        assert await made.values(text, MINUTE, DAY, DAY + HOUR) == first
        assert made.seen.finds == []
        assert await made.values(text, MINUTE, DAY + 9 * MINUTE, DAY + 55 * MINUTE) == first[9:55]
        assert made.seen.finds == []  # nobody has committed anything
        await made.store.events.save("other", [event(DAY)])
        assert await made.values(text, MINUTE, DAY + 9 * MINUTE, DAY + 55 * MINUTE) == first[9:55]
        assert made.seen.finds == ["revisions of minute"]
    assert first[50:] == [None] * 10


async def test_spans_that_overlap_vouch_together_for_what_is_around_both(made: Bench) -> None:
    for start, stop in ((0, 30), (15, 45)):
        await made.values("sum(test(v))", MINUTE, DAY + start * MINUTE, DAY + stop * MINUTE)
    first = await made.values("sum(test(v))", MINUTE, DAY, DAY + 45 * MINUTE)
    made.seen.clear()
    assert await made.values("sum(test(v))", MINUTE, DAY, DAY + 45 * MINUTE) == first
    assert made.seen.finds == []


@pytest.mark.parametrize("text", ["sum(test(v))", "sum(test(v)).group(w)", "1 - sum(test(v)) / count(test)"])
async def test_as_long_as_nobody_commits_nothing_is_read(made: Bench, tmp_path: Path, text: str) -> None:
    other = await open_store(tmp_path, "series")  # as another process has it

    async def shown() -> str:
        made.seen.clear()
        series = await made.series(text, MINUTE, DAY, DAY + HOUR)
        return str(
            (series.default.tolist(), {key: its.tolist() for key, its in (series.groups or {}).items()})
        )

    for number in (1, 2):
        first = await shown()
        assert await shown() == first
        assert (made.seen.finds, made.seen.scans) == ([], [])

        await other.events.save("another", [event(DAY, {"v": number})])
        assert await shown() == first
        assert set(made.seen.finds) == {"revisions of minute"}
        assert not made.seen.scans

        await other.events.save("test", [event(DAY + MINUTE, {"v": 1000, "w": "1"})])
        assert await shown() != first
    await other.close()


async def test_a_store_that_cannot_tell_is_asked_each_time(
    made: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CommitWatch, "version", lambda self: None)
    first = await made.values("sum(test(v))", MINUTE, DAY, DAY + HOUR)
    made.seen.clear()
    assert await made.values("sum(test(v))", MINUTE, DAY, DAY + HOUR) == first
    assert made.seen.finds == ["revisions of minute"]


async def test_a_change_is_heard_of_and_the_rest_stays(made: Bench) -> None:
    first = await made.values("sum(test(v))", MINUTE, DAY, DAY + HOUR)
    await made.save(event(DAY + 30 * MINUTE, {"v": 1000}), event(DAY + 59 * MINUTE, {"v": 5}))
    made.seen.clear()

    changed = await made.values("sum(test(v))", MINUTE, DAY, DAY + HOUR)
    assert changed == [*first[:30], first[30] + 1000, *first[31:59], 5]
    assert [buckets for _, buckets in made.seen.saved] == [[DAY + 30 * MINUTE, DAY + 59 * MINUTE]]
    assert await made.values("sum(test(v))", MINUTE, DAY, DAY + HOUR) == changed


async def test_a_window_that_moves_reads_what_is_new(made: Bench) -> None:
    await made.values("sum(test(v))", MINUTE, DAY, DAY + 30 * MINUTE)
    made.seen.clear()

    assert await made.values("sum(test(v))", MINUTE, DAY + MINUTE, DAY + 31 * MINUTE)
    assert [buckets for _, buckets in made.seen.saved] == [[DAY + 30 * MINUTE]]
    made.seen.clear()
    await made.values("sum(test(v))", MINUTE, DAY, DAY + 31 * MINUTE)
    assert made.seen.finds == ["revisions of minute"]


async def test_groups_are_those_of_the_span_that_is_asked_for(made: Bench) -> None:
    await made.save(event(DAY + 59 * MINUTE, {"v": 1, "w": "late"}))
    whole = await made.groups("sum(test(v)).group(w)", MINUTE, DAY, DAY + HOUR)
    assert whole.keys() == {"0", "1", "2", "late"}
    made.seen.clear()

    await made.store.events.save("another", [event(DAY, {})])
    assert await made.groups("sum(test(v)).group(w)", MINUTE, DAY, DAY + HOUR) == whole
    assert made.seen.finds == ["revisions of minute"]
    part = await made.groups("sum(test(v)).group(w)", MINUTE, DAY, DAY + 10 * MINUTE)
    assert part == {key: whole[key][:10] for key in ("0", "1", "2")}


async def test_a_change_is_heard_of_in_groups_too_and_the_rest_stays(made: Bench) -> None:
    first = await made.groups("sum(test(v)).group(w)", MINUTE, DAY, DAY + HOUR)
    await made.save(event(DAY + 30 * MINUTE, {"v": 1000, "w": "1"}))

    changed = await made.groups("sum(test(v)).group(w)", MINUTE, DAY, DAY + HOUR)
    assert changed == {**first, "1": [*first["1"][:30], first["1"][30] + 1000, *first["1"][31:]]}


async def test_what_has_expired_is_not_taken_from_memory(made: Bench) -> None:
    first = await made.values("sum(test(v))", MINUTE, DAY, DAY + HOUR)
    await made.store.events.expire("test", DAY + 10 * MINUTE)
    await made.store.metrics.delete(DAY + 5 * MINUTE)

    expired = await made.values("sum(test(v))", MINUTE, DAY, DAY + HOUR)
    assert expired == [*[None] * 5, *first[5:]]
    assert await made.values("sum(test(v))", MINUTE, DAY + 10 * MINUTE, DAY + HOUR) == first[10:]


async def test_answers_stay_within_their_bound(made: Bench, tmp_path: Path) -> None:
    cache = SeriesCache(8_000)
    with ThreadPoolExecutor(2) as executor:
        small = Bench(made.store, executor, kept=BlockCache(10**7), series=cache)
        for number in range(10):
            values = await small.values(f"sum(test(v).ge(v, {number}))", MINUTE, DAY, DAY + HOUR)
            assert math.fsum(value or 0 for value in values) == sum(range(number, 300))
            assert 0 < cache.bytes <= 8_000
        await small.pyramid.close()
