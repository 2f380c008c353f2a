"""Generated events' data, filters and values, from a small vocabulary, so that they often meet."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
from hypothesis import strategies as st

from cube.columns import Block
from cube.expression.nodes import (
    And,
    Call,
    Comparison,
    Element,
    Exists,
    Field,
    Filter,
    Negation,
    Not,
    Number,
    Or,
    Product,
    Relation,
    Sum,
    Text,
    Value,
)
from cube.model.event import ABSENT

NUMBERS = (0, 1, 2, -1, 0.5, 1.0, 2.5, -0.0, 2**53, 2**53 + 1, 2.0**53, 2**63 - 1, -(2**63), 2.0**63, 1e300)
TEXTS = ("", "a", "b", "ab", "A", "1", "é", "z\n", "\uffff", "\U0001f600")
DATES = (datetime(2011, 7, 18, tzinfo=UTC), datetime(1969, 12, 31, 23, 59, tzinfo=UTC))
ODD = "b-価 %"
"""A name that is not an identifier."""

PATHS: tuple[tuple[str | int, ...], ...] = (
    ("a",),
    ("b",),
    ("a", "b"),
    ("a", 0),
    ("a", 1),
    ("a", 0, "b"),
    ("a", "b", 0),
    ("a", 0, 0),
    ("a", "b", "c"),
    ("b", "c"),
    (ODD,),
    ("a", ODD),
    (ODD, 0, "b"),
)

literal_scalars = st.one_of(st.none(), st.booleans(), st.sampled_from(NUMBERS), st.sampled_from(TEXTS))
scalars = st.one_of(literal_scalars, st.sampled_from(DATES))
nested = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(("a", "b", "c", "0", ODD)), inner, max_size=3),
    ),
    max_leaves=6,
)
objects = st.dictionaries(st.sampled_from(("a", "b", "c", ODD)), nested, max_size=3)
data = st.one_of(objects, objects, objects, nested, st.just(ABSENT))
"""Any data of an event, mostly objects."""

fields = st.sampled_from(PATHS).map(Field)
keyed_fields = st.sampled_from(
    (
        Field(("a", Element(("b",), "1"))),
        Field(("a", Element(("b",), '"a"'), "c")),
        Field(("a", "b", Element(("c",), "true"), "a")),
    )
)
"""Fields with an element chosen by key, which no store knows."""

literals = st.one_of(
    literal_scalars,
    st.lists(literal_scalars, max_size=3).map(tuple),
    st.lists(st.lists(literal_scalars, max_size=2).map(tuple), max_size=2).map(tuple),
)
arrays = st.lists(
    st.one_of(literal_scalars, st.lists(literal_scalars, max_size=2).map(tuple)), max_size=4
).map(tuple)
comparisons = st.one_of(
    st.builds(Comparison, st.sampled_from(("eq", "ne", "gt", "ge", "lt", "le")), fields, literals),
    st.builds(Comparison, st.sampled_from(("in", "nin")), fields, arrays),
    st.builds(Exists, fields),
)
patterns = st.builds(
    Comparison, st.just("re"), fields, st.sampled_from(("", "a", "^a$", "(?i)a", ".", "^.$", "é|b", r"\d"))
)


def compounds(simple: st.SearchStrategy[Any]) -> st.SearchStrategy[Filter]:
    """Return filters made of these, with or, and, not around some."""
    several = st.lists(simple, min_size=1, max_size=3).map(tuple)
    return st.one_of(
        simple, simple, several.map(Or), several.map(And), simple.map(Not), several.map(Or).map(Not)
    )


def _floored_log(function: str, value: Value) -> Call:
    return Call("floor", (Call(function, (value,)),))


constants = st.one_of(st.sampled_from((0, 1, -2.5, 3)).map(Number), st.sampled_from(TEXTS).map(Text))
numbers_of_one = st.one_of(
    st.builds(Call, st.sampled_from(("number", "length", "time")), st.tuples(fields)),
    st.builds(lambda field: Call("time", (field, Text("us"))), fields),
    st.just(Call("time", ())),
    st.just(Call("hour", (Call("time", ()), Text("Europe/Berlin")))),
    comparisons,
)
texts_of_one = st.one_of(
    st.builds(Call, st.sampled_from(("lower", "upper")), st.tuples(fields)),
    st.builds(lambda field: Call("prefix", (field, Number(1))), fields),
    st.builds(lambda field: Call("match", (field, Text("([aé])?b?$"))), fields),
)
scalars_of_one = st.recursive(
    st.one_of(fields, keyed_fields, constants, numbers_of_one, texts_of_one),
    lambda inner: st.one_of(
        st.builds(lambda *each: Call("if", each), comparisons, inner, inner),
        st.builds(lambda *each: Call("if", each), comparisons, inner),
        st.builds(lambda *each: Call("coalesce", each), inner, inner),
        st.builds(lambda *each: Call("combine", each), inner, inner),
    ),
    max_leaves=4,
)
"""What is a number for one event, a text for another."""

computed_comparisons = st.one_of(
    st.builds(
        Comparison, st.sampled_from(("eq", "ne", "gt", "ge", "lt", "le")), scalars_of_one, literal_scalars
    ),
    st.builds(Comparison, st.sampled_from(("in", "nin")), scalars_of_one, arrays),
    st.builds(Comparison, st.just("re"), scalars_of_one, st.sampled_from(("a", "^b", ""))),
    st.builds(Comparison, st.sampled_from(("eq", "ne", "le")), keyed_fields, literals),
    st.builds(
        Relation,
        st.sampled_from(("eq", "ne", "gt", "ge", "lt", "le")),
        st.one_of(fields, scalars_of_one),
        st.one_of(fields, scalars_of_one),
    ),
    st.builds(Exists, st.one_of(keyed_fields, scalars_of_one)),
)
values = st.recursive(
    st.one_of(fields, fields, st.sampled_from((0, 1, -2.5, 3)).map(Number), numbers_of_one),
    lambda inner: st.one_of(
        st.builds(Call, st.sampled_from(("abs", "ceil", "floor", "round", "sqrt")), st.tuples(inner)),
        st.builds(_floored_log, st.sampled_from(("log2", "log10")), inner),
        st.builds(lambda *each: Call("max", each), inner, inner),
        st.builds(lambda *each: Call("if", each), computed_comparisons, inner, inner),
        inner.map(Negation),
        st.tuples(inner, st.sampled_from("+-"), inner).map(lambda it: Sum((("+", it[0]), (it[1], it[2])))),
        st.tuples(inner, st.sampled_from("*/"), inner).map(
            lambda it: Product((("*", it[0]), (it[1], it[2])))
        ),
    ),
    max_leaves=4,
)


def block(rows: list[Any]) -> Block:
    """Return a block of events with these data, a second apart."""
    return Block(np.arange(len(rows), dtype=np.int64) * 1_000, rows, list(range(len(rows))))
