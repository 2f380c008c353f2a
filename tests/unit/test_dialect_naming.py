"""How foreign names become types."""

from __future__ import annotations

import pytest

from collector.dialects.naming import slug
from cube.event import is_type


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
