"""How foreign names become types."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from collector.protocols.shared.naming import slug
from cube.model.event import is_type


@pytest.mark.parametrize(
    ("name", "type"),
    [
        ("page-view", "page_view"),
        ("userID", "user_id"),
        ("HTTPServer", "http_server"),
        ("Item Purchased", "item_purchased"),
        ("com.acme.Order", "com_acme_order"),
        ("checkout: step 1/2", "checkout_step_1_2"),
        ("2nd visit", "e_2nd_visit"),
        ("", "event"),
        ("x" * 64, "x" * 64),
        # What has lost anything ends in a hash of the whole name.
        ("Café  ouvert!", "cafe_ouvert_x084be080c1"),
        ("+1", "e_1_xc59dc4e44f"),
        ("日本", "event_xcf2abf0c5b"),
        ("_private_", "private_xe8ca11a584"),
        ("x" * 80, "x" * 52 + "_xd929cdeea7"),
        ("e 1", "e_1_x31aba80acc"),
        ("a_x0123456789", "a_x0123456789_x3ad289cfc8"),
    ],
)
def test_a_name_becomes_a_type(name: str, type: str) -> None:
    assert slug(name) == type
    assert is_type(type)


NAMES = st.text(max_size=8) | st.text("aAbB1 -_.+é価", max_size=6)


@given(NAMES, NAMES)
@example("+1", "-1")
@example("価格", "数量")
@example("schön", "schon")
@example("1", "e 1")
@example("x" * 70, "x" * 71)
@example(slug("a+"), "a+")
@example("event", "!")
def test_two_names_are_one_type_only_if_they_are_the_same_words(one: str, other: str) -> None:
    assert is_type(slug(one))
    if slug(one) == slug(other) and one and other:
        assert _words(one) == _words(other)


def _words(name: str) -> str:
    return (
        name
        if not re.fullmatch("[A-Za-z0-9]+([ _./:-]+[A-Za-z0-9]+)*", name)
        else re.sub("[ _./:-]", "", name).lower()
    )
