"""Boards as values, and the variables in their expressions."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import evaluator
from cube.errors import InvalidRequest, TooLarge
from cube.expression.operators import CONDITIONS, OPERATORS
from cube.expression.variables import substituted
from cube.model.board import MOST_BYTES, Board, check_name

CASES = json.loads((Path(__file__).parent / "board_variables.json").read_text())
WHOLE = {
    "version": 1,
    "title": "Shop <b>é</b>",
    "charts": [
        {"expressions": ["sum(a.eq(host, $host))", "not parsed("], "chart": "area", "width": 12, "height": 3},
        {"expressions": ["sum(a)"], "title": "All", "compare": "7d", "step": 60_000},
    ],
    "variables": [{"name": "host", "type": "a", "field": "host", "value": "web1"}],
    "span": "6h",
}


def read(**changes: Any) -> Board:
    return Board.parse(json.dumps({"title": "t"} | changes))


@pytest.mark.parametrize(("text", "values", "expected"), CASES)
def test_variables_stand_for_their_values(text: str, values: dict[str, Any], expected: str) -> None:
    assert substituted(text, values) == expected


def test_the_page_knows_the_same_filters() -> None:
    text = (Path(evaluator.__file__).parent / "pages/board-text.js").read_text()
    (listed,) = re.findall(r"^const FILTERS = (\[.*?\]);$", text, re.MULTILINE)
    assert set(json.loads(listed)) == {*OPERATORS, *CONDITIONS}


def test_a_text_full_of_variables_takes_no_longer_than_another_of_its_length() -> None:
    many = 30_000  # in time that grows with the square of it, minutes
    assert substituted("a.eq($x)" * many + "($x" * many, {"x": None}) == "a" * many + "($x" * many
    opened = "sum(a" + ".f(.eq(" * many
    assert substituted(opened + "$x " * many, {"x": None}) == opened.removesuffix(".eq(")


def test_a_board_is_written_as_it_was_read() -> None:
    board = Board.parse(json.dumps(WHOLE))
    assert json.loads(board.text()) == WHOLE
    assert Board.parse(board.text()) == board


@pytest.mark.parametrize(
    "changes",
    [
        {"title": ""},
        {"title": None},
        {"colour": "red"},
        {"span": "6 hours"},
        {"span": "1h\n"},
        {"version": 2},
        {"charts": [{}]},
        {"charts": [{"expressions": []}]},
        {"charts": [{"expressions": ["a"], "chart": "pie"}]},
        {"charts": [{"expressions": ["a"], "width": 13}]},
        {"charts": [{"expressions": ["a"], "step": 7}]},
        {"charts": [{"expressions": ["a"]}] * 61},
        {"variables": [{"name": "a b", "type": "t", "field": "f"}]},
        {"variables": [{"name": "a", "type": "t", "field": "f"}] * 2},
    ],
)
def test_a_board_that_is_not_valid_is_refused_with_a_sentence(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match="^Got .*; accepted is .*\\.$"):
        read(**changes)


@pytest.mark.parametrize(
    "changes", [{"x" * 60_000: 1}, {"charts": [{"expressions": ["1"], "chart": "x" * 60_000}]}]
)
def test_a_refusal_is_short_whatever_was_sent_and_says_where(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read(**changes)
    assert len(refused.value.message) < 500
    assert ("$.charts[0].chart" in refused.value.message) is ("charts" in changes)


def test_a_board_is_bounded_and_a_name_is_a_plain_one() -> None:
    with pytest.raises(TooLarge):
        read(title="a" * MOST_BYTES)
    assert check_name("web-1") == "web-1"
    for name in ("", "Web", "-a", "a/b", "ä", "a" * 65):
        with pytest.raises(InvalidRequest):
            check_name(name)
