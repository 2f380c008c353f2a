"""Expressions in plain words."""

from __future__ import annotations

import pytest

from cube.expression import parse_event, parse_metric
from cube.expression.explanation import explain
from cube.expression.functions import FUNCTIONS
from cube.expression.operators import OPERATORS
from cube.model.reduce import REDUCES

METRICS = {
    "sum(request)": "the number of request events",
    "count(request)": "the number of request events",
    "count(request(ms))": "the number of values of ms over the request events",
    "mean(request(ms).ge(status,500)).group(host)": (
        "the mean of ms over the request events where status is at least 500, for each host"
    ),
    "quantile(0.95,request(ms / 1000))": "the 0.95 quantile of (ms divided by 1000) over the request events",
    'count(a.or(eq(b,1),re(c,"x")).not(exists(d))) / sum(b) * 100': (
        '(the number of a events where (b is 1 or c matches "x") and not (d exists)) divided by'
        " the number of b events times 100"
    ),
    "max(a)": "the largest value of 1 over the a events",
    "max(a(sqrt(b) + 1))": "the largest value of ((the square root of b) plus 1) over the a events",
    "sum(a).group(floor(b / 100))": "the number of a events, for each bin of b that is 100 wide",
    "sum(a).group(floor(log2(b - c)))": (
        "the number of a events, for each bin of (b minus c) between powers of 2"
    ),
    "sum(a).group(round(b / 100))": (
        "the number of a events, for each value of the nearest whole number to (b divided by 100)"
    ),
    "sum(a.gt(b,c + 1))": "the number of a events where b is greater than (c plus 1)",
    "sum(a).group(b).top(3,rolling(sum(a),7d))": (
        "the number of a events, for each b; of the whole time only the 3 largest by the number of a events,"
        " over the 1w up to the end of each bucket, and the rest as one"
    ),
    "-(1 + sum(a))": "minus (1 plus the number of a events)",
    "(1 + sum(a)) * 2": "(1 plus the number of a events) times 2",
}
EVENTS = {
    "a": "the times of the a events",
    "a(*)": "all data of the a events",
    'a(b,["c d"]).in(x,[1,"y",null]).and(ne(z,true))': (
        'b and ["c d"] of the a events where x is one of [1,"y",null] and z is not true'
    ),
}


@pytest.mark.parametrize("text", METRICS)
def test_a_metric_is_said_in_words(text: str) -> None:
    assert explain(parse_metric(text)) == METRICS[text]


@pytest.mark.parametrize("text", EVENTS)
def test_events_are_said_in_words(text: str) -> None:
    assert explain(parse_event(text)) == EVENTS[text]


def test_every_reduce_operator_and_function_has_words() -> None:
    for reduce in REDUCES.values():
        argument = "0.5," if reduce.takes_probability else ""
        assert explain(parse_metric(f"{reduce.name}({argument}a(b))")).endswith(" of b over the a events")
    for operator in OPERATORS.values():
        assert "{" not in operator.words or operator.words == "{name}"
    for function in FUNCTIONS.values():
        words = explain(parse_metric(function.example))
        assert "{" not in words
        assert f"{function.name}(" not in words
