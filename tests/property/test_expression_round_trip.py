"""Every tree has a text, every text a tree or a refusal."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from cube.errors import InvalidExpression
from cube.expression import parse_event, parse_metric, print_expression
from cube.expression.bounds import MAX_CHARACTERS, MAX_LEVELS
from cube.expression.functions import FUNCTIONS
from cube.expression.grouping import UnjoinableGroups, grouped_by, ranked
from cube.expression.nodes import (
    And,
    Call,
    Cohorts,
    Comparison,
    Element,
    EventExpression,
    Exists,
    Field,
    Funnel,
    Grouping,
    GroupPart,
    MetricExpression,
    Negation,
    Not,
    Number,
    Or,
    Product,
    Ranking,
    Reduction,
    Relation,
    SeriesCall,
    SessionReduction,
    Sum,
    Text,
)
from cube.expression.operators import CONDITIONS, OPERATORS
from cube.expression.printer import normal, print_literal
from cube.expression.series_functions import (
    NONE,
    PERCENT,
    PREVIOUS,
    SERIES_FUNCTIONS,
    UNITS,
    refused_within,
)
from cube.expression.value_types import NUMBER
from cube.model.reduce import REDUCES
from tests.tools import examples

quick = settings(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.too_slow])

words = st.sampled_from(
    [*REDUCES, *OPERATORS, *CONDITIONS, *FUNCTIONS, *SERIES_FUNCTIONS, "group", "each", "top", "true", "null"]
)
types = words | st.from_regex(r"[a-z_][a-zA-Z0-9_]{0,9}", fullmatch=True)
odd_names = st.sampled_from(
    ["user-agent", "id.orig_h", "@type", "$a", "+1", "0", "a b", "価格", "größe", "e\u0301"]
)
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)
idents = words | st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_$]{0,9}", fullmatch=True) | odd_names | names
finite = st.floats(allow_nan=False, allow_infinity=False)
numbers = (st.integers(-(2**63), 2**63 - 1) | finite | st.integers(-9, 9)).map(normal)
indexes = st.integers(0, 3) | st.integers(0, 2**63 - 1)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
plain_idents = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,5}", fullmatch=True)
keys = idents.map(lambda name: (name,)) | st.lists(plain_idents, min_size=2, max_size=3).map(tuple)
elements = st.builds(Element, keys, (texts | numbers | st.booleans()).map(print_literal))


def named(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return a strategy with a short repr: one that is written out in many others takes hypothesis long."""

    @st.composite
    def drawn(draw: st.DrawFn) -> Any:
        return draw(strategy)

    return drawn()


fields = st.builds(
    lambda head, tail: Field((head, *tail)), idents, st.lists(idents | indexes | elements, max_size=3)
)
fields = named(fields)
scalars = texts | numbers | st.booleans() | st.none()
arrays = st.recursive(
    st.lists(scalars, max_size=4).map(tuple),
    lambda inner: st.lists(scalars | inner, max_size=3).map(tuple),
    max_leaves=6,
)


def arithmetic(leaves: st.SearchStrategy[Any], *calls: Any) -> st.SearchStrategy[Any]:
    """Trees that the parser makes: no minus before a number, no chain of one."""

    def grow(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        def chain(make: Any, first: str, operators: str) -> st.SearchStrategy[Any]:
            rest = st.lists(st.tuples(st.sampled_from(operators), inner), min_size=1, max_size=3)
            return st.builds(lambda head, tail: make(((first, head), *tail)), inner, rest)

        negations = inner.filter(lambda node: not isinstance(node, Number)).map(Negation)
        return st.one_of(
            negations, chain(Sum, "+", "+-"), chain(Product, "*", "*/"), *(f(named(inner)) for f in calls)
        )

    return st.recursive(leaves | numbers.map(Number), grow, max_leaves=8)


NUMERIC = [name for name, each in FUNCTIONS.items() if each.parameters == (NUMBER,)]
zones = st.sampled_from(["UTC", "Europe/Berlin"]).map(Text)
units = st.sampled_from(["s", "ms", "us", "ns"]).map(Text)
text_values = st.recursive(
    fields | texts.map(Text),
    lambda inner: st.one_of(
        st.builds(Call, st.sampled_from(["lower", "upper"]), st.tuples(inner)),
        st.builds(Call, st.just("prefix"), st.tuples(inner, st.integers(0, 9).map(Number))),
        st.builds(Call, st.just("match"), st.tuples(inner, st.just(Text("^a(b)\\.")))),
        st.builds(Call, st.just("coalesce"), st.lists(inner, min_size=2, max_size=3).map(tuple)),
    ),
    max_leaves=3,
)
numbers_of_one = st.one_of(
    st.just(Call("time", ())),
    st.builds(Call, st.just("number"), st.tuples(text_values)),
    st.builds(Call, st.just("length"), st.tuples(text_values)),
    st.builds(Call, st.just("time"), st.tuples(fields) | st.tuples(fields, units)),
)
field_comparisons = st.one_of(
    st.builds(Comparison, st.sampled_from(["eq", "ne", "gt", "ge", "lt", "le"]), fields, scalars | arrays),
    st.builds(Comparison, st.sampled_from(["in", "nin"]), fields, arrays),
    st.builds(Comparison, st.just("re"), fields, texts),
    st.builds(Exists, fields),
)
values = arithmetic(
    fields | numbers_of_one,
    lambda inner: st.builds(Call, st.sampled_from(NUMERIC), st.tuples(inner)),
    lambda inner: st.builds(Call, st.sampled_from(["min", "max"]), st.tuples(inner, inner)),
    lambda inner: st.builds(Call, st.just("hour"), st.tuples(inner, zones)),
    lambda inner: st.builds(Call, st.just("if"), st.tuples(field_comparisons, inner, inner)),
)


def relations(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Relation]:
    """Comparisons of two values of one type, neither of them a constant."""
    compared = values.filter(lambda each: not isinstance(each, Number | Text))
    return st.builds(Relation, st.sampled_from(["eq", "ne", "gt", "ge", "lt", "le"]), compared, compared)


filters = st.recursive(
    st.one_of(
        field_comparisons,
        st.builds(Exists, values.filter(lambda each: not isinstance(each, Number))),
        st.builds(
            Comparison,
            st.sampled_from(["eq", "gt", "le"]),
            values.filter(lambda each: not isinstance(each, Number)),
            st.none() | numbers,
        ),
        relations(values | fields),
        relations(text_values),
        st.builds(Comparison, st.just("in"), numbers_of_one, st.lists(numbers, max_size=3).map(tuple)),
    ),
    lambda inner: st.one_of(
        st.builds(Or, st.lists(inner, min_size=1, max_size=3).map(tuple)),
        st.builds(And, st.lists(inner, min_size=1, max_size=3).map(tuple)),
        st.builds(Not, inner),
    ),
    max_leaves=6,
)
values, filters, text_values = named(values), named(filters), named(text_values)
groups = named(values | text_values.filter(lambda each: not isinstance(each, Text)) | field_comparisons)
all_filters = named(st.lists(filters, max_size=3).map(tuple))
events = st.builds(EventExpression, types, st.none() | st.lists(fields, max_size=3).map(tuple), all_filters)
measured = (types, st.none() | values, all_filters)
plain_reduces = st.sampled_from([name for name in REDUCES if name != "quantile"])
plain_reductions = st.builds(Reduction, plain_reduces, *measured) | st.builds(
    Reduction, st.just("quantile"), *measured, argument=st.floats(0, 1).map(normal)
)
with_several = st.builds(
    Reduction,
    st.just("quantile"),
    *measured,
    argument=st.lists(st.floats(0, 1).map(normal), min_size=1, max_size=3, unique=True).map(tuple),
)


def joins(tree: MetricExpression) -> bool:
    """Tell whether the groups of a tree can be joined."""
    try:
        grouped_by(tree)
        ranked(tree)
    except UnjoinableGroups:
        return False
    return True


otherwise = st.none() | texts
part = st.builds(GroupPart, fields | groups, otherwise) | st.builds(
    GroupPart, fields, otherwise, each=st.just(True)
)
lengths = st.integers(1, 366 * 86_400).map(lambda seconds: seconds * 1_000)


def series_calls(
    inner: st.SearchStrategy[Any], durations: st.SearchStrategy[int] = lengths
) -> st.SearchStrategy[Any]:
    """Calls of functions of series, but of those within others that are refused there."""
    return st.one_of(
        st.builds(SeriesCall, st.sampled_from(["shift", "rolling"]), inner, durations),
        st.builds(SeriesCall, st.just("cumulative"), inner),
        st.builds(SeriesCall, st.just("per"), inner, st.none(), st.sampled_from(sorted(UNITS))),
        st.builds(
            SeriesCall, st.just("change"), inner, st.none() | durations, st.sampled_from([None, PERCENT])
        ),
        st.builds(SeriesCall, st.just("fill"), inner, st.none(), st.sampled_from([PREVIOUS, NONE]) | numbers),
    ).filter(lambda call: refused_within(call.function, call.operand) is None)


by = named(arithmetic(named(plain_reductions)))
rankings = st.builds(Ranking, st.sampled_from(["top", "bottom"]), st.integers(1, 10_000), st.none() | by)
groupings = st.builds(
    Grouping, st.lists(part, min_size=1, max_size=3).map(tuple), st.none() | st.none() | rankings
)
reductions = st.builds(lambda one, group: replace(one, group=group), plain_reductions, st.none() | groupings)
selections = st.builds(EventExpression, types, st.just(()), all_filters)
durations = st.integers(1, 366 * 86_400_000)
session_fields = st.sampled_from([Field(("length",)), Field(("events",))])
session_reductions = st.builds(
    lambda reduce, *rest: SessionReduction(*rest[:2], rest[2], Reduction(reduce, rest[2].type, rest[3], ())),
    st.sampled_from(["sum", "mean", "distinct"]),
    values,
    durations,
    selections,
    st.none() | arithmetic(session_fields),
)
sequences = st.one_of(
    st.builds(Funnel, values, durations, st.lists(selections, min_size=2, max_size=4).map(tuple)),
    st.builds(Cohorts, values, durations, st.integers(1, 366), selections, st.none() | selections),
    session_reductions,
)
trees = named(arithmetic(named(reductions | sequences), series_calls))


@st.composite
def joinable(draw: st.DrawFn) -> MetricExpression:
    """Draw an expression whose groups go together."""
    tree: MetricExpression = draw(trees)
    assume(joins(tree))
    return tree


metrics = joinable()
grouped = st.builds(lambda value: Grouping((GroupPart(value),)), fields | values)
grouped_reductions = st.builds(
    lambda one, group: replace(one, group=group), plain_reductions, st.none() | grouped
)
metrics_without_texts = named(arithmetic(named(grouped_reductions), series_calls))


@quick
@given(metrics)
def test_a_metric_expression_is_what_its_text_parses_to(tree: MetricExpression) -> None:
    text = print_expression(tree)
    assume(len(text) <= MAX_CHARACTERS and text.count("(") + text.count("[") + text.count("-") <= MAX_LEVELS)
    assert repr(parse_metric(text)) == repr(tree)
    assert print_expression(parse_metric(text)) == text


@quick
@given(events)
def test_an_event_expression_is_what_its_text_parses_to(tree: EventExpression) -> None:
    text = print_expression(tree)
    assume(len(text) <= MAX_CHARACTERS)
    assert repr(parse_event(text)) == repr(tree)
    assert print_expression(parse_event(text)) == text


def refused_or_stable(parse: Any, text: str) -> None:
    """A text has a stable canonical text, or is refused with a place in it and a message that can be sent."""
    try:
        tree = parse(text)
    except InvalidExpression as error:
        check_refusal(error, text)
        return
    canonical = print_expression(tree)
    if len(canonical) <= MAX_CHARACTERS:
        assert repr(parse(canonical)) == repr(tree)


def check_refusal(error: InvalidExpression, text: str) -> None:
    lines = text.split("\n")
    assert 1 <= error.line <= len(lines)
    assert 1 <= error.column <= len(lines[error.line - 1]) + 1
    assert error.message.endswith(".")
    json.dumps(error.message, ensure_ascii=False).encode()


pieces = st.sampled_from(
    [
        *REDUCES,
        *OPERATORS,
        *CONDITIONS,
        *FUNCTIONS,
        *SERIES_FUNCTIONS,
        "7d",
        PREVIOUS,
        *"()[].,+-*/='\"\\ \n\t$_019ae",
        "group",
        "each",
        ".top(",
        "true",
        "null",
        "1e5",
        "\\u",
        "\ud83d",
    ]
)


@quick
@given(st.text(max_size=40) | st.lists(pieces, max_size=40).map("".join))
@example("sum(a.eq(x,'\ud800\\ude00'))")
@example("\\")
def test_any_text_is_refused_or_has_a_stable_canonical_text(text: str) -> None:
    refused_or_stable(parse_metric, text)
    refused_or_stable(parse_event, text)


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """Draw the text of a valid expression with some pieces put in, taken out, doubled or swapped."""
    text = print_expression(draw(metrics | events))
    for _ in range(draw(st.integers(1, 3))):
        start, stop = sorted(draw(st.tuples(*[st.integers(0, len(text))] * 2)))
        stop = min(stop, start + draw(st.integers(0, 6)))
        text = text[:start] + draw(pieces | st.just(text[start:stop] * 2) | st.just("")) + text[stop:]
    return text


@quick
@given(mutated())
def test_a_damaged_expression_is_refused_or_has_a_stable_canonical_text(text: str) -> None:
    refused_or_stable(parse_metric, text)
    refused_or_stable(parse_event, text)


@quick
@given(metrics_without_texts, st.sampled_from([" ", "\t", "\n", "\r", " \n "]))
def test_blanks_between_tokens_do_not_matter(tree: MetricExpression, blank: str) -> None:
    text = print_expression(tree)
    assume('"' not in text and len(text) < MAX_CHARACTERS / 5)
    spaced = "".join(f"{blank}{char}{blank}" if char in "()[],*/" else char for char in text)
    assume(text.count("(") + text.count("[") + text.count("-") <= MAX_LEVELS)
    assert repr(parse_metric(spaced)) == repr(tree)
