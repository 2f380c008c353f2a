"""Filters of keys, and what they add to each question of their holders."""

from __future__ import annotations

from typing import Any

import pytest

from cube.columns.definition import matches
from cube.columns.key_filter import Restriction, read_filters
from cube.expression import parse_event, parse_metric, print_expression
from cube.model.environment import Caller, Environment, Key

FILTER = 'eq(["customer.id"], "acme").exists(headers["X-価"])'


def restriction(filter: str) -> Restriction:
    return Restriction.of(
        Caller(Environment("default", "test"), Key("k", b"digest", "default", filter=filter))
    )


@pytest.mark.parametrize(
    ("data", "passes"),
    [
        ({"customer.id": "acme", "headers": {"X-価": None}}, True),
        ({"customer.id": "other", "headers": {"X-価": 1}}, False),
        ({"customer": {"id": "acme"}, "headers": {"X-価": 1}}, False),
        ({"customer.id": "acme", "headers": {"x-価": 1}}, False),
    ],
)
def test_a_filter_reaches_a_property_of_any_name_and_no_other(data: Any, passes: bool) -> None:
    assert all(matches(each, data) for each in read_filters(FILTER)) is passes


def test_what_it_adds_is_a_part_of_the_question() -> None:
    added = '.eq(["customer.id"],"acme").exists(headers["X-価"])'
    metric = restriction(FILTER).metric(parse_metric('sum(request(["a b"])) / count(request)'))
    assert print_expression(metric) == f'sum(request(["a b"]){added}) / count(request{added})'
    assert print_expression(restriction(FILTER).event(parse_event("request(*)"))) == f"request(*){added}"
