"""However samples are split and merged, the result is that of all of them at once."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cube.model.exact_sums import exact_sum
from cube.model.reduce import REDUCES, Sample, quantile
from tests.tools import examples

magnitudes = st.one_of(
    st.floats(-1e18, 1e18, allow_nan=False),
    st.sampled_from([1e16, -1e16, 1.0, 0.1, 1e-9, 1e9 + 1 / 3]),
    st.integers(-5, 5).map(float),
)
batches = st.lists(st.lists(magnitudes, min_size=1, max_size=6), min_size=1, max_size=6)


@settings(max_examples=examples(300))
@given(st.sampled_from(sorted(set(REDUCES) - {"distinct"})), batches)
def test_merged_partials_give_the_result_of_the_whole(name: str, values: list[list[float]]) -> None:
    reduce = REDUCES[name]
    parts = [
        [Sample(row * 10 + place, place, value) for place, value in enumerate(batch)]
        for row, batch in enumerate(values)
    ]
    whole = reduce.finish(reduce.partial([sample for part in parts for sample in part]), 0.3)
    merged = reduce.finish(reduce.merge([reduce.partial(part) for part in parts]), 0.3)
    scale = max(abs(value) for batch in values for value in batch)
    slack = {"variance": 1e-28 * scale**2, "stddev": 1e-14 * scale}.get(name, 0.0)
    assert merged == pytest.approx(whole, rel=1e-9, abs=slack)


@given(batches)
def test_sums_are_exact_to_twice_the_precision(values: list[list[float]]) -> None:
    exact = sum(Fraction(value) for batch in values for value in batch)
    high, low = REDUCES["sum"].merge([exact_sum(batch) for batch in values])
    assert abs(Fraction(high) + Fraction(low) - exact) <= abs(exact) / 2**50 + Fraction(1, 10**14)


@given(batches)
def test_variance_agrees_with_exact_fractions(values: list[list[float]]) -> None:
    exact = [Fraction(value) for batch in values for value in batch]
    mean = sum(exact) / len(exact)
    variance = float(sum((value - mean) ** 2 for value in exact) / len(exact))
    reduce = REDUCES["variance"]
    parts = [reduce.partial([Sample(0, 0, value) for value in batch]) for batch in values]
    slack = 1e-28 * float(max(abs(value) for value in exact)) ** 2
    assert reduce.finish(reduce.merge(parts), None) == pytest.approx(variance, rel=1e-9, abs=slack)


@given(st.lists(magnitudes, min_size=1, max_size=12), st.floats(0, 1))
def test_a_quantile_is_numpys(values: list[float], q: float) -> None:
    tally = {value: values.count(value) for value in values}
    scale = max(map(abs, values))
    assert quantile(tally, q) == pytest.approx(float(np.quantile(values, q)), rel=1e-9, abs=1e-12 * scale)
    assert math.isfinite(quantile(tally, q))
