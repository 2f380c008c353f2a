"""Steps that are not tiers, calendars and zones: what a list of events says, cold, warm and changed."""

from __future__ import annotations

import asyncio
import math
import tempfile
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
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
from cube.model.tier import Span, group_key
from cube.store.ports import Store
from cube.store.sqlite import open_store
from evaluator.engine.kept_series import SeriesCache
from evaluator.engine.segments import BlockCache
from evaluator.scheduling.scheduler import QueryCost
from tests.evaluator_running import Bench, bench_on, event, plain
from tests.mongo_server import mongo_server
from tests.tools import examples

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


_saves = st.lists(_events, min_size=2, max_size=4)
_questions = st.lists(_asked, min_size=3, max_size=8)


@pytest.mark.parametrize("keeps", [False, True])
@settings(max_examples=examples(60), deadline=None)
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
