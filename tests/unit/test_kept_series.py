"""What series that are kept are counted as is what they take."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest

from cube.model.tier import MINUTE, GroupKey, Span, group_key
from evaluator.engine.kept_series import Answered, KeptSeries, SeriesCache
from evaluator.engine.series import Series

BUCKETS = 60
SPAN = Span(0, BUCKETS * MINUTE.step)


def named(length: int) -> Callable[[int], GroupKey]:
    return lambda number: group_key(f"{number:>{length}}")


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(named(5), id="short names"),
        pytest.param(named(2_000), id="long names"),
        pytest.param(lambda number: group_key(number / 7), id="numbers"),
        pytest.param(lambda number: group_key((f"{number:>300}", f"{number:>300}")), id="two parts"),
    ],
)
def test_series_of_groups_are_counted_as_what_they_take(key: Callable[[int], GroupKey]) -> None:
    cache = SeriesCache(10**9)
    tracemalloc.start()
    try:
        for number in range(20):
            groups = {key(group): np.zeros(BUCKETS) for group in range(50)}
            series = Series(np.zeros(BUCKETS), groups, vouched=BUCKETS)
            cache.put(("t", str(number)), KeptSeries(MINUTE, SPAN, np.ones(BUCKETS, dtype=np.int64), series))
        del groups, series
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert 0.8 * taken < cache.bytes < 1.5 * taken


def test_long_expressions_are_counted() -> None:
    cache = SeriesCache(100_000)
    for number in range(100):
        cache.keep_answer((f"{number:>10000}", SPAN), Answered(1, Series(np.zeros(1), vouched=1)))

    assert [cache.answer((f"{number:>10000}", SPAN), 1) is None for number in (0, 99)] == [True, False]
    assert 80_000 < cache.bytes <= 100_000


def test_what_is_put_again_is_counted_once() -> None:
    cache = SeriesCache(10**9)
    for length in (10, 1_000, 10):
        groups = {named(length)(0): np.zeros(BUCKETS)}
        series = Series(np.zeros(BUCKETS), groups, vouched=BUCKETS)
        cache.put(("t", "x"), KeptSeries(MINUTE, SPAN, np.ones(BUCKETS, dtype=np.int64), series))
        cache.keep_answer(("t", "x"), Answered(1, series))
    counted = cache.bytes

    other = SeriesCache(10**9)
    other.put(("t", "x"), KeptSeries(MINUTE, SPAN, np.ones(BUCKETS, dtype=np.int64), series))
    other.keep_answer(("t", "x"), Answered(1, series))
    assert counted == other.bytes
