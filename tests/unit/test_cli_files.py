"""What commands write into files says the files' names; what they show of events, the expression."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any, cast

import pytest
from click.testing import CliRunner

from cube.cli import sql
from cube.cli.event_expression import metric_expected, with_data
from cube.cli.main import main
from cube.errors import InvalidExpression, InvalidRequest
from cube.exporting.formats import format_of


@pytest.mark.parametrize(
    ("name", "made"),
    [("a.csv", "csv"), ("A.PARQUET", "parquet"), ("a.json", "json"), ("a.jsonl", "json"), ("a", "json")],
)
def test_the_name_of_a_file_says_what_is_in_it(name: str, made: str) -> None:
    assert format_of(None, Path(name)) == made


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.csv.zst", "a.xlsx", "a.arrow"])
def test_a_name_that_says_what_would_not_be_in_it_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest, match=r"accepted are names that end in \.csv"):
        format_of(None, Path(name))
    assert format_of("csv", Path(name)) == "csv"


@pytest.mark.parametrize(
    ("name", "made"),
    [("a.csv", "csv"), ("a.arrow", "arrow"), ("a.parquet", "parquet"), ("a.json", "json"), ("a", "jsonl")],
)
def test_answers_of_statements_heed_the_name(name: str, made: str) -> None:
    assert sql.format_in(Path(name)) == made


@pytest.mark.parametrize(
    ("expression", "whole"),
    [
        ("request", "request(*)"),
        ("request.eq(status, 500)", "request(*).eq(status,500)"),
        ("request( path )", "request( path )"),
        ("request(*)", "request(*)"),
    ],
)
def test_an_expression_without_fields_is_shown_with_all_data(expression: str, whole: str) -> None:
    assert with_data(expression) == ("request", whole)


@pytest.mark.parametrize("word", ["exit", "QUIT;", ".quit", "\\q"])
def test_the_words_that_end_other_shells_end_this_one(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    words = iter([word])
    monkeypatch.setattr(builtins, "input", lambda _: next(words))
    sql._shell(cast("Any", None), "table")


def test_statements_make_no_store_that_is_not_there(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["sql", "--store", f"sqlite:{tmp_path / 'typo'}", "SELECT 1"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert "accepted is one that a daemon has made" in result.stderr
    assert not (tmp_path / "typo").exists()


@pytest.mark.parametrize(
    ("expression", "is_told"),
    [("request", True), ("request.eq(a, 1)", True), ("summ(request)", False), ("sum(request", False)],
)
def test_who_gives_events_for_a_metric_is_told_how_they_become_one(expression: str, is_told: bool) -> None:
    with pytest.raises(InvalidExpression) as raised, metric_expected(expression):
        raise InvalidExpression("Expected a reduce.", line=1, column=1)
    assert raised.value.message.startswith("Expected a reduce")
    assert (f"sum({expression}) is how many" in raised.value.message) is is_told


def test_a_name_whose_definition_is_not_valid_is_taken_for_no_type() -> None:
    with pytest.raises(InvalidExpression) as raised, metric_expected("rate"):
        raise InvalidExpression("The definition of rate is not valid.", line=1, column=1)
    assert raised.value.message == "The definition of rate is not valid."
