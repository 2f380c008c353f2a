"""Every reduce, by example."""

from __future__ import annotations

import math

import msgspec
import pytest

from cube.model.exact_sums import exact_sum
from cube.model.reduce import REDUCES, Sample, quantile

HUGE = 1.7e308
RESULTS: dict[str, list[tuple[list[float], float | None]]] = {
    "sum": [
        ([1, 2, 3.5], 6.5),
        ([1e16, 1, -1e16], 1),
        ([HUGE, HUGE, -HUGE, -HUGE, 5e300], 5e300),
        ([HUGE, HUGE], None),
    ],
    "count": [([1, 2, 3.5], 3)],
    "min": [([3, -1, 2], -1)],
    "max": [([3, -1, 2], 3)],
    "mean": [([1, 2, 6], 3), ([1e16, 3, -1e16], 1), ([HUGE, HUGE], None)],
    "variance": [
        ([5], 0),
        ([1, 2, 3, 4], 1.25),
        ([1e9, 1e9 + 1], 0.25),
        ([HUGE, -HUGE], None),
        ([1e200, 0], None),
    ],
    "stddev": [([2, 4, 4, 4, 5, 5, 7, 9], 2), ([0.1, 0.1, 0.1], 0)],
    "median": [([1, 2, 3, 4], 2.5), ([3, 1, 2], 2), ([7, 7], 7), ([-HUGE, HUGE], 0)],
}


def samples(values: list[float], start: int = 0) -> list[Sample]:
    return [Sample(start + number, start + number, value) for number, value in enumerate(values)]


CASES = [(name, values, expected) for name, results in RESULTS.items() for values, expected in results]


@pytest.mark.parametrize(("name", "values", "expected"), CASES)
def test_a_reduce_gives_its_result(name: str, values: list[float], expected: float | None) -> None:
    reduce = REDUCES[name]
    assert reduce.finish(reduce.partial(samples(values)), None) == _near(expected)


@pytest.mark.parametrize(
    ("q", "expected"), [(0, 1), (0.25, 1.75), (0.5, 2.5), (0.75, 3.25), (0.9, 3.7), (1, 4)]
)
def test_a_quantile_interpolates_between_the_closest_ranks(q: float, expected: float) -> None:
    assert quantile({4.0: 1, 1.0: 1, 3.0: 1, 2.0: 1}, q) == pytest.approx(expected)
    reduce = REDUCES["quantile"]
    assert reduce.finish(reduce.partial(samples([4, 3, 2, 1])), q) == pytest.approx(expected)


def test_a_quantile_counts_repetitions() -> None:
    assert quantile({1.0: 3, 5.0: 1}, 0.5) == 1
    assert quantile({1.0: 2, 5.0: 2}, 0.5) == 3


def test_distinct_merges_without_counting_twice() -> None:
    reduce = REDUCES["distinct"]
    assert reduce.finish(reduce.merge([{b"a", b"b"}, {b"b"}, {b"c"}]), None) == 3


def test_first_and_last_go_by_time_then_id() -> None:
    given = [
        Sample(5, "b", 1.0),
        Sample(5, "a", 2.0),
        Sample(5, 9, 3.0),
        Sample(4, b"z", 4.0),
        Sample(5, b"a", 5.0),
    ]
    assert REDUCES["first"].partial(given) == (4, (2, b"z"), 4.0)
    assert REDUCES["first"].partial(given[:3]) == (5, (0, 9), 3.0)
    assert REDUCES["last"].partial(given) == (5, (2, b"a"), 5.0)


def test_a_merged_variance_does_not_depend_on_how_the_means_are_rounded() -> None:
    reduce = REDUCES["variance"]
    low, high = 1e15, 1e15 + 0.125  # neighbours: no float lies between them
    parts = [[low, high], [low, high, high], [high]]
    merged = reduce.merge([reduce.partial(samples(part)) for part in parts])
    assert reduce.finish(merged, None) == pytest.approx(0.125**2 * (2 / 6) * (4 / 6), rel=1e-12)


@pytest.mark.parametrize("name", ["sum", "mean", "variance", "stddev"])
@pytest.mark.parametrize("other", [[HUGE, HUGE], [-HUGE, -HUGE], [1.0]])
def test_merging_with_an_overflown_bucket_gives_no_value(name: str, other: list[float]) -> None:
    reduce = REDUCES[name]
    parts = [reduce.partial(samples(values)) for values in ([HUGE, HUGE], other, [2.0])]
    assert reduce.finish(reduce.merge(parts), None) is None


def test_an_exact_sum_keeps_what_rounding_leaves_over() -> None:
    assert exact_sum([1e16, 1.0]) == (1e16, 1.0)
    assert exact_sum([0.1] * 10) == (1.0, pytest.approx(5.55e-17, rel=1e-2))
    assert exact_sum([]) == (0.0, 0.0)


def test_an_exact_sum_of_infinities_is_not_finite() -> None:
    assert exact_sum([math.inf, 1.0])[0] == math.inf
    assert math.isnan(exact_sum([math.inf, -math.inf])[0])


@pytest.mark.parametrize("name", REDUCES)
def test_a_partial_survives_being_stored(name: str) -> None:
    reduce = REDUCES[name]
    values = [b"a", b"b"] if name == "distinct" else [1.5, 2.5]
    partial = reduce.partial([Sample(1, "x", values[0]), Sample(2, "y", values[1])])
    stored = msgspec.msgpack.encode(partial)
    assert msgspec.msgpack.decode(stored, type=reduce.form) == partial


def _near(expected: float | None) -> object:
    return None if expected is None else pytest.approx(expected, rel=1e-12, abs=1e-30)
