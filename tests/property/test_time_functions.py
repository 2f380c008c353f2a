"""Functions of series agree with the plain definitions: computed, cached, and after a late event."""

from __future__ import annotations

import math
import tempfile
from dataclasses import replace
from itertools import count
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cube.expression import print_expression
from cube.expression.nodes import Field, Grouping, GroupPart, MetricExpression, Ranking, Reduction
from cube.model.event import Event
from cube.model.reduce import REDUCES, Sample
from cube.model.tier import TIERS, Span
from evaluator.engine.sliding import slide
from tests.evaluator_running import bench, plain
from tests.golden.reference import ALL, Reference
from tests.property.test_expression_round_trip import series_calls
from tests.tools import examples

BEGIN = 1_767_571_200_000  # 2026-01-05T00:00Z, a Monday

BY = (GroupPart(Field(("g",))),)
reductions = st.builds(
    Reduction,
    reduce=st.sampled_from(sorted(REDUCES)),
    type=st.just("t"),
    value=st.none() | st.just(Field(("n",))),
    filters=st.just(()),
    group=st.sampled_from([None, None, Grouping(BY), Grouping(BY, Ranking("top", 1))]),
).map(lambda each: replace(each, argument=0.3 if REDUCES[each.reduce].takes_probability else None))
durations = st.sampled_from([1, 5, 10, 25, 60, 90, 3_600, 86_400]).map(lambda seconds: seconds * 1_000)
expressions = series_calls(reductions, durations) | series_calls(
    series_calls(reductions, durations), durations
)
data = st.fixed_dictionaries(
    {"n": st.integers(-4, 4).map(lambda half: half / 2)}, optional={"g": st.sampled_from(["a", "b"])}
)
ages = st.sampled_from([0, 1, 9, 10, 11, 61, 90, 3_599, 3_600, 86_400, 86_399]) | st.integers(0, 200)
events = st.lists(st.tuples(ages, data), min_size=1, max_size=8)
steps = st.sampled_from([1_000, 10_000, 60_000, 3_600_000])


@settings(max_examples=examples(100), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(expressions, steps, st.integers(1, 4), events, events)
async def test_answers_are_those_of_the_plain_definitions(
    tree: MetricExpression, step: int, buckets: int, early: list[Any], late: list[Any]
) -> None:
    text, tier, numbers = print_expression(tree), TIERS[step], count()
    span = Span(BEGIN, BEGIN + buckets * step)
    reference = Reference()
    with tempfile.TemporaryDirectory() as directory:
        async with bench(directory) as made:
            for some in (early, late):
                saved = [
                    Event("t", span.stop - 1 - age * 1_000, f"{next(numbers):03}", row) for age, row in some
                ]
                reference.save(saved)
                await made.save(*saved)
                expected = reference.evaluate(tree, tier, span)
                for _ in range(2):
                    found = await made.series(text, step, span.start, span.stop)
                    assert plain(found.default) == approximately(expected[ALL])
                    groups = {key: plain(values) for key, values in (found.groups or {}).items()}
                    assert groups.keys() == expected.keys() - {ALL}
                    for key, values in groups.items():
                        assert values == approximately(expected[key]), key


def approximately(values: list[float | None]) -> list[Any]:
    return [None if each is None else pytest.approx(each, rel=1e-9, abs=1e-9) for each in values]


numbers = (
    st.floats(-1e300, 1e300) | st.integers(-9, 9).map(float) | st.sampled_from([1e17, -1e17, 0.1, 5e-324])
)
parts = st.lists(st.lists(numbers, min_size=1, max_size=4), min_size=1, max_size=12)


@settings(max_examples=examples(200))
@given(st.sampled_from(sorted(REDUCES)), parts, st.data())
def test_windows_that_slide_have_the_values_of_those_that_are_merged(
    name: str, parts: list[list[float]], data: st.DataObject
) -> None:
    reduce, numbers = REDUCES[name], count()
    samples = [
        [
            Sample(place, f"{next(numbers):03}", each if reduce.numeric else str(each).encode())
            for each in part
        ]
        for place, part in enumerate(parts)
    ]
    partials = [reduce.partial(each) for each in samples]
    ends = st.lists(st.integers(0, len(parts)), min_size=1, max_size=6).map(sorted)
    stops = data.draw(ends)
    firsts = sorted(data.draw(st.integers(0, stop)) for stop in stops)
    firsts = [min(pair) for pair in zip(firsts, stops, strict=True)]
    found = plain(slide(reduce, 0.3, partials, np.array(firsts), np.array(stops)))
    for value, first, stop in zip(found, firsts, stops, strict=True):
        if first == stop:
            assert value == reduce.empty
            continue
        expected = reduce.finish(reduce.merge(partials[first:stop]), 0.3)
        if name not in ("variance", "stddev"):
            assert value == expected
        elif value is not None and expected is not None:
            scale = max(abs(sample.value) for part in samples[first:stop] for sample in part)
            assert math.isclose(value, expected, rel_tol=1e-6, abs_tol=1e-6 * scale * scale)
