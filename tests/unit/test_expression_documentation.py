"""What docs/language.md shows is what the parser does."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from cube.columns import Block, states
from cube.errors import InvalidExpression
from cube.expression import parse_event, parse_metric, print_expression
from cube.expression.bounds import MAX_CHARACTERS, MAX_LEVELS, MAX_NODES
from cube.expression.definitions import Definitions
from cube.expression.functions import FUNCTIONS
from cube.expression.nodes import Reduction
from cube.expression.operators import CONDITIONS, OPERATORS
from cube.expression.printer import print_number
from cube.expression.sequence_functions import SEQUENCE_FUNCTIONS
from cube.expression.series_functions import SERIES_FUNCTIONS, UNITS
from cube.expression.value_types import NUMBER
from cube.model import instant
from cube.model.reduce import REDUCES
from cube.model.tier import DAY
from tests.docs.blocks import of

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


UNTITLED = [
    line.partition("   ")[0]
    for block in of("docs/language.md", "")
    for line in block.text.splitlines()
    if line[:1] not in (" ", "{") and ":=" not in block.text
]
NAMED = [block.text for block in of("docs/language.md", "named")]


def test_every_line_of_every_block_is_an_expression() -> None:
    """But events, and the grammar."""
    assert len(UNTITLED) > 25
    for line in UNTITLED:
        word = re.match(r"\w*", line)
        assert word
        is_event = word[0].isidentifier() and word[0] not in {
            *REDUCES,
            *SERIES_FUNCTIONS,
            *SEQUENCE_FUNCTIONS,
        }
        (parse_event if is_event else parse_metric)(line)


def test_every_line_with_a_name_is_a_metric_where_the_name_is_one() -> None:
    names = Definitions({"error_rate": "sum(request.ge(status, 500)) / sum(request)"})
    lines = "".join(NAMED).splitlines()
    assert len(lines) > 1
    for line in lines:
        parse_metric(line, names)


@pytest.mark.parametrize(("written", "canonical"), rows("Canonical text"))
def test_every_canonical_text_shown_is_the_canonical_one(written: str, canonical: str) -> None:
    assert print_expression(parse_metric(written)) == canonical


@pytest.mark.parametrize(("text", "message"), rows("Errors"))
def test_every_error_shown_is_the_one_given(text: str, message: str) -> None:
    with pytest.raises(InvalidExpression) as caught:
        parse_metric(text)
    assert caught.value.message == message


EVENTS = [line for line in blocks("Values") if line.startswith("{")]
AT = instant.parse("2026-03-29T01:30:00Z")


@pytest.mark.parametrize(("text", "expected"), rows("Values"))
def test_every_example_of_values_is_what_it_gives(text: str, expected: str) -> None:
    tree = parse_metric(text)
    assert isinstance(tree, Reduction)
    block = Block.from_json([AT] * len(EVENTS), EVENTS)
    ((_, found),) = states(tree, DAY, block).items()
    finish = REDUCES[tree.reduce].finish
    values = {key: finish(partial, None) for key, partial in found.items()}
    told = [f"{json.dumps(key[1])}: {print_number(value)}" for key, value in values.items() if key and value]
    assert (", ".join(sorted(told)) or print_number(values[None] or 0)) == expected


def test_every_function_has_its_row_and_its_example() -> None:
    for function in FUNCTIONS:
        assert f"`{function}(" in section("Values")
        if FUNCTIONS[function].parameters != (NUMBER,):
            assert any(f"{function}(" in text for text, _ in rows("Values")), function


def test_the_page_names_every_word_and_bound() -> None:
    for word in (*REDUCES, *OPERATORS, *CONDITIONS, *FUNCTIONS, *SERIES_FUNCTIONS, *UNITS):
        assert re.search(rf"\b{word}\b", section("Grammar")), word
    for bound in (MAX_CHARACTERS, MAX_LEVELS, MAX_NODES):
        assert f"{bound:,}".replace(",", " ") in section("Errors")


def test_the_examples_are_found() -> None:
    assert len(rows("Canonical text")) == 6
    assert len(rows("Errors")) == 5
    assert len(blocks("Metrics")) == 4
