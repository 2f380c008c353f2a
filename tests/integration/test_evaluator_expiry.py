"""What has expired: a bucket has the metric that was right, or none; never a wrong one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from cube.model.tier import CACHED_TIERS, TEN_SECONDS, TIERS, WEEK
from cube.store import mongo
from tests.evaluator_running import DAY, Bench, bench, bench_on, event
from tests.mongo_server import mongo_server

__all__ = ["mongo_server"]

MINUTE, HOUR = 60_000, 3_600_000
TUESDAY = DAY + 24 * HOUR  # DAY is a Monday


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


async def expire(made: Bench, before: int) -> None:
    """Let events expire and, an hour later, be deleted."""
    await made.store.events.expire("test", before)
    await made.store.events.delete_events("test", before)


@pytest.mark.parametrize("step", sorted(TIERS))
async def test_what_was_asked_once_is_answered_for_ever(made: Bench, step: int) -> None:
    await made.save(
        event(DAY + 3000, {"v": 1}), event(DAY + 13_000, {"v": 2}), event(DAY + 9 * HOUR, {"v": 4})
    )
    span = (step, DAY, DAY + 2 * step)
    asked = await made.values("sum(test(v))", *span)
    await expire(made, DAY + 21 * 24 * HOUR)

    after = await made.values("sum(test(v))", *span)

    cached = TIERS[step].cached
    assert after == [value if value and cached else None for value in asked]


@pytest.mark.parametrize(
    "expression", ["median(test(v))", "distinct(test(v))", "mean(test(v))", "max(test(v))"]
)
async def test_coarse_tiers_are_merged_from_what_was_asked_at_a_finer_one(
    made: Bench, expression: str
) -> None:
    await made.save(*(event(DAY + i * 7 * MINUTE, {"v": i % 11}) for i in range(300)))
    coarse = [tier.step for tier in CACHED_TIERS[1:]]
    right = {step: await made.values(expression, step, DAY, DAY + step) for step in coarse}
    await made.store.metrics.delete(DAY + 1000 * 24 * HOUR)
    await made.values(expression, 10_000, DAY, DAY + 40 * HOUR)
    await expire(made, DAY + 14 * 24 * HOUR)

    assert {step: await made.values(expression, step, DAY, DAY + step) for step in coarse} == right


async def test_a_metric_that_missed_an_event_is_no_metric_once_that_has_expired(made: Bench) -> None:
    await made.save(event(DAY, {"v": 1}))
    assert await made.values("sum(test(v))", HOUR, DAY, DAY + HOUR) == [1]
    await made.save(event(DAY + MINUTE, {"v": 2}))

    await expire(made, TUESDAY)

    assert await made.values("sum(test(v))", HOUR, DAY, DAY + HOUR) == [None]
    assert await made.values("sum(test(v))", MINUTE, DAY, DAY + 2 * MINUTE) == [1, None]


async def test_a_bucket_half_of_which_has_expired_counts_what_comes_into_its_other_half(made: Bench) -> None:
    await made.save(event(DAY, {"v": 1}), event(TUESDAY, {"v": 2}))
    assert await made.values("sum(test(v))", WEEK.step, DAY, DAY + 1) == [3]
    await expire(made, TUESDAY)

    await made.save(event(TUESDAY + HOUR, {"v": 4}))

    assert await made.values("sum(test(v))", WEEK.step, DAY, DAY + 1) == [7]


async def test_groups_outlive_their_events(made: Bench) -> None:
    await made.save(event(DAY, {"v": 1, "g": "a"}), event(DAY + MINUTE, {"v": 2, "g": "b"}))
    expression = "sum(test(v)).group(g)"
    asked = await made.groups(expression, MINUTE, DAY, DAY + 2 * MINUTE)
    await expire(made, TUESDAY)

    assert await made.groups(expression, MINUTE, DAY, DAY + 2 * MINUTE) == asked
    assert await made.groups(expression, 24 * HOUR, DAY, DAY + 1) == {"a": [1], "b": [2]}


async def test_an_event_that_left_an_expired_bucket_is_not_counted_twice(made: Bench) -> None:
    await made.save(event(DAY, {"v": 1}, id="moved"), event(TUESDAY, {"v": 2}))
    assert await made.values("sum(test(v))", HOUR, DAY, DAY + HOUR) == [1]
    await made.store.events.expire("test", TUESDAY)

    await made.save(event(TUESDAY, {"v": 4}, id="moved"))

    assert await made.values("sum(test(v))", HOUR, DAY, DAY + HOUR) == [None]
    assert await made.values("sum(test(v))", HOUR, TUESDAY, TUESDAY + HOUR) == [6]


async def test_an_event_that_was_deleted_may_come_again_and_history_stays(made: Bench) -> None:
    await made.save(event(DAY, {"v": 1}, id="again"))
    assert await made.values("sum(test(v))", HOUR, DAY, DAY + HOUR) == [1]
    await expire(made, TUESDAY)

    await made.save(event(TUESDAY, {"v": 4}, id="again"))

    assert await made.values("sum(test(v))", HOUR, DAY, DAY + HOUR) == [1]
    assert await made.values("sum(test(v))", HOUR, TUESDAY, TUESDAY + HOUR) == [4]


async def test_what_is_forgotten_has_no_value_rather_than_a_part_of_it(made: Bench) -> None:
    """A week whose first days have lost their revisions is not merged from its last days."""
    await made.save(*(event(DAY + day * 24 * HOUR, {"v": 2**day}) for day in range(14)))
    await made.values("sum(test(v))", 24 * HOUR, DAY, DAY + 14 * 24 * HOUR)
    await expire(made, DAY + 14 * 24 * HOUR)
    before = DAY + 3 * 24 * HOUR
    await made.store.events.forget("test", before)
    await made.store.events.delete_revisions("test", before)

    assert await made.values("sum(test(v))", WEEK.step, DAY, DAY + 2 * WEEK.step) == [None, 2**14 - 2**7]


async def test_a_type_that_was_built_late_is_not_merged_from_what_was_left(made: Bench) -> None:
    """As when retention comes to a database of Square's Cube before anybody asks it anything."""
    await made.save(event(DAY, {"v": 1}), event(DAY + 5 * HOUR, {"v": 2}))
    await expire(made, DAY + HOUR)
    await made.store.events.forget("test", DAY + HOUR)  # what `build` does, see the contract

    assert await made.values("sum(test(v))", 24 * HOUR, DAY, DAY + 1) == [None]
    assert await made.values("sum(test(v))", HOUR, DAY, DAY + 6 * HOUR) == [None, *[0] * 4, 2]


async def test_a_metric_that_was_deleted_has_no_value(made: Bench) -> None:
    await made.save(event(DAY, {"v": 1}), event(TUESDAY, {"v": 2}))
    span = (24 * HOUR, DAY, TUESDAY + 24 * HOUR)
    assert await made.values("sum(test(v))", *span) == [1, 2]
    await expire(made, TUESDAY)

    await made.store.metrics.delete(TUESDAY)

    assert await made.values("sum(test(v))", *span) == [None, 2]
    assert await made.values("sum(test(v))", TEN_SECONDS.step, DAY, DAY + 10_000) == [None]


async def test_arithmetic_with_a_bucket_that_is_lost_has_no_value(made: Bench) -> None:
    await made.save(event(DAY, {"v": 1}), event(TUESDAY, {"v": 2}))
    await made.values("sum(test(v))", HOUR, DAY, DAY + HOUR)
    await expire(made, TUESDAY)

    assert await made.values("sum(test(v)) - 1", HOUR, DAY, DAY + HOUR) == [0]
    assert await made.values("sum(test(v)) - sum(test)", HOUR, DAY, DAY + HOUR) == [None]
