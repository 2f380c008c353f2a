"""Functions of series: what they are said to be, and what they may not stand around."""

from __future__ import annotations

import pytest

from cube.errors import InvalidExpression
from cube.expression import parse_metric, print_expression
from cube.expression.explanation import explain
from cube.expression.series_functions import SERIES_FUNCTIONS, SeriesFunction, calls


@pytest.mark.parametrize("function", SERIES_FUNCTIONS.values(), ids=lambda each: each.name)
def test_an_example_is_an_expression_with_the_function(function: SeriesFunction) -> None:
    tree = parse_metric(function.example)
    assert parse_metric(print_expression(tree)) == tree
    assert function.name in {each.function for each in calls(tree)}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("shift(sum(a), 1w)", "the number of a events, 1w before"),
        (
            "rolling(mean(a(x)), 7d)",
            "the mean of x over the a events, over the 1w up to the end of each bucket",
        ),
        ("per(second, sum(a) + 1)", "(the number of a events plus 1) per second"),
        ("change(sum(a), percent)", "the change in percent of the number of a events from the bucket before"),
        ("change(sum(a), 1d)", "the change of the number of a events from 1d before"),
        ("fill(mean(a(x)), -1)", "the mean of x over the a events, with -1 where there is no value"),
        ("fill(sum(a), none)", "the number of a events, without a value where there are no values"),
    ],
)
def test_a_call_is_said_in_words(text: str, words: str) -> None:
    assert explain(parse_metric(text)) == words


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("rolling(rolling(sum(a), 1h), 1d)", 9),
        ("cumulative(1 + change(sum(a)))", 16),
        ("rolling(shift(fill(sum(a), 0), 1d), 7d)", 15),
        ("per(second, sum(b) * cumulative(sum(a)))", 22),
        ("per(second, per(second, sum(a)))", 13),
        ("per(second, fill(rolling(sum(a), 1h), 0))", 18),
    ],
)
def test_what_means_nothing_is_refused_where_it_stands(text: str, column: int) -> None:
    with pytest.raises(InvalidExpression) as refused:
        parse_metric(text)
    assert (refused.value.line, refused.value.column) == (1, column)


@pytest.mark.parametrize(
    "text",
    [
        "per(second, rolling(sum(a), 5m) - shift(sum(a), 1d))",
        "rolling(per(second, shift(sum(a) / sum(b), 1d)), 7d)",
        "per(minute, change(rolling(sum(a), 5m)))",
        "fill(change(fill(rolling(sum(a), 5m), none), 1d, percent), previous)",
        "shift(cumulative(sum(a)), 1d) / cumulative(sum(a))",
    ],
)
def test_what_means_something_is_taken(text: str) -> None:
    parse_metric(text)
