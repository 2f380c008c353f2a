"""Questions that share work share neither errors nor deadlines, and wait for what they need alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from evaluator.query.limits import DeadlineExceeded, LimitExceeded
from tests.evaluator_running import DAY, Bench, bench, event

TEN, MINUTE = 10_000, 60_000
GROUPS = "count(test).group(g)"
TEN_GROUPS = {f"small {number}": [1] for number in range(10)}


@pytest_asyncio.fixture
async def made(tmp_path: Path) -> AsyncIterator[Bench]:
    async with bench(tmp_path) as on_sqlite:
        yield on_sqlite


async def until_waiting(made: Bench, count: int) -> None:
    """Return when so many questions wait for one computation."""
    known = made.pyramid._flights._flights
    while True:
        flights = [flight for of_key in known.values() for flight in of_key]
        if max((flight.waiting for flight in flights), default=0) >= count:
            return
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("buckets", [2, 20])
async def test_nobody_is_refused_for_the_groups_of_another(made: Bench, buckets: int) -> None:
    """Whether it is worth to wait for the larger one (half of it is asked for), or not."""
    large = [event(DAY + number % (buckets - 1) * MINUTE, {"g": number}) for number in range(3_000)]
    small = DAY + (buckets - 1) * MINUTE
    await made.save(*large, *(event(small, {"g": group}) for group in TEN_GROUPS))
    made.seen.gate.clear()
    refused = asyncio.create_task(made.groups(GROUPS, MINUTE, DAY, small + MINUTE))
    await made.seen.until_scans(1)
    nine = [asyncio.create_task(made.groups(GROUPS, MINUTE, small, small + MINUTE)) for _ in range(9)]
    await until_waiting(made, 10 if buckets == 2 else 9)
    made.seen.gate.set()
    assert await asyncio.gather(*nine) == [TEN_GROUPS] * 9
    with pytest.raises(LimitExceeded, match="more than 1000 groups"):
        await refused


@pytest.mark.parametrize("expression", [GROUPS, "count(test).group(floor(g / 2))"])
async def test_all_whose_own_groups_are_too_many_are_told_so_by_one_scan(
    made: Bench, expression: str
) -> None:
    await made.save(*(event(DAY + number, {"g": number}) for number in range(3_000)))
    made.seen.gate.clear()
    tasks = [asyncio.create_task(made.groups(expression, MINUTE, DAY, DAY + MINUTE)) for _ in range(5)]
    await until_waiting(made, 5)
    made.seen.gate.set()
    for task in tasks:
        with pytest.raises(LimitExceeded, match="more than 1000 groups"):
            await task
    assert len(made.seen.scans) == 1


async def test_a_small_question_does_not_wait_for_a_large_one(made: Bench) -> None:
    await made.save(*(event(DAY + minute * MINUTE) for minute in range(60)))
    made.seen.gate.clear()
    made.seen.holds = lambda span: span.length >= 10 * MINUTE
    large = asyncio.create_task(made.values("count(test)", MINUTE, DAY, DAY + 60 * MINUTE))
    await made.seen.until_scans(1)
    for minute in (0, 30, 59):
        start = DAY + minute * MINUTE
        assert await made.values("count(test)", MINUTE, start, start + MINUTE) == [1]
    assert not large.done()
    made.seen.gate.set()
    assert await large == [1] * 60


async def test_who_waits_for_a_larger_question_has_its_buckets_as_they_come(
    made: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evaluator.engine.computation.SLICE", 2)
    await made.save(*(event(DAY + number * TEN) for number in range(4)))
    made.seen.gate.clear()
    large = asyncio.create_task(made.values("count(test)", TEN, DAY, DAY + 4 * TEN))
    await made.seen.until_scans(1)
    half = asyncio.create_task(made.values("count(test)", TEN, DAY, DAY + 2 * TEN))
    await until_waiting(made, 2)
    made.seen.shut_after = 2  # the first slice goes through; the second stops with its block
    made.seen.gate.set()
    await made.seen.shut.wait()
    assert await half == [1, 1]
    assert not large.done()
    made.seen.gate.set()
    assert await large == [1] * 4
    assert len(made.seen.scans) == 2


async def test_the_end_of_who_began_is_not_the_end_of_who_waits(made: Bench) -> None:
    await made.save(event(DAY))
    made.seen.gate.clear()
    first = asyncio.create_task(made.values("count(test)", TEN, DAY, DAY + TEN))
    await made.seen.until_scans(1)
    second = asyncio.create_task(made.values("count(test)", TEN, DAY, DAY + TEN))
    await until_waiting(made, 2)
    first.cancel()
    await asyncio.wait([first])
    made.seen.gate.set()
    assert await second == [1]
    assert len(made.seen.scans) == 1


async def test_the_deadline_of_who_began_is_not_that_of_who_waits(
    made: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await made.save(event(DAY))
    deadline, deadlines = asyncio.Event(), 0

    @asynccontextmanager
    async def within(seconds: float) -> AsyncIterator[None]:
        nonlocal deadlines
        deadlines += 1
        if deadlines == 1:
            await deadline.wait()
            raise DeadlineExceeded(seconds)
        yield

    monkeypatch.setattr("evaluator.engine.pyramid.within", within)
    first = asyncio.create_task(made.values("count(test)", TEN, DAY, DAY + TEN))
    await until_waiting(made, 1)
    second = asyncio.create_task(made.values("count(test)", TEN, DAY, DAY + TEN))
    await until_waiting(made, 2)
    deadline.set()
    with pytest.raises(DeadlineExceeded):
        await first
    assert await second == [1]
    assert deadlines == 2


async def test_many_reductions_over_one_long_type_are_as_right_as_alone(made: Bench) -> None:
    """Spans that overlap in all ways, all at once: each answer is what it is alone."""
    await made.save(*(event(DAY + minute * MINUTE, {"v": minute}) for minute in range(60)))
    spans = [(first, first + length) for first in range(0, 50, 7) for length in (1, 3, 10)]
    answers = await asyncio.gather(
        *(made.values("sum(test(v))", MINUTE, DAY + a * MINUTE, DAY + b * MINUTE) for a, b in spans)
    )
    assert answers == [[float(minute) for minute in range(*span)] for span in spans]
