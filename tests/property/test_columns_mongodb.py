"""A server that speaks MongoDB's wire protocol selects the same documents as `cube.columns`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pymongo
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo.collection import Collection

from cube.columns import mask
from cube.columns.definition import matches
from cube.expression.nodes import Comparison, Exists, Field, Filter
from tests.mongo_server import MongoServer
from tests.property.columns_mongodb import comparisons_of, document, meets_array, query
from tests.property.columns_strategies import block, comparisons, compounds, data
from tests.tools import examples

Events = Collection[dict[str, Any]]

SECANTUS_FAULTS: dict[str, tuple[Filter, Any]] = {
    "an index past the end is missing": (Comparison("eq", Field(("a", 0)), None), {"a": []}),
    "a path is missing below an element": (Comparison("eq", Field(("a", 0, "b")), None), {"a": [1]}),
}
"""What SecantusDB finds and MongoDB does not.

Null is equal to what is missing in an object. An array that lacks an index reaches nothing at all in
MongoDB (``BSONElementIterator`` in its path.cpp; ``EqOp, MatchesNestedNull`` in its tests has the same
for names: ``{"a.b": null}`` does not match ``{a: []}`` or ``{a: [1, 2]}``), so it is equal to nothing.
"""


@pytest.fixture(scope="module")
def events() -> Iterator[Events]:
    with MongoServer() as server, pymongo.MongoClient(server.url, tz_aware=True) as client:
        yield client[server.database()].events


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    rows=st.lists(data, min_size=1, max_size=20),
    filters=st.lists(compounds(comparisons), min_size=5, max_size=12),
)
def test_the_server_selects_the_same(events: Events, rows: list[Any], filters: list[Filter]) -> None:
    events.delete_many({})
    events.insert_many([document(number, row) for number, row in enumerate(rows)])
    for each in filters:
        found = {found["_id"] for found in events.find(query(each), {"_id": True})}
        passed = mask([each], block(rows))
        for number, row in enumerate(rows):
            if not any(_is_faulty(part, row) for part in comparisons_of(each)):
                assert (number in found) == passed[number], (each, row)


@pytest.mark.parametrize("name", SECANTUS_FAULTS)
def test_only_the_tests_server_has_the_listed_faults(events: Events, name: str) -> None:
    faulty, row = SECANTUS_FAULTS[name]
    events.delete_many({})
    events.insert_one(document(0, row))
    found = events.find_one(query(faulty)) is not None
    is_secantus = "secantusVersion" in events.database.client.admin.command("buildInfo")
    assert found == is_secantus
    assert not matches(faulty, row)


def _is_faulty(filter: Comparison | Exists, row: Any) -> bool:
    return (
        isinstance(filter, Comparison)
        and (filter.literal is None or (isinstance(filter.literal, tuple) and None in filter.literal))
        and any(isinstance(part, int) for part in filter.value.path)
        and meets_array(filter.value, row)
    )
