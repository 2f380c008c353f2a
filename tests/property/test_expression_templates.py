"""Texts that are parsed by their templates have the trees, and the errors, that they have alone."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cube.errors import InvalidExpression
from cube.expression import parse_event, parse_metric, print_expression
from cube.expression.nodes import Comparison, Field, MetricExpression
from cube.expression.templates import parse_alike
from cube.expression.traversal import walk
from tests.property.test_expression_round_trip import metrics, mutated, quick

LITERALS = ["a", "b", "", "/page/1", "eq(a, 1)", "it's", ")", "'", "x.y", "\U000f0000", "é", "\\", "a\\x41"]
SHAPES = [
    "sum(t(ms).eq(path, {0}))",
    "sum(t(ms).eq(path, {0}).ne(host, {1}))",
    "count(t.or(eq( a.b ,{0}), eq(c, {1}))) / count(t.not(eq(a.b, {0})))",
    "sum(t(if(eq(a, {0}), ms, 1)).re(b, {1}))",
    "sum(t(ms).in(a, [{0}, {1}]).eq(a, {0}))",
    "sum(t(ms).eq(lower(a), {0}).eq(['a'], {1}))",
    "sum(t(ms).eq(a[b={0}], {1}))",
    "sum(t).group(eq(a, {0})) + sum(t).group(eq(a, {1}))",
    "sum(t).group(eq(a, {0}), eq(['a'], {1}))",
    "sum(t(ms).eq(a, {0}",
    "sum(t(ms).seq(a, {0}))",
    "sum(t(ms).eq(a, {0}) eq(b, {1}))",
    "count(eq(a, {0}))",
    "sum(t(ms).gt(a, {0}).ge(time(), {1}))",
]


def _made(parse: Any, text: str) -> Any:
    try:
        return parse(parse_metric, text)
    except InvalidExpression as error:
        return error.message, error.line, error.column


@given(st.sampled_from(SHAPES), st.lists(st.sampled_from(LITERALS), min_size=2, max_size=2), st.booleans())
def test_any_literals_of_one_shape_have_the_tree_or_the_error_of_their_text(
    shape: str, literals: list[str], single: bool
) -> None:
    quoted = [f"'{each}'" if single and "'" not in each else f'"{each}"' for each in literals]
    text = shape.replace("{0}", quoted[0]).replace("{1}", quoted[1])

    assert _made(parse_alike, text) == _made(lambda parse, text: parse(text), text)


@quick
@given(metrics)
def test_any_tree_is_what_its_text_parses_to_by_its_template(tree: MetricExpression) -> None:
    assert parse_alike(parse_metric, print_expression(tree)) == tree


@quick
@given(mutated())
def test_a_damaged_expression_has_its_own_error(text: str) -> None:
    assert _made(parse_alike, text) == _made(lambda parse, text: parse(text), text)


def test_texts_that_differ_in_what_fields_are_compared_with_are_parsed_once() -> None:
    parsed: list[str] = []

    def parse(text: str) -> MetricExpression:
        parsed.append(text)
        return parse_metric(text)

    for page in range(60):
        tree = parse_alike(parse, f'sum(request(ms).eq(path, "/page/{page}").ne(host, "{page}"))')
        found = [each for each in walk(tree) if isinstance(each, Comparison)]
        assert found == [
            Comparison("eq", Field(("path",)), f"/page/{page}"),
            Comparison("ne", Field(("host",)), str(page)),
        ]

    assert len(parsed) == 1


@pytest.mark.parametrize(("text", "type"), [('a.eq(b, "c")', "a"), ('a(b).eq(c, "d")', "a")])
def test_event_expressions_have_templates_too(text: str, type: str) -> None:
    assert parse_alike(parse_event, text) == parse_event(text)
    assert parse_alike(parse_event, text).type == type
