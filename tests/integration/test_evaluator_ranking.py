"""Rankings: of as many groups as memory holds, warm by revisions alone, chosen anew after any change."""

from __future__ import annotations

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import pytest_asyncio

from cube.expression import parse_metric
from cube.model.tier import TIERS, Span
from cube.settings import EvaluatorLimits
from cube.store.sqlite import open_store
from evaluator.engine.block_cache import BlockCache
from evaluator.engine.kept_series import SeriesCache
from evaluator.query.limits import LimitExceeded
from evaluator.scheduling.scheduler import QueryCost
from tests.evaluator_running import DAY, Bench, event

TEN, MINUTE, HOUR, DAILY = 10_000, 60_000, 3_600_000, 86_400_000
LIMITS = EvaluatorLimits(groups=100, memory_bytes=400_000)


@pytest_asyncio.fixture
async def made(tmp_path: Path) -> AsyncIterator[Bench]:
    """A store with an event of each of 1 500 users, and a second one of every hundredth."""
    store = await open_store(tmp_path, "ranking")
    with ThreadPoolExecutor(2) as executor:
        bench = Bench(store, executor, LIMITS, kept=BlockCache(10**7), series=SeriesCache(10**6))
        users = [*range(1500), *range(0, 1500, 100)]
        await bench.save(*(event(DAY + place * 1_000, {"user": user}) for place, user in enumerate(users)))
        yield bench
        await bench.pyramid.close()
    await store.close()


@pytest.mark.parametrize(("step", "stop"), [(TEN, HOUR), (MINUTE, HOUR), (HOUR, HOUR), (DAILY, DAILY)])
async def test_there_may_be_more_groups_than_an_answer_may_have(made: Bench, step: int, stop: int) -> None:
    with pytest.raises(LimitExceeded, match="more than 100 groups"):
        await made.groups("sum(test).group(user)", step, DAY, DAY + stop)
    found = await made.groups("sum(test).group(user).top(3)", step, DAY, DAY + stop)
    assert {group: sum(filter(None, values)) for group, values in found.items()} == {
        0: 2,
        100: 2,
        200: 2,
        "other": 1509,
    }


async def test_memory_bounds_the_groups_and_the_answer_their_number(made: Bench) -> None:
    with pytest.raises(LimitExceeded, match="more than 100 groups"):
        await made.groups("sum(test.lt(user, 500)).group(user).top(200)", MINUTE, DAY, DAY + HOUR)
    await made.save(*(event(DAY + place, {"user": f"{place:0400}"}) for place in range(1000)))
    with pytest.raises(LimitExceeded, match="more than 400000 bytes of partial results"):
        await made.groups("sum(test).group(user).top(3)", MINUTE, DAY, DAY + HOUR)


async def test_who_asks_again_reads_revisions_alone(made: Bench) -> None:
    first = await made.groups("sum(test).group(user).top(3)", MINUTE, DAY, DAY + HOUR)
    made.seen.clear()
    assert await made.groups("sum(test).group(user).top(3)", MINUTE, DAY, DAY + HOUR) == first
    assert made.seen.finds == []  # nobody has committed anything
    await made.store.events.save("other", [event(DAY)])
    assert await made.groups("sum(test).group(user).top(3)", MINUTE, DAY, DAY + HOUR) == first
    assert made.seen.finds == ["revisions of minute"]


async def test_what_comes_late_may_change_which_groups_are_chosen(made: Bench) -> None:
    text = "sum(test).group(user).top(2)"
    assert [*await made.groups(text, MINUTE, DAY, DAY + HOUR)] == [0, 100, "other"]
    await made.save(*(event(DAY + 50 * MINUTE, {"user": 7}) for _ in range(3)))
    found = await made.groups(text, MINUTE, DAY, DAY + HOUR)
    assert [*found] == [0, 7, "other"]
    assert sum(filter(None, found[7])) == 4


async def test_what_comes_late_of_another_type_changes_a_ranking_by_it(made: Bench) -> None:
    text = "sum(test).group(user).top(1, max(paid(sum)))"
    assert [*await made.groups(text, MINUTE, DAY, DAY + HOUR)] == [0, "other"]
    await made.save(event(DAY, {"user": 9, "sum": 5}, type="paid"))
    assert [*await made.groups(text, MINUTE, DAY, DAY + HOUR)] == [9, "other"]


async def test_what_comes_late_before_the_span_changes_a_ranking_by_what_was(made: Bench) -> None:
    text = "sum(test).group(user).top(1, shift(sum(test), 1h))"
    asked = (parse_metric(text), TIERS[MINUTE], Span(DAY, DAY + HOUR))
    assert [*await made.groups(text, MINUTE, DAY, DAY + HOUR)] == [0, "other"]
    before = await made.pyramid.ranking_digest(*asked)
    assert await made.pyramid.ranking_digest(*asked) == before
    await made.save(event(DAY - 1, {"user": 9}))
    assert [*await made.groups(text, MINUTE, DAY, DAY + HOUR)] == [9, "other"]
    assert await made.pyramid.ranking_digest(*asked) != before


async def test_days_that_have_expired_are_ranked_by_what_is_kept_of_them(made: Bench) -> None:
    text = "sum(test).group(user).top(1)"
    tier, span = TIERS[DAILY], Span(DAY, DAY + 2 * DAILY)
    await made.save(*(event(DAY + DAILY, {"user": 3}) for _ in range(2)))
    before = await made.pyramid.evaluate(parse_metric(text), tier, span, QueryCost())
    assert before.groups is not None
    assert [key[1] for key in sorted(before.groups)] == [3, "other"]
    await made.store.events.expire("test", DAY + DAILY)
    await made.store.events.delete_events("test", DAY + DAILY)
    again = await made.pyramid.evaluate(parse_metric(text), tier, span, QueryCost())
    assert again.groups is not None
    assert {key: values.tolist() for key, values in again.groups.items()} == {
        key: values.tolist() for key, values in before.groups.items()
    }


async def test_a_group_that_is_called_other_is_not_the_rest(made: Bench) -> None:
    users = ("other", "other", "(other)", "(other)", "x")
    await made.save(*(event(DAY, {"user": user}, type="called") for user in users))
    for most, names in {
        3: ["(other)", "other", "x"],
        2: ["(other)", "other", "((other))"],
        1: ["(other)", "other"],
    }.items():
        found = await made.series(f"sum(called).group(user).top({most})", MINUTE, DAY, DAY + MINUTE)
        assert found.groups is not None
        assert [key[1] for key in sorted(found.groups)] == names
