"""Runs of JSON values, as senders of logs write them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cube.json_lines import MAX_WORK, NotJson, values_of

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@given(st.lists(VALUES, min_size=2, max_size=6), st.sampled_from(["\n", "\r\n", "\n\n", ",\n", "\x1e", " "]))
def test_values_are_the_same_whatever_stands_between_them(values: list[Any], between: str) -> None:
    for indent in (None, 2):
        text = between.join(json.dumps(value, indent=indent) for value in values)
        assert list(values_of(text.encode())) == values


def test_objects_need_nothing_between_them() -> None:
    assert list(values_of(b'{"a": 1}{"a": 2}[3]')) == [{"a": 1}, {"a": 2}, [3]]


@pytest.mark.parametrize("text", [b'[{"a": 1}, 2]', b' \n[{"a": 1},\n2]\n', b'\xef\xbb\xbf{"a": 1}\n2\n'])
def test_an_array_that_is_all_is_its_items(text: bytes) -> None:
    assert list(values_of(text)) == [{"a": 1}, 2]


def test_what_is_no_json_costs_its_line_alone() -> None:
    text = b'{"a": 1}\nGET / 200\n{"a":\n 2}\n{"a": 3, "b": }\n{"a": "\xff"}\n\n{"a": 4'
    found = list(values_of(text))
    assert [each for each in found if not isinstance(each, NotJson)] == [
        {"a": 1},
        {"a": 2},
        {"a": "\udcff"},
    ]
    unread = [each for each in found if isinstance(each, NotJson)]
    assert [each.text for each in unread] == ["GET / 200", '{"a": 3, "b": }', '{"a": 4']
    assert unread[0].reason == (
        "Got text that is not JSON: expecting value; accepted are JSON values one by one."
    )


@pytest.mark.parametrize("line", ['{"a":"b', '"', "[1,", "x", '{"a":[{'])
def test_what_never_ends_is_not_looked_at_again_for_each_of_its_lines(
    line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that is looked at in vain is bounded; then the rest is one fault."""
    looked: list[int] = []
    from cube import json_lines

    reached = json_lines._reached

    def counted(error: Any, length: int) -> int:
        looked.append(reached(error, length))
        return looked[-1]

    monkeypatch.setattr(json_lines, "_reached", counted)
    text = (line + "\n") * 4_000
    list(values_of(text.encode()))
    assert len([at for at in looked if at == len(text)]) <= MAX_WORK + 1


def test_values_nested_without_end_are_no_fault() -> None:
    for levels in (500, 990, 5_000, 100_000):
        list(values_of(b'{"a": 1}\n' + b"[" * levels + b"]" * levels + b"x\n" + b'{"a":' * levels))
