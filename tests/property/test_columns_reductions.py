"""Reductions of whole blocks agree with `cube.model.reduce` applied to one event after another."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cube.columns import Block, grouped_partials, partials
from cube.columns.partials import FAST
from cube.expression.nodes import Field, Grouping, GroupPart, Reduction
from cube.model.reduce import REDUCES, Partial
from cube.model.tier import TIERS, Tier
from tests.property.columns_reference import Row, plain_grouped_partials, plain_partials
from tests.property.columns_strategies import (
    comparisons,
    computed_comparisons,
    data,
    fields,
    objects,
    patterns,
    scalars,
    scalars_of_one,
    values,
)
from tests.tools import examples

flat = st.fixed_dictionaries({}, optional={"a": scalars, "b": scalars})
times = st.integers(-6, 40).map(lambda half: half * 500)  # on bucket edges, and between
rows = st.lists(st.tuples(times, st.one_of(flat, flat, objects, data)), max_size=25).map(
    lambda pairs: [
        (time, number, row) for number, (time, row) in enumerate(sorted(pairs, key=lambda it: it[0]))
    ]
)
tiers = st.sampled_from([TIERS[1_000], TIERS[10_000], TIERS[604_800_000]])
filters = st.lists(st.one_of(comparisons, patterns, computed_comparisons), max_size=1).map(tuple)
simple = st.sampled_from([Field(("a",)), Field(("b",))])
reductions = st.builds(
    Reduction,
    reduce=st.sampled_from(sorted(REDUCES)),
    type=st.just("t"),
    value=st.one_of(st.none(), simple, simple, fields, values, scalars_of_one),
    filters=filters,
    group=st.none(),
)
otherwise = st.sampled_from([None, None, "none", "", "a"])
parts = st.one_of(
    st.builds(GroupPart, st.one_of(simple, fields, values, scalars_of_one), otherwise),
    st.builds(GroupPart, st.one_of(simple, fields), otherwise, each=st.just(True)),
)
groups = st.one_of(st.just("a"), st.just(1), st.just(True), st.just(""), st.just(("a", 1)), st.just((1, "a")))
groupings = st.builds(
    Grouping,
    st.one_of(parts.map(lambda part: (part,)), st.lists(parts, min_size=2, max_size=3).map(tuple)),
    chosen=st.none() | st.lists(groups, max_size=2, unique_by=repr).map(tuple),
)
"""Of every kind; chosen groups are among those that there may be."""

grouped = st.builds(
    Reduction,
    reduce=st.sampled_from(sorted(REDUCES)),
    type=st.just("t"),
    value=st.one_of(st.none(), simple, fields, scalars_of_one),
    filters=filters,
    group=groupings,
)


@settings(max_examples=examples(400))
@given(reductions, tiers, rows, st.booleans())
def test_partials_agree_with_the_plain_definition(
    reduction: Reduction, tier: Tier, rows: list[Row], newest_first: bool
) -> None:
    made = partials(reduction, tier, _block(rows, newest_first))
    plain = plain_partials(reduction, tier, rows)
    assert made.keys() == plain.keys()
    for start, partial in plain.items():
        _assert_agree(reduction, made[start], partial)


@given(reductions, tiers, rows)
def test_a_reduce_without_a_fast_way_agrees_with_the_plain_definition(
    reduction: Reduction, tier: Tier, rows: list[Row]
) -> None:
    with patch.dict(FAST, clear=True):
        made = partials(reduction, tier, _block(rows))
    plain = plain_partials(reduction, tier, rows)
    assert made.keys() == plain.keys()
    for start, partial in plain.items():
        _assert_agree(reduction, made[start], partial)


@settings(max_examples=examples(300))
@given(grouped, tiers, rows, st.booleans())
def test_partials_of_groups_agree_with_the_plain_definition(
    reduction: Reduction, tier: Tier, rows: list[Row], newest_first: bool
) -> None:
    made = grouped_partials(reduction, tier, _block(rows, newest_first))
    plain = plain_grouped_partials(reduction, tier, rows)
    assert {start: set(groups) for start, groups in made.items()} == {
        start: set(groups) for start, groups in plain.items()
    }
    for start, groups in plain.items():
        for key, partial in groups.items():
            _assert_agree(reduction, made[start][key], partial)


@given(reductions, tiers, rows, st.integers(0, 25))
def test_merged_parts_of_a_block_agree_with_the_whole(
    reduction: Reduction, tier: Tier, rows: list[Row], cut: int
) -> None:
    whole = partials(reduction, tier, _block(rows))
    parts = [partials(reduction, tier, _block(part)) for part in (rows[:cut], rows[cut:])]
    assert whole.keys() == parts[0].keys() | parts[1].keys()
    for start, partial in whole.items():
        pieces = [part[start] for part in parts if start in part]
        _assert_agree(reduction, REDUCES[reduction.reduce].merge(pieces), partial)


def _block(rows: list[Row], newest_first: bool = False) -> Block:
    ordered = rows[::-1] if newest_first else rows
    instants = np.array([time for time, _, _ in ordered], dtype=np.int64)
    return Block(instants, [row for _, _, row in ordered], [number for _, number, _ in ordered])


def _assert_agree(reduction: Reduction, made: Partial, plain: Partial) -> None:
    reduce = REDUCES[reduction.reduce]
    argument = 0.25 if reduction.reduce == "quantile" else None
    # A variance cannot be known better than the square of what rounding leaves of the mean.
    slack = 1e-28 * plain[1] * plain[1] if reduction.reduce in ("variance", "stddev") else 0.0
    expected: Any = reduce.finish(plain, argument)
    if reduction.reduce == "stddev":
        slack **= 0.5
    assert reduce.finish(made, argument) == (
        None if expected is None else pytest.approx(expected, rel=1e-9, abs=min(slack, 1e290))
    )
    if reduction.reduce in ("distinct", "median", "quantile", "first", "last", "count", "min", "max"):
        assert made == plain
