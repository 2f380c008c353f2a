"""What filters mean, by example: MongoDB's semantics on ``d.<field>``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from cube.columns import Block, check, mask
from cube.columns.definition import matches
from cube.errors import InvalidQuery, InvalidRequest
from cube.expression import parse_event, parse_metric
from cube.model.event import ABSENT

DATE = datetime(2011, 7, 18, tzinfo=UTC)

PASSING: dict[str, list[Any]] = {
    "t.eq(a, 1)": [{"a": 1}, {"a": 1.0}, {"a": [2, 1]}],
    "t.eq(a, null)": [{"a": None}, {}, ABSENT, None, 5, {"b": 1}, {"a": [None]}],
    "t.eq(a.b, null)": [{}, {"a": {}}, {"a": 5}, {"a": [{"b": 1}, {"c": 1}]}, {"a": None}],
    "t.eq(a.b, 1)": [{"a": {"b": 1}}, {"a": [{"b": 1}]}, {"a": [3, {"b": [2, 1]}]}, [{"a": {"b": 1}}]],
    "t.eq(a[1], 2)": [{"a": [1, 2]}, {"a": {"1": 2}}, {"a": [{"1": 2}]}],
    "t.eq(a[0].b, 1)": [{"a": [{"b": 1}]}, {"a": [[{"b": 1}]]}, {"a": {"0": {"b": 1}}}],
    "t.eq(a[0], [1])": [{"a": [[1]]}],
    "t.eq(a, [1, [2]])": [{"a": [1, [2]]}, {"a": [[1, [2]]]}],
    "t.eq(a, 9007199254740993)": [{"a": 2**53 + 1}],
    "t.gt(a, 9007199254740992)": [{"a": 2**53 + 1}, {"a": 2.0**53 + 2}, {"a": float("inf")}],
    "t.ge(a, null)": [{"a": None}, {}, ABSENT],
    "t.le(a, null)": [{"a": None}, {}, ABSENT],
    "t.gt(a, false)": [{"a": True}],
    "t.le(a, true)": [{"a": True}, {"a": False}],
    't.gt(a, "b")': [{"a": "c"}, {"a": "ba"}, {"a": "é"}, {"a": ["a", "c"]}],
    't.lt(a, "\\ud83d\\ude00")': [{"a": "\uffff"}],  # by code points, not by UTF-16 units
    "t.gt(a, [1, 2])": [{"a": [1, 3]}, {"a": [1, 2, None]}, {"a": ["a"]}, {"a": [[2]]}, {"a": [1, {}]}],
    "t.lt(a, [1])": [{"a": []}, {"a": [None, 9]}, {"a": [0]}, {"a": [float("nan")]}],
    "t.ne(a, 1)": [{"a": 2}, {}, {"a": None}, {"a": [2, 3]}, {"a": "1"}, {"a": True}],
    "t.in(a, [1, null])": [{"a": 1}, {"a": None}, {}, {"a": [5, 1]}],
    "t.in(a, [[1]])": [{"a": [1]}, {"a": [[1]]}],
    't.in(a, ["x", true, 2.5])': [{"a": "x"}, {"a": True}, {"a": 2.5}],
    "t.in(a, [])": [],
    "t.nin(a, [1, null])": [{"a": 2}, {"a": []}, {"a": "1"}],
    "t.exists(a)": [{"a": None}, {"a": []}, {"a": 0}, [{"a": 1}], {"a": DATE}],
    "t.exists(a.b)": [{"a": {"b": None}}, {"a": [1, {"b": 1}]}],
    "t.exists(a[0])": [{"a": [None]}, {"a": {"0": 1}}],
    't.re(a, "^b.d$")': [{"a": "bad"}, {"a": ["x", "bed"]}, {"a": "béd"}],
    't.re(a, "(?i)X")': [{"a": "ax"}, {"a": "X"}],
    "t.or(eq(a, 1), eq(b, 1))": [{"a": 1}, {"b": 1}],
    "t.and(eq(a, 1), eq(b, 1))": [{"a": 1, "b": 1}, {"a": [1], "b": [0, 1]}],
    "t.not(eq(a, 1))": [{}, {"a": 2}],
    "t.gt(a, 1).gt(a, 3).lt(a, 5)": [{"a": 4}, {"a": [1, 9]}],
}
FAILING: dict[str, list[Any]] = {
    "t.eq(a, 1)": [{"a": True}, {"a": "1"}, {"a": [[1]]}, {}, ABSENT, {"a": {"b": 1}}, {"a": DATE}],
    "t.eq(a, true)": [{"a": 1}, {"a": "true"}],
    "t.eq(a, null)": [{"a": 0}, {"a": []}, {"a": {}}, {"a": False}, {"a": [[None]]}, {"a": DATE}],
    "t.eq(a.b, null)": [{"a": {"b": 1}}, {"a": []}, {"a": [1, 2]}, {"a": [{"b": 1}]}],
    "t.eq(a.b, 1)": [{"a": [[{"b": 1}]]}, {"a.b": 1}],
    "t.eq(a[0], 1)": [{"a": [[1]]}, {"a": [2, 1]}, {"a": 1}],
    "t.eq(a[0], null)": [{"a": []}, {"a": [1]}],
    "t.eq(a, [])": [{"a": [1]}, {"a": None}, {}],
    "t.eq(a, 9007199254740993)": [{"a": 2**53}, {"a": 2.0**53}],
    "t.gt(a, null)": [{"a": None}, {}, {"a": 1}],
    "t.lt(a, 5)": [{"a": None}, {}, {"a": "1"}, {"a": False}, {"a": DATE}, {"a": float("nan")}],
    "t.ge(a, [1])": [{"a": 2}, {"a": [0, 9]}],
    't.re(a, "1")': [{"a": 1}, {"a": None}, {}, {"a": {"b": "1"}}],
    't.re(a, ".")': [{"a": "\n"}, {"a": ""}],
    "t.ne(a, 1)": [{"a": [2, 1]}, {"a": 1.0}],
    "t.nin(a, [1, null])": [{}, {"a": None}, {"a": [2, 1]}],
    "t.exists(a)": [{}, ABSENT, None, "a", [], ["a"]],
    "t.exists(a[0])": [{"a": []}, {"a": "text"}],
}
CASES = [(text, row, True) for text, rows in PASSING.items() for row in rows] + [
    (text, row, False) for text, rows in FAILING.items() for row in rows
]


@pytest.mark.parametrize(("text", "row", "expected"), CASES)
def test_a_filter_means_what_mongodb_means(text: str, row: Any, expected: bool) -> None:
    filters = parse_event(text).filters
    block = Block(np.zeros(1, dtype=np.int64), [row])
    assert all(matches(each, row) for each in filters) is expected
    assert mask(filters, block).tolist() == [expected]


def test_values_that_json_does_not_have_are_present_and_equal_to_nothing() -> None:
    block = Block(np.zeros(3, dtype=np.int64), [{"a": b"1"}, {"a": object()}, {"a": DATE}])
    assert mask(parse_event("t.exists(a)").filters, block).all()
    assert not mask(parse_event('t.or(eq(a, 1), eq(a, "1"), eq(a, null), ge(a, false))').filters, block).any()


def test_integers_of_a_driver_are_integers() -> None:
    class Int64(int):
        pass

    block = Block(np.zeros(2, dtype=np.int64), [{"a": Int64(1)}, {"a": Int64(2**53 + 1)}])
    assert mask(parse_event("t.eq(a, 1)").filters, block).tolist() == [True, False]
    assert mask(parse_event("t.eq(a, 9007199254740993)").filters, block).tolist() == [False, True]


def test_an_empty_block_has_an_empty_mask() -> None:
    block = Block(np.array([], dtype=np.int64), [])
    assert mask(parse_event("t.eq(a, 1).exists(b)").filters, block).shape == (0,)


@pytest.mark.parametrize("pattern", ["(", "(?=a)", r"(a)\\1", "a{2000}", "[[:nothing:]]"])
def test_a_pattern_that_re2_refuses_is_the_callers_mistake(pattern: str) -> None:
    with pytest.raises(InvalidRequest, match="RE2"):
        check(parse_metric(f'1 + sum(t(a).not(or(exists(a), re(a, "{pattern}"))))'))


def test_the_refusal_says_why() -> None:
    with pytest.raises(InvalidQuery, match=r"missing \)") as caught:
        check(parse_event('t.re(a, "x(")'))
    assert caught.value.details == {"field": "expression"}


def test_good_patterns_pass_the_check() -> None:
    check(parse_metric('-sum(t.re(a, "^(a|b)+$")) * count(t.and(re(b, "(?i)x"))) / 2'))
