"""Reductions of one expression in one pass: the same as each alone, and never stale."""

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
from cube.store.sqlite import open_store
from evaluator.engine.block_cache import BlockCache
from evaluator.engine.computation import Computation
from evaluator.engine.kept_series import SeriesCache
from tests.evaluator_running import DAY, Bench, event, plain
from tests.golden.reference import ALL, Reference

MINUTE, HOUR = 60_000, 3_600_000
ASKED = (
    "share(test.ge(x,1))",
    "share(test(v).ge(x,1),eq(u,'a'))",
    "sum(test(v)) / count(test(x)) - max(test(v).ge(x,2))",
    "mean(test(v)) * sum(test.lt(v,0)) + min(test(x))",
    "sum(test) - sum(other)",
    "distinct(test(u)) / sum(test)",
)


@pytest.fixture
async def benches(tmp_path: Path) -> AsyncIterator[list[Bench]]:
    """Evaluators on one store: with all caches, with columns alone, and with none."""
    store = await open_store(tmp_path, "test")
    with ThreadPoolExecutor(1) as executor:
        made = [
            Bench(store, executor, kept=BlockCache(10**7), series=SeriesCache(10**6)),
            Bench(store, executor, kept=BlockCache(10**7)),
            Bench(store, executor),
        ]
        yield made
        for each in made:
            await each.pyramid.close()
    await store.close()


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many reductions each pass was of."""
    found: list[int] = []
    values_together = Computation.values_together

    async def noted(self: Computation, jobs: list, gaps: dict) -> list:  # type: ignore[type-arg]
        found.append(len(jobs))
        return await values_together(self, jobs, gaps)

    monkeypatch.setattr(Computation, "values_together", noted)
    return found


async def test_every_answer_has_every_event(benches: list[Bench], passes: list[int]) -> None:
    drawn, reference = random.Random(28), Reference()
    for turn in range(12):
        events = [_event(drawn) for _ in range(drawn.choice((1, 8, 30)))]
        await benches[0].save(*events)
        reference.save(events)
        for text in drawn.sample(ASKED, 3):
            grid = grid_of(drawn.choice((1_000, 10_000, MINUTE, 300_000, 600_000, HOUR)))
            first = DAY + drawn.randrange(0, 2 * HOUR)
            span = grid.cover(Span(first, first + grid.step * drawn.choice((1, 2, 30))))
            expected = reference.evaluate(parse_metric(text), grid, span)[ALL]
            for each in benches:
                await each.series("sum(test(if(eq(u,'a'),x,v)))", grid, span.start, span.stop)  # reads all
                found = await each.series(text, grid, span.start, span.stop)
                assert plain(found.default) == expected, f"{turn}: {text} {grid.text}"
    assert len(passes) >= 5
    assert set(passes) <= {2, 3}


def _event(drawn: random.Random) -> Event:
    time = DAY + drawn.choice((0, 500, 300_000, HOUR)) * drawn.randrange(12) // 4
    data = {"u": drawn.choice("ab"), "x": drawn.randrange(3), "v": drawn.choice((-1.5, 0.1, 7, "7", None))}
    return event(time, data, drawn.randrange(60), drawn.choice(("test", "test", "other")))


async def test_one_pass_is_kept_for_each_of_its_reductions(benches: list[Bench], passes: list[int]) -> None:
    made, span = benches[0], (MINUTE, DAY, DAY + 3 * MINUTE)
    await made.save(*(event(DAY + place * MINUTE, {"x": place}, place) for place in range(3)))
    assert await made.values("sum(test(x))", *span) == [0, 1, 2]  # reads the columns
    assert await made.values("share(test.ge(x,1))", *span) == [0, 1, 1]
    assert passes == [2]
    made.seen.clear()
    assert await made.values("sum(test.ge(x,1))", *span) == [0, 1, 1]
    assert not [find for find in made.seen.finds if not find.startswith("revisions")]
    assert (made.seen.scans, passes) == ([], [2])
    await made.save(event(DAY + 1, {"x": 1}, "late"))
    for each in benches:
        assert await each.values("share(test.ge(x,1))", *span) == [0.5, 1, 1]
