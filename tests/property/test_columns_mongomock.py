"""mongomock selects the same documents, outside the faults of its own that are listed here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import mongomock
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cube.columns import mask
from cube.columns.definition import matches
from cube.expression.nodes import Comparison, Exists, Field, Filter, Literal
from cube.model.event import ABSENT
from tests.property.columns_mongodb import comparisons_of, document, meets_array, query
from tests.property.columns_strategies import block, comparisons, compounds, data
from tests.tools import examples

FAULTS: dict[str, tuple[Filter, Any]] = {
    "true is 1": (Comparison("eq", Field(("a",)), 1), {"a": True}),
    "a range against null": (Comparison("ge", Field(("a",)), None), {}),
    "a range against an array": (Comparison("lt", Field(("a",)), ("a",)), {"a": [[2]]}),
    "nothing is missing below a scalar": (Comparison("eq", Field(("a", "b")), None), {"a": 1}),
    "an empty array as a literal": (Comparison("eq", Field(("a",)), ()), {"a": [[], 1]}),
    "a final index of nested arrays": (Comparison("eq", Field(("a", 0)), 2), {"a": [[2]]}),
}
"""By name, a filter that mongomock gets wrong, and data on which it does."""


@settings(max_examples=examples(200), deadline=None)
@given(st.lists(data, max_size=15), st.lists(compounds(comparisons), min_size=1, max_size=5))
def test_mongomock_selects_the_same(rows: list[Any], filters: list[Filter]) -> None:
    collection = _collection(rows)
    for each in filters:
        parts = comparisons_of(each)
        found = {found["_id"] for found in collection.find(query(each))}
        passed = mask([each], block(rows))
        for number, row in enumerate(rows):
            if not any(_is_faulty(part, row) for part in parts):
                assert (number in found) == passed[number], (each, row)


@pytest.mark.parametrize("name", FAULTS)
def test_the_listed_faults_are_faults_still(name: str) -> None:
    faulty, row = FAULTS[name]
    found = bool(list(_collection([row]).find(query(faulty))))
    assert found != matches(faulty, row)


def _collection(rows: list[Any]) -> Any:
    collection = mongomock.MongoClient(tz_aware=True).test.events
    if rows:
        collection.insert_many([document(number, row) for number, row in enumerate(rows)])
    return collection


def _is_faulty(filter: Comparison | Exists, row: Any) -> bool:
    if any(isinstance(part, int) for part in filter.value.path) and meets_array(filter.value, row):
        return True
    if isinstance(filter, Exists):
        return False
    scalars = list(_scalars(filter.literal))
    return (
        _confuses_booleans(scalars, row)
        or (_is_range(filter) and (filter.literal is None or isinstance(filter.literal, tuple)))
        or (None in scalars and _ends_at_scalar(filter.value, row))
        or (() in (filter.literal, *_items(filter.literal)) and meets_array(filter.value, row))
    )


def _is_range(filter: Comparison) -> bool:
    return filter.operator in ("gt", "ge", "lt", "le")


def _items(literal: Literal) -> tuple[Literal, ...]:
    return literal if isinstance(literal, tuple) else ()


def _scalars(literal: Literal) -> Iterator[Literal]:
    if isinstance(literal, tuple):
        for each in literal:
            yield from _scalars(each)
    else:
        yield literal


def _confuses_booleans(scalars: list[Literal], row: Any) -> bool:
    text = repr(row)
    booleans = any(isinstance(each, bool) for each in scalars)
    numbers = any(isinstance(each, (int, float)) and not isinstance(each, bool) for each in scalars)
    return (booleans and any(digit in text for digit in "01")) or (
        numbers and ("True" in text or "False" in text)
    )


def _ends_at_scalar(field: Field, row: Any) -> bool:
    for part in map(str, field.path):
        if not isinstance(row, dict):
            return row is not ABSENT
        row = row.get(part, ABSENT)
    return False
