"""Whatever is asked, in whatever state the cache is: the answer is what a list of events says."""

from __future__ import annotations

import asyncio
import math
import tempfile
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cube.expression import parse_metric
from cube.expression.nodes import Reduction
from cube.model.event import Event
from cube.model.reduce import REDUCES, Sample
from cube.model.tier import TIERS, Group, Span, Tier, group_key
from cube.store import mongo, sqlite
from evaluator.scheduling.scheduler import QueryCost
from tests.evaluator_running import DAY, Bench, bench_on, event, plain
from tests.mongo_server import MongoServer, mongo_server

__all__ = ["mongo_server"]

SPREAD = (0, 700, 9_999, 10_000, 61_000, 299_999, 300_000, 3_599_999, 3_600_001, 86_400_000, 9 * 86_400_000)
VALUES = (0, 1, 2, 2.5, -3, 1e6, None, "text", True)
GROUPS = ("a", "b", 1, True, None)
ASKED = (
    "sum(test(v))",
    "count(test(v))",
    "min(test(v))",
    "max(test(v))",
    "mean(test(v))",
    "variance(test(v))",
    "stddev(test(v))",
    "median(test(v))",
    "distinct(test(v))",
    "quantile(0.9,test(v))",
    "first(test(v))",
    "last(test(v))",
)

_data = st.fixed_dictionaries({"v": st.sampled_from(VALUES), "g": st.sampled_from(GROUPS)})
_events = st.lists(
    st.builds(
        lambda offset, id, data: event(DAY + offset, data, id),
        st.sampled_from(SPREAD),
        st.integers(0, 15),
        _data,
    ),
    max_size=12,
)


def wanted(
    reduction: Reduction, events: list[Event], tier: Tier, span: Span
) -> dict[Group | None, list[Any]]:
    """Evaluate a reduction of the field v over a list, plainly."""
    reduce = REDUCES[reduction.reduce]
    table: dict[Any, dict[int, list[Sample]]] = {}
    if reduction.group is None:
        table[None] = {}
    for each in events:
        value, group = each.data["v"], each.data["g"]
        taken = isinstance(value, (int, float)) if reduce.numeric else value is not None
        if not taken or each.time not in span or (reduction.group is not None and group is None):
            continue
        key = None if reduction.group is None else group_key(group)
        # For distinct: 1 = 1.0, but true is not a number, though Python finds them equal.
        sample = Sample(each.time, each.id, float(value) if reduce.numeric else (type(value) is bool, value))
        table.setdefault(key, {}).setdefault(tier.floor(each.time), []).append(sample)
    return {
        key: [
            reduce.finish(reduce.partial(buckets[start]), reduction.argument)
            if start in buckets
            else reduce.empty
            for start in tier.buckets(span)
        ]
        for key, buckets in table.items()
    }


async def check(made: Bench, text: str, events: list[Event], tier: Tier) -> None:
    reduction = parse_metric(text)
    assert isinstance(reduction, Reduction)
    stop = DAY + SPREAD[-1] + 1 if tier.step >= 3_600_000 else DAY + 3_700_000
    span = tier.cover(Span(DAY, stop))
    series = await made.pyramid.measure(reduction, tier, span, QueryCost())
    found: dict[Any, list[float | None]] = {None: plain(series.default)}
    if series.groups is not None:
        found = {key: plain(values) for key, values in series.groups.items()}
    expected = wanted(reduction, events, tier, span)
    assert found.keys() == expected.keys()
    for key, values in expected.items():
        assert close(found[key], values), (text, tier.name, key)


def close(found: list[float | None], expected: list[float | None]) -> bool:
    return len(found) == len(expected) and all(
        left is right
        if left is None or right is None
        else math.isclose(left, right, rel_tol=1e-9, abs_tol=1e-9)
        for left, right in zip(found, expected, strict=True)
    )


_saves = st.lists(_events, min_size=2, max_size=4)
_asked = st.lists(st.tuples(st.sampled_from(ASKED), st.sampled_from(sorted(TIERS))), min_size=3, max_size=8)


async def follow(made: Bench, grouped: bool, saves: list[list[Event]], asked: list[tuple[str, int]]) -> None:
    """Ask cold, warm, after late events and after replacements, which may move in time."""
    stored: dict[Any, Event] = {}
    for events in saves:
        await made.save(*events)
        stored.update({each.id: each for each in events})
        for text, step in [*asked, asked[0]]:
            question = f"{text}.group(g)" if grouped else text
            await check(made, question, list(stored.values()), TIERS[step])


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("keeps", [False, True])
@settings(max_examples=8, deadline=None)
@given(saves=_saves, asked=_asked)
def test_the_pyramid_is_the_plain_definition(
    keeps: bool, grouped: bool, saves: list[list[Event]], asked: list[tuple[str, int]]
) -> None:
    async def run() -> None:
        with tempfile.TemporaryDirectory() as folder:
            async with bench_on(await sqlite.open_store(folder, "test"), keeps=keeps) as made:
                await follow(made, grouped, saves, asked)

    asyncio.run(run())


@settings(max_examples=5, deadline=None)
@given(keeps=st.booleans(), grouped=st.booleans(), saves=_saves, asked=_asked)
def test_the_pyramid_is_the_plain_definition_on_mongodb(
    mongo_server: MongoServer,
    keeps: bool,
    grouped: bool,
    saves: list[list[Event]],
    asked: list[tuple[str, int]],
) -> None:
    async def run() -> None:
        name = mongo_server.database()
        async with bench_on(await mongo.open_store(mongo_server.url, name), keeps=keeps) as made:
            await follow(made, grouped, saves, asked)
        mongo_server.forget(name)

    asyncio.run(run())
