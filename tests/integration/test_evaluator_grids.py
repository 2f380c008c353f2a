"""Steps that are not tiers, calendars and zones: what a list of events says, cold, warm and changed."""

from __future__ import annotations

import asyncio
import math
import tempfile
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cube.expression import parse_metric
from cube.expression.nodes import Reduction
from cube.model import instant
from cube.model.event import Event
from cube.model.grid import Grid, grid_of
from cube.model.reduce import REDUCES, Sample
from cube.model.tier import TIERS, Span, group_key
from cube.store import mongo
from cube.store.ports import Store
from cube.store.sqlite import open_store
from evaluator.engine.block_cache import BlockCache
from evaluator.engine.kept_series import SeriesCache
from evaluator.scheduling.scheduler import QueryCost
from tests import tools
from tests.evaluator_running import Bench, bench_on, event, plain
from tests.mongo_server import MongoServer, mongo_server

__all__ = ["mongo_server"]

BEGIN = instant.parse("2011-10-29T10:00Z")
"""Half a day before clocks are set in Berlin, eight before those of St. John's are."""

HOUR = 3_600_000
DAY = 24 * HOUR
SPREAD = (0, 6_999, 10_000, 89_999, 900_000, 899_999, HOUR, 12 * HOUR, 15 * HOUR, 15 * HOUR + 1, 36 * HOUR)
LATER = (8 * DAY, 8 * DAY - 7.5 * HOUR, 40 * DAY, 90 * DAY)
SHORT = [grid_of(step) for step in ("2s", "7s", "25s", "90s", "15m", "45m")]
SHORT += [grid_of("45m", "Europe/Berlin"), grid_of("15m", "Asia/Kathmandu")]
LONG = [grid_of(step) for step in ("2h", "25h", "3d", "2w", "month", "quarter", "year")]
LONG += [grid_of("1w", week_start="sunday"), grid_of("1h", "Asia/Kathmandu"), grid_of("6h", "Europe/Berlin")]
LONG += [grid_of("1d", zone) for zone in ("Europe/Berlin", "Asia/Kathmandu", "America/St_Johns")]
LONG += [grid_of("1w", "Europe/Berlin"), grid_of("month", "Asia/Kathmandu")]
REDUCED = ("sum", "count", "max", "mean", "median", "distinct", "first", "stddev", "quantile")

_events = st.lists(
    st.builds(
        lambda offset, id, value, group: event(BEGIN + int(offset), {"v": value, "g": group}, id),
        st.sampled_from(SPREAD + LATER),
        st.integers(0, 15),
        st.sampled_from((0, 1, 2.5, -3, 1e6, None, "text")),
        st.sampled_from(("a", 1, None)),
    ),
    max_size=12,
)
_asked = st.tuples(st.sampled_from(REDUCED), st.booleans(), st.one_of(*map(st.sampled_from, (SHORT, LONG))))


def question(reduce: str, is_grouped: bool) -> str:
    text = "quantile(0.9,test(v))" if reduce == "quantile" else f"{reduce}(test(v))"
    return f"{text}.group(g)" if is_grouped else text


def span_of(grid: Grid) -> Span:
    length = HOUR + 100_000 if grid.shortest <= HOUR else 9 * DAY if grid.shortest < 20 * DAY else 100 * DAY
    return grid.cover(Span(BEGIN, BEGIN + length))


def wanted(
    reduction: Reduction, events: Sequence[Event], grid: Grid, span: Span
) -> dict[Any, list[float | None]]:
    """Evaluate a reduction of the field v over a list, plainly."""
    reduce, intervals = REDUCES[reduction.reduce], grid.intervals(span)
    table: dict[Any, dict[int, list[Sample]]] = {} if reduction.group else {None: {}}
    for each in events:
        value, group = each.data["v"], each.data["g"]
        taken = isinstance(value, (int, float)) if reduce.numeric else value is not None
        places = [place for place, interval in enumerate(intervals) if each.time in interval]
        if not taken or not places or (reduction.group and group is None):
            continue
        samples = table.setdefault(group_key(group) if reduction.group else None, {})
        for place in places:
            samples.setdefault(place, []).append(Sample(each.time, each.id, value))
    return {
        key: [
            reduce.finish(reduce.partial(samples[place]), reduction.argument)
            if place in samples
            else reduce.empty
            for place in range(len(intervals))
        ]
        for key, samples in table.items()
    }


async def check(made: Bench, text: str, events: Sequence[Event], grid: Grid) -> None:
    reduction, span = parse_metric(text), span_of(grid)
    assert isinstance(reduction, Reduction)
    series = await made.pyramid.measure(reduction, grid, span, QueryCost())
    groups = {None: series.default} if series.groups is None else series.groups
    expected = wanted(reduction, events, grid, span)
    assert groups.keys() == expected.keys(), (text, grid.text)
    for key, values in expected.items():
        assert close(plain(groups[key]), values), (text, grid.text, key)


def close(found: Sequence[float | None], expected: Sequence[float | None]) -> bool:
    return len(found) == len(expected) and all(
        one is other if one is None or other is None else math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)
        for one, other in zip(found, expected, strict=True)
    )


@asynccontextmanager
async def keeping(store: Store) -> AsyncIterator[Bench]:
    """A bench that keeps blocks and answers."""
    with ThreadPoolExecutor(1) as executor:
        made = Bench(store, executor, kept=BlockCache(10**7), series=SeriesCache(10**7))
        try:
            yield made
        finally:
            await made.pyramid.close()
            await store.close()


async def follow(made: Bench, saves: list[list[Event]], asked: list[tuple[str, bool, Grid]]) -> None:
    """Ask cold, warm, after late events and after replacements, which may move in time."""
    stored: dict[Any, Event] = {}
    for events in saves:
        await made.save(*events)
        stored.update({each.id: each for each in events})
        for reduce, is_grouped, grid in [*asked, asked[0]]:
            await check(made, question(reduce, is_grouped), list(stored.values()), grid)


_saves = st.lists(_events, min_size=2, max_size=3)
_questions = st.lists(_asked, min_size=3, max_size=5)


@pytest.mark.parametrize("keeps", [False, True])
@settings(max_examples=60 if tools.LONG else 6, deadline=None)
@given(saves=_saves, asked=_questions)
def test_any_grid_is_the_plain_definition(
    keeps: bool, saves: list[list[Event]], asked: list[tuple[str, bool, Grid]]
) -> None:
    async def run() -> None:
        with tempfile.TemporaryDirectory() as folder:
            store = await open_store(folder, "test")
            async with (keeping if keeps else bench_on)(store) as made:
                await follow(made, saves, asked)

    asyncio.run(run())


ASKED = [grid_of("15m"), grid_of("2h"), grid_of("1d", "Europe/Berlin"), grid_of("1d", "Asia/Kathmandu")]
ASKED += [grid_of("month", "Europe/Berlin"), grid_of("1w", "Europe/Berlin", "sunday")]
TWO_DAYS = [event(BEGIN + i * 7 * 60_000, {"v": i % 5, "g": "a"}) for i in range(2 * 24 * 60 // 7)]


@asynccontextmanager
async def stored(kind: str, directory: Path, request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    if kind == "sqlite":
        store = await open_store(directory, "test")
    else:
        server: MongoServer = request.getfixturevalue("mongo_server")
        store = await mongo.open_store(server.url, server.database())
    await store.events.save("test", TWO_DAYS)
    yield store


@pytest.mark.parametrize("kind", ["sqlite", "mongo"])
async def test_what_was_asked_once_is_warm_and_an_event_makes_its_bucket_alone_be_computed_again(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Also for another evaluator, and one that keeps nothing in its memory."""
    async with stored(kind, tmp_path, request) as store, keeping(store) as made:
        asked = {
            grid.text: (await made.values("median(test(v))", grid, BEGIN, BEGIN + DAY)) for grid in ASKED
        }
        with ThreadPoolExecutor(1) as executor:
            other = Bench(store, executor)
            for again in (made, other):
                again.seen.clear()
                for grid in ASKED:
                    assert await again.values("median(test(v))", grid, BEGIN, BEGIN + DAY) == asked[grid.text]
                assert again.seen.scans == []
                assert again.seen.saved == []
            await made.save(event(BEGIN + 60_000, {"v": 1e6}))
            hours = await other.values("max(test(v))", ASKED[0], BEGIN, BEGIN + HOUR)
            await other.values("max(test(v))", ASKED[0], BEGIN, BEGIN + HOUR)
            await made.save(event(BEGIN + 61_000, {"v": 2e6}))
            other.seen.clear()
            assert await other.values("max(test(v))", ASKED[0], BEGIN, BEGIN + HOUR) == [2e6, *hours[1:]]
            assert [len(buckets) for _, buckets in other.seen.saved] == [1]
            await other.pyramid.close()


@pytest.mark.parametrize("kind", ["sqlite", "mongo"])
async def test_of_what_has_expired_there_is_what_was_asked_or_is_kept_of_tiers_and_never_a_part(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    berlin, before = grid_of("1d", "Europe/Berlin"), BEGIN + 36 * HOUR
    async with stored(kind, tmp_path, request) as store, keeping(store) as made:
        kept = await made.values("sum(test(v))", berlin, BEGIN, BEGIN + 2 * DAY)
        sums = await made.values("mean(test(v))", TIERS[HOUR], BEGIN, BEGIN + 2 * DAY)
        await store.events.expire("test", before)
        await store.events.delete_events("test", before)

        assert await made.values("sum(test(v))", berlin, BEGIN, BEGIN + 2 * DAY) == kept
        halves = await made.values("mean(test(v))", grid_of("12h"), BEGIN, BEGIN + DAY)
        assert None not in halves
        assert min(sums[:12]) <= halves[0] <= max(sums[:12])  # type: ignore[operator,type-var]  # no None
        assert await made.values("mean(test(v))", grid_of("25m"), BEGIN, BEGIN + HOUR) == [None] * 3
        assert await made.values("count(test(v))", berlin, BEGIN, BEGIN + DAY) == [None] * 2
