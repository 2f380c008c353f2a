"""How foreign names become types and property names."""

from __future__ import annotations

from typing import Any

import pytest

from collector.dialects.naming import named, property_name, slug
from cube.errors import InvalidEvent
from cube.event import Event, is_type


@pytest.mark.parametrize(
    ("name", "type"),
    [
        ("page-view", "page_view"),
        ("userID", "user_id"),
        ("HTTPServer", "http_server"),
        ("Item Purchased", "item_purchased"),
        ("com.acme.Order", "com_acme_order"),
        ("Café  ouvert!", "cafe_ouvert"),
        ("2nd visit", "e_2nd_visit"),
        ("日本", "event"),
        ("", "event"),
        ("_private_", "private"),
        ("x" * 80, "x" * 64),
        ("x" * 63 + "-y", "x" * 63),
    ],
)
def test_a_name_becomes_a_type(name: str, type: str) -> None:
    assert slug(name) == type
    assert is_type(type)


@pytest.mark.parametrize(
    ("name", "fit"),
    [("user.id", "user_id"), ("a - b", "a_b"), ("1st", "_1st"), ("", "_"), ("ok$1", "ok$1")],
)
def test_a_name_becomes_a_property(name: str, fit: str) -> None:
    assert property_name(name) == fit


def test_of_names_that_become_one_each_keeps_its_value() -> None:
    assert named({"a.b": 1, "a-b": 2, "a_b": 3, "a_b_2": 4}) == {
        "a_b": 1,
        "a_b_2": 2,
        "a_b_3": 3,
        "a_b_2_2": 4,
    }


def test_many_names_that_become_one_take_no_long_search() -> None:
    many = named({chr(0x4E00 + number): number for number in range(20_000)})
    assert len(many) == 20_000
    assert many["__20000"] == 19_999


def test_what_is_nested_deeper_than_data_may_be_is_left_to_be_refused() -> None:
    value: Any = 1
    for _ in range(700):
        value = {"a b": [value]}
    with pytest.raises(InvalidEvent, match="nested more than 50 levels"):
        Event.parse({"type": "a", "data": named(value)}, now=0)


def test_names_are_made_fit_as_deep_as_data_may_be() -> None:
    value: Any = {"a b": 1}
    for _ in range(49):
        value = {"a b": value}
    assert Event.parse({"type": "a", "data": named(value)}, now=0).data["a_b"]
