"""What docs/language.md shows is what the parser does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cube.errors import InvalidExpression
from cube.expression import parse_event, parse_metric, print_expression
from cube.expression.bounds import MAX_CHARACTERS, MAX_LEVELS, MAX_NODES
from cube.expression.functions import FUNCTIONS
from cube.expression.operators import OPERATORS
from cube.expression.series_functions import SERIES_FUNCTIONS, UNITS
from cube.expression.tokens import CONDITIONS
from cube.model.reduce import REDUCES

PAGE = (Path(__file__).parents[2] / "docs" / "language.md").read_text()


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def rows(title: str) -> list[tuple[str, str]]:
    return re.findall(r"^\| `(.+?)` \| `(.+)` \|$", section(title), re.MULTILINE)


def blocks(title: str) -> list[str]:
    found = re.findall(r"^```\n(.+?)^```", section(title), re.MULTILINE | re.DOTALL)
    return [line for block in found for line in block.splitlines()]


@pytest.mark.parametrize(
    "text", [line for title in ("Metrics", "Groups", "Functions of series") for line in blocks(title)]
)
def test_every_metric_shown_parses(text: str) -> None:
    parse_metric(text)


@pytest.mark.parametrize("text", blocks("Events"))
def test_every_event_expression_shown_parses(text: str) -> None:
    parse_event(text)


@pytest.mark.parametrize(("written", "canonical"), rows("Canonical text"))
def test_every_canonical_text_shown_is_the_canonical_one(written: str, canonical: str) -> None:
    assert print_expression(parse_metric(written)) == canonical


@pytest.mark.parametrize(("text", "message"), rows("Errors"))
def test_every_error_shown_is_the_one_given(text: str, message: str) -> None:
    with pytest.raises(InvalidExpression) as caught:
        parse_metric(text)
    assert caught.value.message == message


def test_the_page_names_every_word_and_bound() -> None:
    for word in (*REDUCES, *OPERATORS, *CONDITIONS, *FUNCTIONS, *SERIES_FUNCTIONS, *UNITS):
        assert re.search(rf"\b{word}\b", section("Grammar")), word
    for bound in (MAX_CHARACTERS, MAX_LEVELS, MAX_NODES):
        assert f"{bound:,}".replace(",", " ") in section("Errors")


def test_the_examples_are_found() -> None:
    assert len(rows("Canonical text")) == 6
    assert len(rows("Errors")) == 5
    assert len(blocks("Metrics")) == 4
