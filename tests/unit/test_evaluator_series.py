"""Arithmetic on series: no value, constants, and the joining of groups."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from cube import json_text
from cube.columns import reductions
from cube.errors import InvalidQuery
from cube.expression import parse_metric, print_expression
from cube.expression.nodes import Reduction
from cube.model.tier import MINUTE, Span, group_key
from cube.settings import EvaluatorLimits
from cube.store.bucket_revisions import BucketRevisions
from evaluator.answers.rows import metric_rows, metric_texts, text_count
from evaluator.engine.bucket_values import BucketValues, read_series
from evaluator.engine.series import ReductionJob, Series, check_size, compute
from evaluator.query.limits import LimitExceeded

NAN = math.nan
SPAN = Span(0, 2 * MINUTE.step)


def series(default: list[float], groups: dict[Any, list[float]] | None = None) -> Series:
    joined = None
    if groups is not None:
        joined = {group_key(group): np.array(values) for group, values in groups.items()}
    return Series(np.array(default), joined)


A = series([1.0, NAN])
B = series([4.0, 2.0])
X = series([0.0, 0.0], {"x": [1.0, 2.0], "both": [3.0, 4.0]})
Y = series([NAN, NAN], {"y": [5.0, 6.0], "both": [7.0, NAN]})
MEASURED = {"sum(a)": A, "sum(b)": B, "sum(x).group(g)": X, "min(y).group(h)": Y}


def rows(text: str) -> list[tuple[Any, ...]]:
    """The rows of an expression: (minute, value or None, group if there is one)."""
    result = compute(parse_metric(text), 2, MEASURED, EvaluatorLimits())
    return [
        (int(row["time"][14:16]), row.get("value"), *([row["group"]] if "group" in row else []))
        for row in metric_rows(result, MINUTE, SPAN)
    ]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("sum(b)", [4, 2]),
        ("sum(a) + sum(b)", [5, None]),
        ("sum(b) - 1 - 1", [2, 0]),
        ("sum(b) / 2 * 3", [6, 3]),
        ("-sum(b)", [-4, -2]),
        ("-sum(b) * 2 + 1", [-7, -3]),
        ("1 / (sum(b) - 2)", [0.5, None]),
        ("sum(b) * 1e308 * 10", [None, None]),
        ("0.5", [0.5, 0.5]),
        ("0 / 0", [None, None]),
        ("9007199254740993", [9007199254740992.0, 9007199254740992.0]),
    ],
)
def test_arithmetic(text: str, values: list[float | None]) -> None:
    assert [row[1] for row in rows(text)] == values


def test_integral_values_have_no_fraction() -> None:
    assert str(rows("sum(b)")) == "[(0, 4), (1, 2)]"


def test_a_side_without_groups_applies_to_every_group() -> None:
    assert rows("sum(x).group(g) * 10 + sum(b)") == [
        (0, 34, "both"),
        (0, 14, "x"),
        (1, 42, "both"),
        (1, 22, "x"),
    ]


def test_a_group_missing_on_one_side_has_the_empty_value_there() -> None:
    assert rows("sum(x).group(g) - min(y).group(h)") == [
        (0, -4, "both"),
        (0, None, "x"),
        (0, -5, "y"),
        (1, None, "both"),
        (1, None, "x"),
        (1, -6, "y"),
    ]
    assert rows("min(y).group(h) + 0 * min(y).group(h) - sum(x).group(g)")[2] == (0, 5, "y")


def test_no_group_makes_no_rows() -> None:
    measured = {"sum(x).group(g)": series([0.0, 0.0], {})}
    result = compute(parse_metric("sum(x).group(g) + 1"), 2, measured, EvaluatorLimits())
    assert metric_rows(result, MINUTE, SPAN) == []


def test_groups_are_ordered_numbers_strings_booleans() -> None:
    result = series([0.0], {"a": [1.0], True: [2.0], 10: [3.0], 2.5: [4.0], "": [5.0], False: [6.0]})
    shown = metric_rows(result, MINUTE, Span(0, MINUTE.step))
    assert [row["group"] for row in shown] == [2.5, 10, "", "a", False, True]


def test_reductions_that_differ_in_a_literal_alone_are_two() -> None:
    node = parse_metric("sum(a.eq(b,1)) - sum(a.eq(b,true))")
    assert len({print_expression(each) for each in reductions(node)}) == 2


def test_too_many_groups_are_refused() -> None:
    with pytest.raises(InvalidQuery, match="more than 2 groups"):
        compute(parse_metric("sum(x).group(g) + min(y).group(h)"), 2, MEASURED, EvaluatorLimits(groups=2))


def test_too_many_cells_are_refused() -> None:
    with pytest.raises(InvalidQuery, match="2 buckets times 3 groups or more; .* 1 buckets: "):
        compute(parse_metric("sum(x).group(g) + min(y).group(h)"), 2, MEASURED, EvaluatorLimits(cells=5))


def test_too_many_buckets_are_refused_without_a_word_of_groups() -> None:
    with pytest.raises(InvalidQuery, match="The answer has 6 buckets; accepted are 5:"):
        check_size(EvaluatorLimits(cells=5), 6, 0)


@pytest.mark.parametrize("buckets", [20, 10])
def test_a_refusal_of_too_many_cells_counts_all_groups(buckets: int) -> None:
    """With half the span there are as many groups, so the refusal says what span would do."""
    reduction = parse_metric("sum(x).group(g)")
    assert isinstance(reduction, Reduction)
    values = BucketValues.of_states(
        reduction,
        {
            bucket * MINUTE.step: {group_key(f"{number}"): (1.0, 0.0) for number in range(bucket % 5, 937, 5)}
            for bucket in range(buckets)
        },
    )
    span = Span(0, buckets * MINUTE.step)
    job = ReductionJob(reduction, "sum(x).group(g)", MINUTE, None)
    numbers = BucketRevisions(values.buckets, np.ones(buckets, dtype=np.int64))
    with pytest.raises(LimitExceeded, match=f"{buckets} buckets times 937 groups or more; .* 5 buckets: "):
        read_series(job, numbers, [values], span, EvaluatorLimits(cells=5_000))
    with pytest.raises(LimitExceeded, match="more than 900 groups"):
        read_series(job, numbers, [values], span, EvaluatorLimits(cells=5_000, groups=900))


@pytest.mark.parametrize("buckets", [1, 3, 12_001])
@pytest.mark.parametrize(
    "values",
    [
        [1.0],
        [0.5, -0.0, NAN],
        [NAN],
        [2.0**53, -(2.0**53), 2.0**53 - 1, 1e300, 5e-324, 0.1, 7.0],
        [2.0**53 - 1, 1 - 2.0**53, -0.0, 1e15, 1e-300, 10.05, 100.0],
        [0.0],
        [0.0, 0.0, -0.0, 0.1, 0.0, NAN, 0.0, 7.0, -0.0],
    ],
)
def test_rows_are_written_from_arrays_as_they_are_one_by_one(values: list[float], buckets: int) -> None:
    plain = np.resize(np.array(values), buckets)
    names = ("a", 'q"\n%b %', 1, True, 2.5, 3.0)
    for made in (
        Series(plain),
        Series(plain, {}),
        Series(plain, {group_key(name): np.roll(plain, place) for place, name in enumerate(names)}),
    ):
        span = Span(0, buckets * MINUTE.step)
        texts = list(metric_texts(made, MINUTE, span))
        assert len(texts) == text_count(made, MINUTE, span)
        text = b",".join(texts)
        assert text == b",".join(json_text.encode(row) for row in metric_rows(made, MINUTE, span))
