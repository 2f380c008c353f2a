"""The pyramid on real stores: what it reads, what it believes, and that it is never wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from cube.columns import SEMANTICS
from cube.errors import InvalidQuery
from cube.expression import parse_metric
from cube.expression.nodes import Reduction
from cube.model import instant
from cube.model.tier import FIVE_MINUTES, HOUR, MINUTE, TEN_SECONDS, TIERS, Span
from cube.settings import EvaluatorLimits
from cube.store import mongo
from cube.store.metric_ports import CachedBucket, CacheKey
from evaluator.engine.states import ENTRY_BYTES
from evaluator.query.limits import LimitExceeded
from evaluator.scheduling.scheduler import QueryCost
from tests.evaluator_running import DAY, Bench, bench, bench_on, event, known_events
from tests.mongo_server import mongo_server

HOUR_MS, MINUTE_MS = HOUR.step, MINUTE.step


__all__ = ["mongo_server"]


@pytest_asyncio.fixture(params=["sqlite", "mongo"])
async def made(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    if request.param == "sqlite":
        async with bench(tmp_path) as on_sqlite:
            yield on_sqlite
        return
    server = request.getfixturevalue("mongo_server")
    name = server.database()
    async with bench_on(await mongo.open_store(server.url, name)) as on_mongo:
        yield on_mongo
    server.forget(name)


@pytest_asyncio.fixture
async def quick(tmp_path: Path) -> AsyncIterator[Bench]:
    """On SQLite alone, for many events or many small reads of which the store makes no difference."""
    async with bench(tmp_path) as on_sqlite:
        yield on_sqlite


async def test_a_warm_query_takes_two_finds_and_reads_no_event(made: Bench) -> None:
    await made.save(*(event(DAY + minute * MINUTE_MS, {"v": minute}) for minute in range(0, 1440, 7)))
    cold = await made.values("sum(test(v))", MINUTE_MS, DAY, DAY + 1440 * MINUTE_MS)
    made.seen.clear()
    assert await made.values("sum(test(v))", MINUTE_MS, DAY, DAY + 1440 * MINUTE_MS) == cold
    assert made.seen.finds == ["revisions of minute", "values of minute"]
    assert (made.seen.scans, made.seen.saved) == ([], [])


async def test_empty_buckets_are_neither_scanned_nor_kept(made: Bench) -> None:
    await made.save(event(DAY))
    await made.values("sum(test)", 10_000, DAY, DAY + HOUR_MS)
    assert made.seen.scans == [Span(DAY, DAY + 10_000)]
    assert made.seen.saved == [(TEN_SECONDS, [DAY]), (TEN_SECONDS, [DAY])]


async def test_zeros_are_cached_like_other_values(made: Bench) -> None:
    await made.save(event(DAY, {"v": 1}))
    assert await made.values("sum(test(v).gt(v, 5))", MINUTE_MS, DAY, DAY + MINUTE_MS) == [0]
    made.seen.clear()
    assert await made.values("sum(test(v).gt(v, 5))", MINUTE_MS, DAY, DAY + MINUTE_MS) == [0]
    assert made.seen.scans == []


async def test_no_value_is_cached_like_other_values(made: Bench) -> None:
    await made.save(event(DAY, {"v": 1}))
    for _ in range(2):
        assert await made.values("median(test(v).gt(v, 5))", MINUTE_MS, DAY, DAY + MINUTE_MS) == [None]
    assert len(made.seen.scans) == 1


async def test_an_unknown_type_is_empty(made: Bench) -> None:
    assert await made.values("sum(test)", MINUTE_MS, DAY, DAY + 2 * MINUTE_MS) == [0, 0]
    assert await made.values("min(test(v))", MINUTE_MS, DAY, DAY + 2 * MINUTE_MS) == [None, None]
    assert await made.groups("sum(test).group(v)", MINUTE_MS, DAY, DAY + 2 * MINUTE_MS) == {}
    assert (made.seen.scans, made.seen.saved) == ([], [])


async def test_a_constant_asks_the_store_nothing(made: Bench) -> None:
    assert await made.values("1 + 1", MINUTE_MS, DAY, DAY + 2 * MINUTE_MS) == [2, 2]
    assert made.seen.finds == []


@pytest.mark.parametrize("step", sorted(TIERS))
async def test_a_late_event_changes_every_tier(made: Bench, step: int) -> None:
    await made.save(event(DAY, {"v": 1}), event(DAY + 3 * HOUR_MS, {"v": 1}))
    for count in (1, 2, 3):
        (value, *_) = await made.values("sum(test(v))", step, DAY, DAY + 1000)
        assert value == count + (1 if step > HOUR_MS else 0)
        await made.save(event(DAY + 500, {"v": 1}))


@pytest.mark.parametrize("step", sorted(TIERS))
async def test_a_replaced_event_leaves_its_old_bucket(made: Bench, step: int) -> None:
    await made.save(event(DAY, {"v": 1}, "a"))
    assert (await made.values("sum(test(v))", step, DAY, DAY + 1))[0] == 1
    moved = DAY + 15 * 86_400_000
    await made.save(event(moved, {"v": 5}, "a"))
    assert (await made.values("sum(test(v))", step, DAY, DAY + 1))[0] == 0
    assert (await made.values("sum(test(v))", step, moved, moved + 1))[0] == 5


async def test_only_what_has_changed_is_read_again(made: Bench) -> None:
    await made.save(*(event(DAY + second * 1000, {"v": 1}) for second in range(0, 7200, 5)))
    await made.values("median(test(v))", HOUR_MS, DAY, DAY + 2 * HOUR_MS)
    late = DAY + HOUR_MS + 1234
    await made.save(event(late, {"v": 3}))
    made.seen.clear()
    await made.values("median(test(v))", HOUR_MS, DAY, DAY + 2 * HOUR_MS)
    start = TEN_SECONDS.floor(late)
    assert made.seen.scans == [Span(start, start + TEN_SECONDS.step)]


async def test_coarse_tiers_are_built_from_finer_ones(made: Bench) -> None:
    await made.save(*known_events())
    await made.values("sum(test(i))", FIVE_MINUTES.step, DAY - HOUR_MS, DAY + HOUR_MS)
    made.seen.clear()
    assert await made.values("sum(test(i))", HOUR_MS, DAY - HOUR_MS, DAY + HOUR_MS) == [3321, 3120429]
    assert made.seen.scans == []
    assert made.seen.finds == [
        "revisions of hour",
        "values of hour",
        "revisions of 5 minutes",
        "partials of 5 minutes",
    ]


async def test_cached_values_of_an_exact_reduce_serve_as_partials(made: Bench) -> None:
    await made.save(*known_events())
    for expression, kept in (
        ("max(test(i))", "values of 5 minutes"),
        ("count(test(i).lt(i, 200)).group(i)", "grouped values of 5 minutes"),
    ):
        await made.series(expression, FIVE_MINUTES.step, DAY, DAY + FIVE_MINUTES.step)
        made.seen.clear()
        await made.series(expression, HOUR_MS, DAY, DAY + FIVE_MINUTES.step)
        assert kept in made.seen.finds
        assert not any(find.startswith("partials") for find in made.seen.finds)


async def test_seconds_are_computed_from_events_and_not_kept(made: Bench) -> None:
    await made.save(event(DAY, {"v": 1}), event(DAY + 1999, {"v": 2}))
    for _ in range(2):
        made.seen.clear()
        assert await made.values("sum(test(v))", 1000, DAY, DAY + 3000) == [1, 2, 0]
        assert made.seen.finds == ["revisions of 10 seconds"]
        assert (made.seen.scans, made.seen.saved) == ([Span(DAY, DAY + 3000)], [])


async def test_seconds_without_a_revision_of_their_ten_are_not_read(made: Bench) -> None:
    await made.save(event(DAY, {"v": 1}))
    assert await made.values("sum(test(v))", 1000, DAY + 10_000, DAY + 12_000) == [0, 0]
    assert made.seen.scans == []


async def test_a_large_partial_is_scanned_again(quick: Bench) -> None:
    await quick.save(*(event(DAY + number, {"v": number}) for number in range(9_000)))
    assert await quick.values("median(test(v))", 10_000, DAY, DAY + 10_000) == [4499.5]
    quick.seen.clear()
    assert await quick.values("median(test(v))", MINUTE_MS, DAY, DAY + MINUTE_MS) == [4499.5]
    assert quick.seen.scans == [Span(DAY, DAY + 10_000)]


async def test_the_same_question_at_once_is_computed_once(made: Bench) -> None:
    await made.save(*known_events())
    made.seen.gate.clear()
    questions = [
        asyncio.create_task(made.values("sum(test(i))", HOUR_MS, DAY - HOUR_MS, DAY + HOUR_MS))
        for _ in range(5)
    ]
    await made.seen.until_scans(1)
    made.seen.gate.set()
    assert await asyncio.gather(*questions) == [[3321, 3120429]] * 5
    assert len(made.seen.scans) == 1


async def test_questions_that_overlap_share_what_they_have_in_common(made: Bench) -> None:
    await made.save(*(event(DAY + minute * MINUTE_MS) for minute in range(10)))
    made.seen.gate.clear()
    first = asyncio.create_task(made.values("sum(test)", 10_000, DAY, DAY + 5 * MINUTE_MS))
    await made.seen.until_scans(1)
    second = asyncio.create_task(made.values("sum(test)", 10_000, DAY, DAY + 10 * MINUTE_MS))
    await made.seen.until_scans(2)
    made.seen.gate.set()
    assert sum(value or 0 for value in await first) == 5
    assert sum(value or 0 for value in await second) == 10
    assert [span.start for span in made.seen.scans] == [DAY, DAY + 5 * MINUTE_MS]


async def test_a_question_after_a_new_event_does_not_share_the_older_computation(made: Bench) -> None:
    await made.save(event(DAY))
    made.seen.gate.clear()
    first = asyncio.create_task(made.values("sum(test)", 10_000, DAY, DAY + 10_000))
    await made.seen.until_scans(1)
    await made.save(event(DAY))
    second = asyncio.create_task(made.values("sum(test)", 10_000, DAY, DAY + 10_000))
    await made.seen.until_scans(2)
    made.seen.gate.set()
    assert await second == [2]
    assert await first in ([1], [2])


async def test_a_computation_nobody_waits_for_stops_and_stores_nothing(made: Bench) -> None:
    await made.save(*known_events())
    made.seen.gate.clear()
    asked = asyncio.create_task(made.values("sum(test)", HOUR_MS, DAY, DAY + HOUR_MS))
    await made.seen.until_scans(1)
    asked.cancel()
    await asyncio.wait([asked])
    made.seen.gate.set()
    await made.pyramid.close()
    assert made.seen.saved == []
    assert await made.values("sum(test)", HOUR_MS, DAY, DAY + HOUR_MS) == [2418]
    assert len(made.seen.scans) == 2


async def test_nothing_is_remembered_after_a_computation(made: Bench) -> None:
    await made.save(event(DAY))
    for count in (1, 2):
        await made.values("sum(test)", 1000, DAY, DAY + 1000)
        assert len(made.seen.scans) == count


async def test_an_expired_bucket_is_never_scanned(made: Bench) -> None:
    await made.save(event(DAY), event(DAY + HOUR_MS))
    await made.store.events.expire("test", DAY + MINUTE_MS)
    assert await made.values("sum(test)", 10_000, DAY, DAY + 20_000) == [None, None]
    assert await made.values("sum(test)", 1000, DAY, DAY + 2000) == [None, None]
    assert await made.values("sum(test)", HOUR_MS, DAY, DAY + 2 * HOUR_MS) == [None, 1]
    assert all(span.start >= DAY + MINUTE_MS for span in made.seen.scans)


async def test_an_expired_bucket_has_its_cached_metric(made: Bench) -> None:
    await made.save(event(DAY), event(DAY + 1))
    assert await made.values("sum(test)", MINUTE_MS, DAY, DAY + MINUTE_MS) == [2]
    await made.store.events.expire("test", DAY + HOUR_MS)
    assert await made.values("sum(test)", MINUTE_MS, DAY, DAY + 2 * MINUTE_MS) == [2, None]


async def test_an_expired_bucket_is_merged_from_finer_cached_ones(made: Bench) -> None:
    await made.save(event(DAY, {"v": 1}), event(DAY + MINUTE_MS, {"v": 2}))
    await made.values("mean(test(v))", MINUTE_MS, DAY, DAY + 2 * MINUTE_MS)
    await made.store.events.expire("test", DAY + HOUR_MS)
    made.seen.clear()
    assert await made.values("mean(test(v))", HOUR_MS, DAY, DAY + HOUR_MS) == [1.5]
    assert (made.seen.scans, made.seen.saved) == ([], [])


async def test_an_expired_bucket_has_what_an_older_version_kept_of_its_groups(made: Bench) -> None:
    text = "count(test).group(g)"
    await made.save(*(event(DAY + number, {"g": group}) for number, group in enumerate("abb")))
    numbers = (await made.pyramid.revisions("test", MINUTE, Span(DAY, DAY + MINUTE_MS))).numbers
    kept = {DAY: CachedBucket(numbers[DAY], msgspec.msgpack.encode([("a", 1.0), ("b", 2.0)]))}
    await made.store.metrics.save(CacheKey("test", text, "value", SEMANTICS), MINUTE, kept)
    await made.store.events.expire("test", DAY + HOUR_MS)
    assert await made.groups(text, MINUTE_MS, DAY, DAY + MINUTE_MS) == {"a": [1], "b": [2]}
    assert await made.groups(text, HOUR_MS, DAY, DAY + HOUR_MS) == {"a": [1], "b": [2]}
    assert made.seen.scans == []


async def test_an_expired_bucket_with_a_lost_part_has_no_value(made: Bench) -> None:
    await made.save(event(DAY), event(DAY + MINUTE_MS))
    await made.values("sum(test)", MINUTE_MS, DAY, DAY + MINUTE_MS)
    await made.store.events.expire("test", DAY + HOUR_MS)
    assert await made.values("sum(test)", HOUR_MS, DAY, DAY + HOUR_MS) == [None]


async def test_groups_are_those_of_the_span(made: Bench) -> None:
    await made.save(
        event(DAY, {"v": 1, "g": "a"}),
        event(DAY + MINUTE_MS, {"v": 2, "g": 1}),
        event(DAY + MINUTE_MS, {"g": "without value"}),
        event(DAY + 2 * MINUTE_MS, {"v": 3, "g": True}),
    )
    for _ in range(2):
        assert await made.groups("sum(test(v)).group(g)", MINUTE_MS, DAY, DAY + 2 * MINUTE_MS) == {
            1: [0, 2],
            "a": [1, 0],
        }


async def test_too_many_groups_are_refused(made: Bench) -> None:
    await made.save(*(event(DAY, {"g": number}) for number in range(1_001)))
    with pytest.raises(InvalidQuery, match="1000 groups"):
        await made.groups("sum(test).group(g)", MINUTE_MS, DAY, DAY + MINUTE_MS)


async def test_a_long_span_is_computed_in_slices(quick: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evaluator.engine.computation.LARGE_SLICE", 8)
    await quick.save(*(event(DAY + minute * MINUTE_MS, {"v": minute}) for minute in range(0, 600, 3)))
    reduction = parse_metric("median(test(v))")
    assert isinstance(reduction, Reduction)
    series = await quick.pyramid.measure(reduction, HOUR, Span(DAY, DAY + 10 * HOUR_MS), QueryCost())
    assert series.default.tolist() == [60.0 * hour + 28.5 for hour in range(10)]
    assert len(quick.seen.scans) > 10


@pytest.mark.parametrize(("values", "is_refused"), [(100, False), (10_000, True)])
async def test_what_is_merged_of_many_buckets_is_bounded_too(
    tmp_path: Path, values: int, is_refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each ten seconds have little; an hour of them has much, unless the values are the same."""
    monkeypatch.setattr("evaluator.engine.computation.LARGE_SLICE", 8)
    async with bench(tmp_path, EvaluatorLimits(memory_bytes=1_000 * ENTRY_BYTES)) as made:
        numbers = range(6_000)
        await made.save(*(event(DAY + number * 600, {"v": number % values}) for number in numbers))
        assert await made.values("distinct(test(v))", 10_000, DAY, DAY + 10_000) == [17]
        hour = made.values("distinct(test(v))", HOUR_MS, DAY, DAY + HOUR_MS)
        if is_refused:
            with pytest.raises(LimitExceeded, match="bytes of partial results"):
                await hour
        else:
            assert await hour == [values]


async def test_buckets_far_apart_are_read_apart(quick: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that few revisions are held, however long the span between two of them is."""
    monkeypatch.setattr("evaluator.engine.computation.SLICE", 60)
    far = DAY + 30 * 86_400_000
    await quick.save(event(DAY), event(far))
    hours = await quick.values("count(test)", HOUR_MS, DAY, far + HOUR_MS)
    assert (hours[0], hours[-1], sum(hour or 0 for hour in hours)) == (1, 1, 2)
    assert quick.seen.finds.count("revisions of 5 minutes") == 2


async def test_the_past_before_1970_is_like_any_other(made: Bench) -> None:
    start = instant.parse("0987-06-05T00:00Z")
    await made.save(event(start, {"v": 1}), event(start + 1, {"v": 2}))
    for step in sorted(TIERS):
        assert (await made.values("sum(test(v))", step, start, start + 2))[0] == 3
