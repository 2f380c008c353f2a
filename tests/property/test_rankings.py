"""Groups and rankings agree with the plain definitions: computed, cached, and after late events."""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cube.expression import parse_metric
from cube.model.event import Event
from cube.model.reduce import REDUCES
from cube.model.tier import TIERS, Span, is_rest, rest_key
from cube.store.sqlite import open_store
from evaluator.engine.block_cache import BlockCache
from evaluator.engine.kept_series import SeriesCache
from tests.evaluator_running import Bench, plain
from tests.golden.reference import ALL, Reference
from tests.tools import examples

BEGIN = 1_767_571_200_000  # 2026-01-05T00:00Z, a Monday
ARGUMENTS = {name: "0.3," if each.takes_probability else "" for name, each in REDUCES.items()}

parts = st.sampled_from(["g", "h", "each(tags)", 'g,"none"', "floor(n / 2)", 'each(tags),"b"'])
groups = st.lists(parts, min_size=1, max_size=2).map(",".join)
compared = st.sampled_from(
    [
        *("", ",count(t)", ",max(t(n).eq(h,1))", ",sum(u(n))", ",sum(t(n)) / sum(t)"),
        *(
            ",rolling(sum(t(n)),7s)",
            ",change(sum(t(n)))",
            ",shift(count(t),20s) - per(minute,cumulative(sum(u)))",
        ),
    ]
)
rankings = st.builds("{}({}{})".format, st.sampled_from(["top", "bottom"]), st.integers(1, 3), compared)
values = st.sampled_from(["t", "t(n)", "t(n).ge(n,0)"])
reductions = st.builds(
    lambda name, value: f"{name}({ARGUMENTS[name]}{value})", st.sampled_from(sorted(REDUCES)), values
)
expressions = st.builds(
    lambda reduction, group, ranking, rest: f"{reduction}.group({group}).{ranking}{rest.format(group=group)}",
    reductions,
    groups,
    rankings,
    st.sampled_from(["", " / sum(t)", " - sum(t(n)).group({group})"]),
)
data = st.fixed_dictionaries(
    {"n": st.integers(-3, 3)},
    optional={
        "g": st.sampled_from(["a", "b", "other", 1, True, None]),
        "h": st.sampled_from([1, 2]),
        "tags": st.lists(st.sampled_from(["a", "b", "c"]), max_size=3) | st.just("a"),
    },
)
events = st.lists(st.tuples(st.sampled_from("tttu"), st.integers(-40, 100), data), min_size=1, max_size=12)


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(expressions, st.sampled_from([1_000, 10_000, 60_000, 3_600_000]), events, events, st.booleans())
async def test_answers_are_those_of_the_plain_definitions(
    text: str, step: int, early: list[Any], late: list[Any], keeps: bool
) -> None:
    tier, numbers, reference = TIERS[step], count(), Reference()
    span = Span(BEGIN, BEGIN + 2 * step)
    with tempfile.TemporaryDirectory() as directory, ThreadPoolExecutor(1) as executor:
        store = await open_store(directory, "test")
        made = Bench(
            store,
            executor,
            kept=BlockCache(10**6) if keeps else None,
            series=SeriesCache(10**6) if keeps else None,
        )
        for some in (early, late):
            saved = [
                Event(type, span.start + age * step // 50, f"{next(numbers):03}", row)
                for type, age, row in some
            ]
            reference.save(saved)
            await made.save(*saved)
            expected = reference.evaluate(parse_metric(text), tier, span)
            for _ in range(2):
                series = await made.series(text, step, span.start, span.stop)
                found = {
                    rest_key() if is_rest(key) else key: plain(values)
                    for key, values in (series.groups or {}).items()
                }
                assert found.keys() == expected.keys() - {ALL}
                for key, values in found.items():
                    assert values == approximately(expected[key]), key
        await made.pyramid.close()
        await store.close()


def approximately(values: list[float | None]) -> list[Any]:
    return [None if each is None else pytest.approx(each, rel=1e-9, abs=1e-9) for each in values]
