"""Accumulation: the partial results of a scan, merged and bounded as they come."""

from __future__ import annotations

from typing import Any

import pytest

from cube.expression import parse_metric
from cube.expression.nodes import Reduction
from cube.model.tier import group_key
from cube.settings import EvaluatorLimits
from evaluator.engine.states import ENTRY_BYTES, Accumulator, State, weight
from evaluator.query.limits import LimitExceeded


def accumulator(expression: str, **limits: Any) -> Accumulator:
    reduction = parse_metric(expression)
    assert isinstance(reduction, Reduction)
    return Accumulator(reduction, EvaluatorLimits(**limits))


def texts(first: int, stop: int) -> State:
    return {None: {b"%d" % number for number in range(first, stop)}}


def test_what_comes_in_many_slices_is_what_it_is_in_one() -> None:
    made = accumulator("count(test)")
    for number in range(100):
        made.add({bucket: {None: 1} for bucket in (0, number // 50 * 10_000)})
    assert made.states() == {0: {None: 100}, 10_000: {None: 50}}


def test_the_order_of_time_is_kept() -> None:
    made = accumulator("last(test(v))")
    for number in range(7):
        made.add({0: {None: (number, (0, 0), float(number))}})
    assert made.states() == {0: {None: (6, (0, 0), 6.0)}}


def test_equal_values_of_many_slices_are_held_once() -> None:
    made = accumulator("distinct(test(v))", memory_bytes=20 * 100 * ENTRY_BYTES)
    for _ in range(1_000):
        made.add({0: texts(0, 100)})
    assert made.states() == {0: texts(0, 100)}


def test_partial_results_over_the_bound_of_memory_are_refused() -> None:
    made = accumulator("distinct(test(v))", memory_bytes=1_000 * ENTRY_BYTES)
    for number in range(4):
        made.add({number * 10_000: texts(number * 200, number * 200 + 200)})
    with pytest.raises(LimitExceeded, match="128000 bytes of partial results") as caught:
        made.add({40_000: texts(800, 1_000)})
    assert caught.value.reason == "memory"


def test_groups_are_refused_as_soon_as_they_are_too_many() -> None:
    made = accumulator("count(test).group(g)", groups=3)
    made.add({0: {group_key(name): 1 for name in "abc"}})
    with pytest.raises(LimitExceeded, match="more than 3 groups") as caught:
        made.add({10_000: {group_key("d"): 1}})
    assert caught.value.reason == "groups"


def test_long_texts_weigh_what_they_are_long() -> None:
    assert weight({None: {b"x" * 1_000}}) > 1_000
    assert weight({group_key("x" * 1_000): 1}) > 1_000
