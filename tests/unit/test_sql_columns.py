"""A column of SQL holds all values that it is made of, whatever they are."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cube.columns import Block, PackedBlock
from cube.errors import InvalidQuery
from cube.model.event import ABSENT
from evaluator.sql.arrow_columns import array_of, arrow_type, observed
from evaluator.sql.column_types import NOTHING, ColumnType, TypeForm, merged, type_of
from evaluator.sql.fields import KnownFields, unique
from evaluator.sql.formats import ARROW, CSV, JSON, LINES, read_format

NAMES = st.sampled_from(["a", "b", "A", "two words", "x.y"])
NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.none() | st.booleans() | NUMBERS | st.text(max_size=3)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=5,
)


def column_of(values: list[Any]) -> Any:
    block = Block(np.arange(len(values)), [{} if value is ABSENT else {"v": value} for value in values])
    return PackedBlock.of(block, [("v",)]).packed["stored", ("v",)]


def told(value: Any, type: ColumnType) -> Any:
    """Return a value as Arrow has it in a column of a type."""
    if value is None or value is ABSENT:
        return None
    match type.form:
        case TypeForm.LIST:
            return [told(item, type.items or NOTHING) for item in value]
        case TypeForm.OBJECT if type.members:
            return {name: told(value.get(name), its) for name, its in type.members.items()}
        case TypeForm.JSON | TypeForm.OBJECT:
            return value
        case TypeForm.NUMBER:
            return float(value)
        case _:
            return value


def read(value: Any, type: ColumnType) -> Any:
    """Return what Arrow has, its JSON decoded."""
    if value is None:
        return None
    match type.form:
        case TypeForm.LIST:
            return [read(item, type.items or NOTHING) for item in value]
        case TypeForm.OBJECT if type.members:
            return {name: read(value[name], its) for name, its in type.members.items()}
        case TypeForm.JSON | TypeForm.OBJECT:
            return json.loads(value)
        case _:
            return value


@settings(max_examples=60, deadline=None)
@given(st.lists(VALUES | st.just(ABSENT), min_size=1, max_size=6))
def test_every_value_is_in_the_column_as_it_is(values: list[Any]) -> None:
    column = column_of(values)
    type = observed(column)
    array = array_of(column, type)
    assert array.type == arrow_type(type)
    found = [read(value, type) for value in array.to_pylist()]
    assert found == [told(value, type) for value in values]
    assert [repr(each) for each in found if each is True or each is False] == [
        repr(value) for value in values if value is True or value is False
    ]


@settings(max_examples=60, deadline=None)
@given(VALUES, VALUES, VALUES)
def test_types_are_a_lattice(one: Any, two: Any, three: Any) -> None:
    first, second, third = map(type_of, (one, two, three))
    assert merged(first, second) == merged(second, first)
    assert merged(first, merged(first, second)) == merged(first, second)
    assert merged(merged(first, second), third) == merged(first, merged(second, third))


def test_a_wider_column_takes_the_values_of_a_narrower_one() -> None:
    column = column_of([1, 2**60])
    assert array_of(column, type_of(1.5)).to_pylist() == [1.0, float(2**60)]
    assert array_of(column, ColumnType(TypeForm.JSON)).to_pylist() == ["1", str(2**60)]
    nested = merged(type_of({"a": 1}), type_of({"a": 1.5, "b": "x"}))
    assert array_of(column_of([{"a": 2**60}, {}, None]), nested).to_pylist() == [
        {"a": float(2**60), "b": None},
        {"a": None, "b": None},
        None,
    ]


def test_stored_dates_are_times() -> None:
    moment = datetime(2026, 1, 1, 12, tzinfo=UTC)
    column = column_of([moment, None])
    assert observed(column).form is TypeForm.TIME
    assert array_of(column, observed(column)).to_pylist() == [moment, None]


def test_a_type_that_was_met_counts_as_long_as_its_day_is_as_it_was() -> None:
    known = KnownFields(sampled={"v": type_of(1)})
    known.meet("v", type_of("x"), 0, 5)
    assert known.types({0: 5})["v"].form is TypeForm.JSON
    assert known.types({0: 6})["v"].form is TypeForm.INTEGER
    assert known.types({0: 5})["v"].form is TypeForm.INTEGER


def test_names_that_are_taken_get_the_next_number() -> None:
    assert unique(["a", "A", "a_2", "time"]) == {"a": "a", "A": "A_2", "a_2": "a_2_2", "time": "time_2"}


@pytest.mark.parametrize(
    ("name", "accept", "format"),
    [
        (None, "", JSON),
        (None, "*/*", JSON),
        (None, "text/csv", CSV),
        (None, "application/json;q=0.5, application/x-ndjson", LINES),
        (None, "text/html, text/*;q=0.3, */*;q=0.1", CSV),
        (None, "text/csv;q=0, */*", JSON),
        ("arrow", "text/csv", ARROW),
    ],
)
def test_a_format_is_that_of_the_name_or_the_best_that_is_accepted(
    name: str | None, accept: str, format: str
) -> None:
    assert read_format(name, accept) == format


@pytest.mark.parametrize(("name", "accept"), [("xml", ""), (None, "image/png"), (None, "text/csv;q=0")])
def test_a_format_that_there_is_not_is_refused(name: str | None, accept: str) -> None:
    with pytest.raises(InvalidQuery, match="accepted is one of"):
        read_format(name, accept)
