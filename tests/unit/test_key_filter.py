"""Filters of keys, and what they add to each question of their holders."""

from __future__ import annotations

from typing import Any

import pytest

from cube.columns.definition import matches
from cube.columns.key_filter import Restriction, read_filters
from cube.errors import AccessDenied
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


def test_a_filter_may_be_of_what_is_computed() -> None:
    filter = 'eq(lower(customer),"acme").ge(number(level),2)'
    passed = read_filters(filter)
    assert all(matches(each, {"customer": "ACME", "level": "3"}) for each in passed)
    assert not all(matches(each, {"customer": "ACME", "level": "x"}) for each in passed)
    added = f".{filter}"
    metric = restriction(filter).metric(parse_metric("share(request.ge(status,500))"))
    assert print_expression(metric) == f"sum(request.ge(status,500){added}) / sum(request{added})"


def test_a_ranking_goes_by_what_its_holder_may_see() -> None:
    asked = parse_metric("sum(a).group(x).top(2, sum(b.eq(y, 1)) / sum(b))")
    metric = restriction('eq(c,"acme")').metric(asked)
    added = '.eq(c,"acme")'
    assert print_expression(metric) == (
        f"sum(a{added}).group(x).top(2,sum(b.eq(y,1){added}) / sum(b{added}))"
    )
    only = Key("k", b"digest", "default", types=frozenset("a"))
    with pytest.raises(AccessDenied, match="b"):
        Restriction.of(Caller(Environment("default", "test"), only)).metric(asked)
