"""The quick test of a leaf never passes what the rules refuse."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cube.errors import InvalidEvent
from cube.model import event

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.sampled_from([-(2**63) - 1, -(2**63), 2**63 - 1, 2**63])
    | st.floats()
    | st.text(st.characters(codec=None, exclude_categories=()))
)


def passes_the_rules(value: Any) -> bool:
    try:
        event._check(value, "data", 1)
    except InvalidEvent:
        return False
    return True


@given(LEAVES)
def test_what_passes_quickly_passes_the_rules(value: Any) -> None:
    if event._LEAVES[type(value)](value):
        assert passes_the_rules(value)


@given(LEAVES)
def test_the_way_through_an_object_or_an_array_changes_nothing(value: Any) -> None:
    for data in ({"a": value}, [value]):
        if passes_the_rules(value):
            assert event.Event.parse({"type": "a", "data": data}, now=0).data == data or value != value
        else:
            with pytest.raises(InvalidEvent):
                event.Event.parse({"type": "a", "data": data}, now=0)
