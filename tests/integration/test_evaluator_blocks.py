"""Events that were read are kept: they are not read again, and never stale."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import pytest_asyncio

from cube.model.tier import Span
from cube.store.sqlite import open_store
from evaluator.engine.block_cache import BlockCache
from tests.evaluator_running import DAY, Bench, event

SECOND, TEN, MINUTE, HOUR = 1_000, 10_000, 60_000, 3_600_000


@pytest_asyncio.fixture
async def made(tmp_path: Path) -> AsyncIterator[Bench]:
    """A store and a pyramid that keeps blocks."""
    store = await open_store(tmp_path, "blocks")
    with ThreadPoolExecutor(2) as executor:
        bench = Bench(store, executor, kept=BlockCache(10**7))
        await bench.save(
            *(event(DAY + number * TEN, {"v": number, "w": str(number % 3)}) for number in range(720))
        )
        yield bench
        await bench.pyramid.close()
    await store.close()


async def test_another_expression_reads_no_event_again(made: Bench) -> None:
    first = await made.values("sum(test(v))", MINUTE, DAY, DAY + 2 * HOUR)
    made.seen.clear()

    assert await made.values("max(test(v))", MINUTE, DAY, DAY + MINUTE) == [5]
    assert await made.values("sum(test(v).ge(v, 0))", 5 * MINUTE, DAY, DAY + 2 * HOUR) == [
        sum(first[minute : minute + 5]) for minute in range(0, 120, 5)
    ]
    assert await made.values("sum(test(v))", 24 * HOUR, DAY, DAY + 1) == [sum(range(720))]
    assert made.seen.scans == []


async def test_a_field_that_was_not_read_is_read_beside_the_others(made: Bench) -> None:
    await made.values("sum(test(v))", MINUTE, DAY, DAY + HOUR)
    assert await made.values('count(test.eq(w, "1"))', HOUR, DAY, DAY + HOUR) == [120]
    made.seen.clear()

    assert await made.values('sum(test(v).eq(w, "1"))', HOUR, DAY, DAY + HOUR) == [sum(range(1, 360, 3))]
    assert made.seen.scans == []


async def test_only_buckets_that_have_changed_are_read_again(made: Bench) -> None:
    await made.values("sum(test(v))", TEN, DAY, DAY + HOUR)
    await made.save(event(DAY + 30 * MINUTE + 1, {"v": 1000}))
    made.seen.clear()

    assert await made.values("max(test(v))", HOUR, DAY, DAY + HOUR) == [1000]
    assert made.seen.scans == [Span(DAY + 30 * MINUTE, DAY + 30 * MINUTE + TEN)]
    made.seen.clear()
    assert await made.values("min(test(v))", MINUTE, DAY + 30 * MINUTE, DAY + 31 * MINUTE) == [180]
    assert made.seen.scans == []


async def test_what_is_vouched_for_needs_no_revisions_of_ten_seconds(made: Bench) -> None:
    await made.values("sum(test(v))", HOUR, DAY, DAY + 2 * HOUR)
    made.seen.clear()

    assert await made.values("max(test(v))", HOUR, DAY, DAY + 2 * HOUR) == [359, 719]
    assert made.seen.finds == ["revisions of hour", "values of hour"]


@pytest.mark.parametrize("text", ["sum(test(v))", "median(test(v).ge(v, 9))", "distinct(test(v)).group(w)"])
async def test_values_alone_are_kept_while_nothing_has_expired(made: Bench, text: str) -> None:
    await made.series(text, MINUTE, DAY, DAY + 2 * HOUR)
    assert [(tier.step, len(buckets)) for tier, buckets in made.seen.saved] == [(MINUTE, 120)]
    made.seen.clear()

    await made.store.events.expire("test", DAY + MINUTE)
    await made.series(text, 5 * MINUTE, DAY + 5 * MINUTE, DAY + 2 * HOUR)
    assert [tier.step for tier, _ in made.seen.saved] == [5 * MINUTE] * 2


@pytest.mark.parametrize(
    ("text", "hours", "day"), [("median(test(v))", [179.5, 539.5], 359.5), ("distinct(test(w))", [3, 3], 3)]
)
async def test_hours_have_dear_partials_only_where_days_are_merged_of_them(
    made: Bench, text: str, hours: list[float], day: float
) -> None:
    assert await made.values(text, HOUR, DAY, DAY + 2 * HOUR) == hours
    assert [(tier.step, len(buckets)) for tier, buckets in made.seen.saved] == [(HOUR, 2)]
    made.seen.clear()

    assert await made.values(text, 24 * HOUR, DAY, DAY + 24 * HOUR) == [day]
    assert made.seen.scans == []


async def test_a_bucket_of_several_blocks_is_whole(made: Bench) -> None:
    for start in (0, 70, 200):
        await made.values("count(test)", TEN, DAY + start * TEN, DAY + (start + 50) * TEN)

    assert await made.values("median(test(v))", 5 * MINUTE, DAY, DAY + HOUR) == [
        15 * (2 * number + 1) - 0.5 for number in range(12)
    ]
    assert await made.values("distinct(test(w).lt(v, 350))", 5 * MINUTE, DAY, DAY + HOUR + 1) == [
        *[3] * 12,
        0,
    ]


async def test_questions_at_once_share_one_read(made: Bench) -> None:
    expressions = [f"sum(test(v)) + {number} * max(test(v).ge(v, {number}))" for number in range(10)]
    answers = await asyncio.gather(
        *(made.values(expression, HOUR, DAY, DAY + HOUR) for expression in expressions)
    )

    assert answers == [[sum(range(360)) + number * 359] for number in range(10)]
    assert made.seen.scans == [Span(DAY, DAY + HOUR)]


async def test_a_question_that_needs_little_does_not_wait_for_a_large_read(made: Bench) -> None:
    made.seen.gate.clear()
    made.seen.holds = lambda span: span.length >= 10 * MINUTE
    large = asyncio.create_task(made.values("count(test)", MINUTE, DAY, DAY + HOUR))
    await made.seen.until_scans(1)

    assert await made.values("count(test)", MINUTE, DAY + MINUTE, DAY + 2 * MINUTE) == [6]
    assert not large.done()
    made.seen.gate.set()
    assert await large == [6] * 60


async def test_seconds_are_taken_from_kept_events(made: Bench) -> None:
    await made.values("sum(test(v))", HOUR, DAY, DAY + HOUR)
    await made.save(event(DAY + 3, {"v": 7}), event(DAY + SECOND, {"v": 8}))

    assert await made.values("sum(test(v))", SECOND, DAY, DAY + 3 * SECOND) == [7, 8, 0]


async def test_a_cache_that_is_too_small_reads_again_and_stays_within_its_bound(tmp_path: Path) -> None:
    store = await open_store(tmp_path, "blocks")
    cache = BlockCache(30_000)
    with ThreadPoolExecutor(2) as executor:
        made = Bench(store, executor, kept=cache)
        await made.save(*(event(DAY + number * TEN, {"v": number}) for number in range(4 * 360)))
        for expression in ("sum(test(v))", "max(test(v)) * 0 + sum(test(v))"):
            values = await made.values(expression, HOUR, DAY, DAY + 4 * HOUR)
            assert sum(value or 0 for value in values) == sum(range(4 * 360))
            assert 0 < cache.bytes <= 30_000
        await made.pyramid.close()
    await store.close()


@pytest.mark.parametrize("step", [TEN, MINUTE])
async def test_a_new_expression_over_few_rows_in_memory_is_computed_without_a_look_at_the_cache(
    made: Bench, step: int
) -> None:
    await made.values("sum(test(v))", step, DAY, DAY + HOUR)
    made.seen.clear()

    assert await made.values("count(test(v))", step, DAY, DAY + HOUR) == [step // TEN] * (HOUR // step)
    assert [find for find in made.seen.finds if "value" in find] == []

    await made.values("count(test(w))", step, DAY, DAY + HOUR)  # that column has to be read
    await made.values('count(test(v).re(w, "1"))', step, DAY, DAY + HOUR)  # dear, and perhaps known
    await made.values("count(test(v))", step, DAY, DAY + 2 * HOUR)  # those of the second hour, too
    assert len([find for find in made.seen.finds if "value" in find]) == 3


async def test_what_has_changed_is_looked_up(made: Bench) -> None:
    await made.values("sum(test(v))", TEN, DAY, DAY + HOUR)
    await made.save(event(DAY + 30 * MINUTE + 1, {"v": 1000}))
    made.seen.clear()

    await made.values("count(test(v))", TEN, DAY, DAY + HOUR)

    assert [find for find in made.seen.finds if "value" in find] == ["values of 10 seconds"]
