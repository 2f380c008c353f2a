"""Names stand for trees: a text with names means what it means with each in brackets in its place."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cube.errors import InvalidExpression, InvalidRequest
from cube.expression import parse_metric, print_expression
from cube.expression.definitions import Definitions, check_definition_name
from tests.tools import examples

TEXTS = {
    "errors": "sum(request.ge(status, 500))",
    "error_rate": "errors / sum(request)",
    "difference": "errors - sum(request)",
    "weekly": "shift(error_rate, 1w)",
    "one": "1",
}
names = st.sampled_from(sorted(TEXTS))
texts = st.recursive(
    names | st.sampled_from(["2", "sum(errors)", "mean(error_rate(one))"]),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/"]), inner).map(" ".join),
        inner.map("-{}".format),
        inner.map("({})".format),
        inner.map("change({}, 1h)".format),
    ),
    max_leaves=4,
)


def written_out(text: str) -> str:
    """A text with every name, behind which no bracket stands and which is in no reduction, in its place."""
    name = re.compile(rf"(?<!\w)(?:{'|'.join(TEXTS)})(?![\w(])")
    reduction = re.compile(r"(?:sum|mean)\((?:[^()]|\([^()]*\))*\)(?:\.\w+\([^()]*\))*")
    for _ in range(len(TEXTS)):
        reductions = reduction.findall(text)
        text = name.sub(lambda found: f"({TEXTS[found[0]]})", reduction.sub("<>", text))
        parts = text.split("<>")
        text = parts[0] + "".join(map("".join, zip(reductions, parts[1:], strict=True)))
    return text


@settings(max_examples=examples(100))
@given(texts)
def test_a_name_is_as_good_as_its_expression_in_brackets(text: str) -> None:
    plain = written_out(text)
    assume(plain.count("(") + plain.count("-") <= 50)
    expected = parse_metric(plain)
    found = parse_metric(text, Definitions(TEXTS))
    assert print_expression(found) == print_expression(expected)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({"a": "a + 1"}, "The definition of a uses itself: a → a; the name stands at line 1, column 5"),
        ({"a": "b", "b": "2 * a"}, "The definition of a uses itself: a → b → a; the name stands at"),
        ({"a": "sum("}, "The definition of a is not valid. Expected a type"),
        ({"a": "b", "b": "gone"}, "The definition of b is not valid. Expected"),
    ],
)
def test_a_name_that_stands_for_nothing_is_refused_where_it_is_used(
    texts: dict[str, str], message: str
) -> None:
    with pytest.raises(InvalidExpression) as refused:
        parse_metric("1 + a", Definitions(texts))
    assert refused.value.message.startswith(message)
    assert refused.value.column == 5


def test_names_are_told_where_one_is_expected_and_only_where_there_are_any() -> None:
    with pytest.raises(InvalidExpression, match=r'or a saved name \(one, two\), found "three"'):
        parse_metric("three", Definitions({"two": "2", "one": "1"}))
    with pytest.raises(InvalidExpression) as refused:
        parse_metric("three", Definitions({}))
    assert "a saved name" not in refused.value.message


def test_a_name_of_plain_reductions_may_rank_groups() -> None:
    found = parse_metric("sum(hit).group(host).top(2, 2 * error_rate)", Definitions(TEXTS))
    ranking = "2 * (sum(request.ge(status,500)) / sum(request))"
    assert print_expression(found) == f"sum(hit).group(host).top(2,{ranking})"
    assert parse_metric("sum(hit).group(host).top(2, weekly)", Definitions(TEXTS))
    for refused in ("grouped", "steps"):
        texts = {**TEXTS, "grouped": "sum(hit).group(path)", "steps": "funnel(user, 1h, hit, hit)"}
        with pytest.raises(InvalidExpression, match="without groups") as error:
            parse_metric(f"sum(hit).group(host).top(2, {refused})", Definitions(texts))
        assert error.value.column == 29


def test_bounds_are_those_of_what_names_stand_for() -> None:
    wide = Definitions({"a": "+".join(["1"] * 400), "b": "a + a + a"})
    with pytest.raises(InvalidExpression, match="nodes"):
        parse_metric("b", wide)
    deep = Definitions({"a": "change(" * 30 + "1" + ")" * 30, "b": "change(" * 30 + "a" + ")" * 30})
    with pytest.raises(InvalidExpression, match="levels"):
        parse_metric("b", deep)


def test_a_window_in_a_name_is_refused_within_another() -> None:
    with pytest.raises(InvalidExpression, match=r"Got rolling\(…\) within rolling"):
        parse_metric("rolling(r, 1d)", Definitions({"r": "rolling(sum(a), 1h)"}))


@pytest.mark.parametrize(
    "name",
    ["", "A", "1a", "a-b", "sum", "shift", "share", "quantiles", "funnel", "session", "a" * 65, "ä", "a\n"],
)
def test_a_name_that_would_be_mistaken_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest):
        check_definition_name(name)
