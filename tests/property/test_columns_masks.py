"""Filters over whole blocks select what their plain definition selects."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cube.columns import Block, mask, selected
from cube.columns.column import factorise
from cube.columns.definition import matches
from cube.columns.values import canonical, read
from cube.expression.nodes import Comparison, EventExpression, Field, Filter, Relation
from cube.model.event import ABSENT
from tests.property.columns_strategies import (
    NUMBERS,
    ODD,
    TEXTS,
    block,
    comparisons,
    compounds,
    computed_comparisons,
    data,
    fields,
    nested,
    patterns,
    scalars,
)
from tests.tools import examples

near_scalars = st.one_of(st.sampled_from(NUMBERS), st.sampled_from(TEXTS), st.booleans())
near_literals = st.one_of(near_scalars, st.none())
near_comparisons = st.one_of(
    st.builds(
        Comparison,
        st.sampled_from(("eq", "ne", "gt", "ge", "lt", "le")),
        st.just(Field(("a",))),
        near_literals,
    ),
    st.builds(
        Comparison,
        st.sampled_from(("in", "nin")),
        st.just(Field(("a",))),
        st.lists(near_literals, max_size=4).map(tuple),
    ),
)
filters = compounds(st.one_of(comparisons, comparisons, computed_comparisons, patterns))


@settings(max_examples=examples(300))
@given(st.lists(data, max_size=15), st.lists(filters, min_size=1, max_size=5))
def test_a_mask_agrees_with_the_plain_definition(rows: list[Any], given: list[Filter]) -> None:
    made = block(rows)
    for each in given:
        assert mask([each], made).tolist() == [
            matches(each, row, time) for row, time in zip(rows, made.times.tolist(), strict=True)
        ]


@settings(max_examples=examples(300))
@given(st.lists(scalars, max_size=15), st.lists(near_comparisons, min_size=1, max_size=5))
def test_a_mask_of_scalars_agrees_with_the_plain_definition(stored: list[Any], given: list[Filter]) -> None:
    rows = [{"a": value} for value in stored]
    for each in given:
        assert mask([each], block(rows)).tolist() == [matches(each, row) for row in rows]


@settings(max_examples=examples(200))
@given(st.lists(st.tuples(near_scalars, near_scalars), max_size=15))
def test_two_scalars_compare_as_by_the_plain_definition(pairs: list[tuple[Any, Any]]) -> None:
    rows = [{"a": one, "b": other} for one, other in pairs]
    for operator in ("eq", "ne", "gt", "ge", "lt", "le"):
        relation = Relation(operator, Field(("a",)), Field(("b",)))
        assert mask([relation], block(rows)).tolist() == [matches(relation, row) for row in rows]


def test_numbers_that_floats_do_not_tell_apart_are_compared_exactly() -> None:
    rows = [{"a": 2**53 + one, "b": 2**53 + other} for one, other in ((0, 1), (1, 0), (1, 1))]
    for operator, passed in {"eq": [0, 0, 1], "ne": [1, 1, 0], "lt": [1, 0, 0], "ge": [0, 1, 1]}.items():
        relation = Relation(operator, Field(("a",)), Field(("b",)))
        assert mask([relation], block(rows)).tolist() == [bool(each) for each in passed]
        assert [matches(relation, row) for row in rows] == [bool(each) for each in passed]


@given(st.lists(nested, max_size=15) | st.lists(near_scalars, max_size=15))
def test_equal_keys_and_no_others_get_equal_codes(stored: list[Any]) -> None:
    codes, keys = factorise(stored, canonical)
    assert [keys[code] for code in codes] == [canonical(value) for value in stored]
    assert len(set(keys)) == len(keys)


@given(st.lists(data, max_size=15), st.lists(filters, max_size=3))
def test_all_filters_apply_together(rows: list[Any], given: list[Filter]) -> None:
    made = block(rows)
    timed = zip(rows, made.times.tolist(), strict=True)
    expected = [all(matches(each, row, time) for each in given) for row, time in timed]
    assert mask(given, made).tolist() == expected


@given(st.lists(data, max_size=15), st.lists(fields, max_size=2), st.lists(filters, max_size=1))
def test_an_event_expression_selects_events_that_have_its_fields(
    rows: list[Any], shown: list[Field], given: list[Filter]
) -> None:
    expression = EventExpression("t", tuple(shown), tuple(given))
    made = block(rows)
    expected = [
        all(matches(each, row, time) for each in given)
        and all(read(row, field.path) is not ABSENT for field in shown)
        for row, time in zip(rows, made.times.tolist(), strict=True)
    ]
    assert selected(expression, made).tolist() == expected


@given(st.lists(data, max_size=15), st.lists(filters, min_size=1, max_size=5))
def test_a_block_of_json_with_only_the_needed_fields_selects_the_same(
    rows: list[Any], given: list[Filter]
) -> None:
    texts = [None if row is ABSENT else msgspec.json.encode(_dateless(row)).decode() for row in rows]
    whole = Block.from_json(range(len(rows)), texts)
    narrow = Block.from_json(range(len(rows)), texts, fields=["a", "b", ODD])
    for each in given:
        assert np.array_equal(mask([each], narrow), mask([each], whole))


def _dateless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _dateless(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_dateless(each) for each in value]
    return value.isoformat() if isinstance(value, datetime) else value
