"""Counts of different keys since some time: of one pass over the columns, and the same as without these."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cube.expression import parse_metric
from cube.model.event import Event
from cube.model.grid import grid_of
from cube.model.tier import Span
from cube.settings import EvaluatorLimits
from cube.store.sqlite import open_store
from evaluator.engine import first_keys
from evaluator.engine.block_cache import BlockCache
from evaluator.query.limits import LimitExceeded
from tests.evaluator_running import DAY, Bench, event, plain
from tests.golden.reference import ALL, Reference

MINUTE, HOUR = 60_000, 3_600_000
VALUES = ("a", "b", "c", "1", 1, 1.0, 2.5, True, False, None, [1, "a"], {"k": 1}, 2**60, 2**60 + 1)
ASKED = (
    "cumulative(distinct(test(u)))",
    "cumulative(distinct(test(u).ge(x,1)))",
    "cumulative(distinct(test(combine(u,x))))",
    "cumulative(distinct(test(x * 2)))",
    "shift(cumulative(distinct(test(u))), 7m)",
    "cumulative(shift(distinct(test(u)), 90s))",
    "change(cumulative(distinct(test(u)) + sum(test(x))))",
)


@pytest.fixture
async def benches(tmp_path: Path) -> AsyncIterator[list[Bench]]:
    """Two evaluators on one store: one keeps blocks, the other reads everything."""
    store = await open_store(tmp_path, "test")
    with ThreadPoolExecutor(1) as executor:
        made = [Bench(store, executor, kept=BlockCache(10**7)), Bench(store, executor)]
        yield made
        for each in made:
            await each.pyramid.close()
    await store.close()


async def test_every_answer_has_every_event_once(
    benches: list[Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events come in any order, replace each other, and move; each question is asked of both evaluators."""
    counted = 0
    counts = first_keys.FirstTimes.ascending

    def seen(firsts: first_keys.FirstTimes) -> first_keys.Instants:
        nonlocal counted
        counted += 1
        return counts(firsts)

    monkeypatch.setattr(first_keys.FirstTimes, "ascending", seen)
    drawn, reference = random.Random(14), Reference()
    for turn in range(12):
        events = [_event(drawn) for _ in range(drawn.choice((1, 8, 30)))]
        await benches[0].save(*events)
        reference.save(events)
        for text in drawn.sample(ASKED, 3):
            grid = grid_of(drawn.choice((10_000, MINUTE, 10 * MINUTE, HOUR, 24 * HOUR)))
            first = DAY + drawn.randrange(0, 2 * HOUR)
            span = grid.cover(Span(first, first + grid.step * drawn.choice((1, 2, 30))))
            expected = reference.evaluate(parse_metric(text), grid, span)[ALL]
            for each in benches:
                found = await each.series(text, grid, span.start, span.stop)
                assert plain(found.default) == expected, f"turn {turn}: {text} at {grid.text}"
    assert counted >= 10  # where columns are in memory


def _event(drawn: random.Random) -> Event:
    time = DAY + drawn.choice((0, 500, 300_000, HOUR)) * drawn.randrange(12) // 4
    return event(time, {"u": drawn.choice(VALUES), "x": drawn.randrange(3)}, drawn.randrange(60))


async def test_a_late_event_shows_at_once(benches: list[Bench]) -> None:
    made, asked = benches[0], ("cumulative(distinct(test(u)))", MINUTE, DAY, DAY + 3 * MINUTE)
    await made.save(event(DAY, {"u": 1}, 1), event(DAY + 2 * MINUTE, {"u": 2}, 2))
    for _ in range(2):  # the second time of columns in memory
        assert await made.values(*asked) == [1, 1, 2]
    made.seen.clear()
    assert await made.values(*asked) == [1, 1, 2]
    assert made.seen.scans == []
    await made.save(event(DAY + MINUTE, {"u": 2}, 3))
    assert await made.values(*asked) == [1, 2, 2]
    await made.save(event(DAY + MINUTE, {"u": 1}, 3))  # in its place
    assert await made.values(*asked) == [1, 1, 2]


async def test_keys_are_held_within_the_limit_of_memory(tmp_path: Path) -> None:
    store = await open_store(tmp_path, "test")
    with ThreadPoolExecutor(1) as executor:
        made = Bench(store, executor, EvaluatorLimits(memory_bytes=20_000), kept=BlockCache(10**7))
        await made.save(*(event(DAY + number, {"u": f"u{number}"}, number) for number in range(500)))
        await made.values("sum(test(u))", HOUR, DAY, DAY + HOUR)
        with pytest.raises(LimitExceeded, match="20000 bytes"):
            await made.values("cumulative(distinct(test(u)))", MINUTE, DAY, DAY + HOUR)
        await made.pyramid.close()
    await store.close()
