"""Valid expressions: their trees and their canonical texts."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from cube.expression import parse_event, parse_metric, print_expression
from cube.expression.functions import FUNCTIONS
from cube.expression.nodes import (
    And,
    Call,
    Comparison,
    EventExpression,
    Exists,
    Field,
    Grouping,
    GroupPart,
    Negation,
    Not,
    Number,
    Or,
    Product,
    Ranking,
    Reduction,
    Relation,
    Sum,
    Value,
)
from cube.model.reduce import REDUCES

A, B, C = (Reduction("sum", name, None, ()) for name in "abc")
X, Y = Field(("x",)), Field(("y",))


def by(*values: Value) -> Grouping:
    """Group by some values."""
    return Grouping(tuple(GroupPart(value) for value in values))


def strictly(tree: object) -> str:
    """Tell trees apart as the language does: 1, 1.0 and true are different."""
    return repr(tree)


METRICS: list[tuple[str, Any]] = [
    ("sum(test)", Reduction("sum", "test", None, ())),
    (" sum\t(\ntest\r) ", Reduction("sum", "test", None, ())),
    ("sum(count)", Reduction("sum", "count", None, ())),
    ("sum(foo)", Reduction("sum", "foo", None, ())),
    (
        "sum(sum(sum).eq(eq,1)).group(group)",
        Reduction(
            "sum", "sum", Field(("sum",)), (Comparison("eq", Field(("eq",)), 1),), by(Field(("group",)))
        ),
    ),
    ("count(a)", Reduction("count", "a", None, ())),
    ("sum(quantile(x))", Reduction("sum", "quantile", X, ())),
    ("sum(test(i))", Reduction("sum", "test", Field(("i",)), ())),
    ("sum(a(x)).group(y.z)", Reduction("sum", "a", X, (), by(Field(("y", "z"))))),
    ("sum(a) . group ( y )", Reduction("sum", "a", None, (), by(Y))),
    ("quantile(0.95,a(x))", Reduction("quantile", "a", X, (), None, 0.95)),
    ("quantile(.5,a).group(y)", Reduction("quantile", "a", None, (), by(Y), 0.5)),
    ("quantile(1.0,a)", Reduction("quantile", "a", None, (), None, 1)),
    ("quantile(0,a)", Reduction("quantile", "a", None, (), None, 0)),
    ('sum(a(["user-agent"]))', Reduction("sum", "a", Field(("user-agent",)), ())),
    ("sum(a(x[ 'b c' ][0].d))", Reduction("sum", "a", Field(("x", "b c", 0, "d")), ())),
    ('sum(a(["x"]["0"]))', Reduction("sum", "a", Field(("x", "0")), ())),
    ('sum(a).group(x["User-Agent"])', Reduction("sum", "a", None, (), by(Field(("x", "User-Agent"))))),
    (
        "sum(a(価格.größe)).group(Цена)",
        Reduction("sum", "a", Field(("価格", "größe")), (), by(Field(("Цена",)))),
    ),
    ("sum(a(absß))", Reduction("sum", "a", Field(("absß",)), ())),
    (
        'sum(a.eq(["id.orig_h"],["x"]))',
        Reduction("sum", "a", None, (Comparison("eq", Field(("id.orig_h",)), ("x",)),)),
    ),
    ("sum(a.eq(x,1).eq(x,1))", Reduction("sum", "a", None, (Comparison("eq", X, 1),) * 2)),
    ("sum(a.le(x, x))", Reduction("sum", "a", None, (Relation("le", X, X),))),
    ("sum(a.le(x, (1)))", Reduction("sum", "a", None, (Comparison("le", X, 1),))),
    ("sum(a.le(x, -x))", Reduction("sum", "a", None, (Relation("le", X, Negation(X)),))),
    ("sum(a) - sum(b) - sum(c)", Sum((("+", A), ("-", B), ("-", C)))),
    ("sum(a) - (sum(b) - sum(c))", Sum((("+", A), ("-", Sum((("+", B), ("-", C))))))),
    ("(sum(a) - sum(b)) - sum(c)", Sum((("+", Sum((("+", A), ("-", B)))), ("-", C)))),
    ("sum(a)/sum(b)*sum(c)", Product((("*", A), ("/", B), ("*", C)))),
    ("sum(a)+sum(b)*sum(c)", Sum((("+", A), ("+", Product((("*", B), ("*", C))))))),
    ("(sum(a)+sum(b))*sum(c)", Product((("*", Sum((("+", A), ("+", B)))), ("*", C)))),
    ("-sum(a)*sum(b)", Product((("*", Negation(A)), ("*", B)))),
    ("-(sum(a)*sum(b))", Negation(Product((("*", A), ("*", B))))),
    ("--sum(a)", Negation(Negation(A))),
    ("sum(a) - -sum(b)", Sum((("+", A), ("-", Negation(B))))),
    ("-1 + sum(a)", Sum((("+", Number(-1)), ("+", A)))),
    ("sum(a)-1", Sum((("+", A), ("-", Number(1))))),
    ("sum(a)+-1", Sum((("+", A), ("+", Number(-1))))),
    ("sum(a(-1*x))", Reduction("sum", "a", Product((("*", Number(-1)), ("*", X))), ())),
    ("sum(a(-x))", Reduction("sum", "a", Negation(X), ())),
    ("sum(a).group(x, y)", Reduction("sum", "a", None, (), by(X, Y))),
    (
        "sum(a).group(each(x), 'none', y)",
        Reduction("sum", "a", None, (), Grouping((GroupPart(X, "none", each=True), GroupPart(Y)))),
    ),
    ("sum(a).group(each)", Reduction("sum", "a", None, (), by(Field(("each",))))),
    (
        "sum(a).group(x).top(3)",
        Reduction("sum", "a", None, (), Grouping((GroupPart(X),), Ranking("top", 3))),
    ),
    (
        "sum(a).group(x) . bottom ( 3 , sum(b) / sum(c) )",
        Reduction(
            "sum",
            "a",
            None,
            (),
            Grouping((GroupPart(X),), Ranking("bottom", 3, Product((("*", B), ("/", C))))),
        ),
    ),
    ("sum(a).group(floor(x))", Reduction("sum", "a", None, (), by(Call("floor", (X,))))),
    ("sum(a(abs(x)))", Reduction("sum", "a", Call("abs", (X,)), ())),
    ("sum(a(log10 (x)))", Reduction("sum", "a", Call("log10", (X,)), ())),
    ("sum(a(abs))", Reduction("sum", "a", Field(("abs",)), ())),
    ("sum(a(abs.abs))", Reduction("sum", "a", Field(("abs", "abs")), ())),
]


@pytest.mark.parametrize(("text", "tree"), METRICS)
def test_a_metric_expression_has_its_tree(text: str, tree: object) -> None:
    assert strictly(parse_metric(text)) == strictly(tree)


EVENTS: list[tuple[str, EventExpression]] = [
    ("a", EventExpression("a", (), ())),
    ("_", EventExpression("_", (), ())),
    ("a(*)", EventExpression("a", None, ())),
    ("a(x)", EventExpression("a", (X,), ())),
    ("sum(foo)", EventExpression("sum", (Field(("foo",)),), ())),
    ("a( x , y )", EventExpression("a", (X, Y), ())),
    ("a(x[0] . b [12][3].c$_1)", EventExpression("a", (Field(("x", 0, "b", 12, 3, "c$_1")),), ())),
    ("a(x[007])", EventExpression("a", (Field(("x", 7)),), ())),
    ("a.exists(x)", EventExpression("a", (), (Exists(X),))),
    ("a.not(exists(x))", EventExpression("a", (), (Not(Exists(X)),))),
    ("a.or(exists(x),and(exists(y)))", EventExpression("a", (), (Or((Exists(X), And((Exists(Y),)))),))),
    ("a.re(x,'^(?i)b')", EventExpression("a", (), (Comparison("re", X, "^(?i)b"),))),
]


@pytest.mark.parametrize(("text", "tree"), EVENTS)
def test_an_event_expression_has_its_tree(text: str, tree: EventExpression) -> None:
    assert strictly(parse_event(text)) == strictly(tree)


NUMBERS: list[tuple[str, int | float]] = [
    ("0", 0),
    ("-0", 0),
    ("-0.0", 0),
    ("1.0", 1),
    ("1e3", 1000),
    ("1E+3", 1000),
    ("6E-2", 0.06),
    (".5", 0.5),
    (".5e1", 5),
    ("-(1)", -1),
    ("- -1", 1),
    ("---1", -1),
    ("9007199254740993", 9007199254740993),
    ("9007199254740993.0", 9007199254740992),
    ("9223372036854775807", 2**63 - 1),
    ("-9223372036854775808", -(2**63)),
    ("9223372036854775808", 2.0**63),
    ("-9223372036854777857", -(2.0**63) - 2048),
    ("1" + "0" * 300, 1e300),
    ("1e-999", 0),
    ("0.1", 0.1),
]


@pytest.mark.parametrize(("text", "value"), NUMBERS)
def test_a_number_is_read_as_javascript_reads_it_but_64_bits_are_exact(text: str, value: float) -> None:
    assert strictly(parse_metric(text)) == strictly(Number(value))


@pytest.mark.parametrize(("text", "value"), [case for case in NUMBERS if "(" not in case[0]][:9])
def test_a_number_in_a_filter_is_the_same_number(text: str, value: float) -> None:
    assert strictly(literal(text)) == strictly(value)


def literal(text: str) -> object:
    (comparison,) = parse_event(f"a.eq(x,{text})").filters
    assert isinstance(comparison, Comparison)
    return comparison.literal


LITERALS: list[tuple[str, object]] = [
    ("null", None),
    ("true", True),
    ("false", False),
    ("- 1", -1),
    ("[]", ()),
    ("[ ]", ()),
    ("[1,'a',null,[true]]", (1, "a", None, (True,))),
    ("''", ""),
    ('"it\'s"', "it's"),
    ("'a\tb\nc'", "a\tb\nc"),
    (r"'\b\f\n\r\t\v\0\'\"\\'", "\b\f\n\r\t\v\0'\"\\"),
    (r"'\x41\u0042\/\q'", "AB/q"),
    ("'\\\n'", "\n"),
    (r"'\0a'", "\0a"),
    (r"'\ud83d\ude00'", "😀"),
    (r"'\uD83D\uDE00!'", "😀!"),
    ("'😀'", "😀"),
    ("'\ud83d\\ude00'", "😀"),
]


@pytest.mark.parametrize(("text", "value"), LITERALS)
def test_a_literal_has_its_value(text: str, value: object) -> None:
    assert strictly(literal(text)) == strictly(value)


CANONICAL = [
    ("sum( test )", "sum(test)"),
    ("sum(a)+sum(b)", "sum(a) + sum(b)"),
    ("((sum(a)))", "sum(a)"),
    ("(sum(a)*sum(b))+1", "sum(a) * sum(b) + 1"),
    ("sum(a)+(sum(b)+sum(c))", "sum(a) + (sum(b) + sum(c))"),
    ("sum(a)*(sum(b)*sum(c))", "sum(a) * (sum(b) * sum(c))"),
    ("sum(a)/(sum(b)+1)", "sum(a) / (sum(b) + 1)"),
    ("-(-sum(a))", "--sum(a)"),
    ("-(sum(a)+1)", "-(sum(a) + 1)"),
    ("- - 1 - -1", "1 - -1"),
    ("quantile( .50 , a ( x - 1 ) )", "quantile(0.5,a(x - 1))"),
    ("sum(a(abs( (x) )).eq( y , 'b' )).group( z [ 0 ] )", 'sum(a(abs(x)).eq(y,"b")).group(z[0])'),
    ("sum(a.in(x,[1, 2.50 ,'\\'']))", 'sum(a.in(x,[1,2.5,"\'"]))'),
    ("sum(a.eq(x,'\"\\\\\\0\\n\\x1f\\x7f\\u00e9'))", 'sum(a.eq(x,"\\"\\\\\\u0000\\n\\u001f\x7fé"))'),
    ("sum(a(['b'][\"c-d\"]['e']['0'][0]))", 'sum(a(b["c-d"].e["0"][0]))'),
    ('sum(a(["größe"] - ["e\u0301"]))', 'sum(a(größe - ["e\u0301"]))'),
    (
        "sum(a(['\\u4fa1\\u683c']).eq(['a\\'\"'],1))",
        'sum(a(価格).eq(["a\'\\""],1))'.replace("価格", "\u4fa1\u683c"),
    ),
    ("1e21", "1e21"),
    ("1e-7", "1e-07"),
    ("12345678901234567890", "1.2345678901234567e19"),
]


@pytest.mark.parametrize(("text", "canonical"), CANONICAL)
def test_an_expression_has_one_canonical_text(text: str, canonical: str) -> None:
    assert print_expression(parse_metric(text)) == canonical
    assert strictly(parse_metric(canonical)) == strictly(parse_metric(text))


@pytest.mark.parametrize("reduce", [name for name in REDUCES if name != "quantile"])
def test_every_reduce_is_a_word_of_the_language(reduce: str) -> None:
    assert parse_metric(f"{reduce}({reduce})") == Reduction(reduce, reduce, None, ())


@pytest.mark.parametrize("function", ["abs", "number", "time", "length"])
def test_a_function_takes_a_field_of_its_name(function: str) -> None:
    value = Call(function, (Field((function,)),))
    assert parse_metric(f"sum(a({function}({function})))") == Reduction("sum", "a", value, ())


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_name_of_a_function_is_a_field_where_no_bracket_follows(function: str) -> None:
    assert parse_metric(f"sum(a({function}))") == Reduction("sum", "a", Field((function,)), ())


@pytest.mark.parametrize("operator", ["eq", "ne", "gt", "ge", "lt", "le"])
def test_a_comparison_takes_any_literal(operator: str) -> None:
    for text, value in LITERALS:
        (comparison,) = parse_event(f"a.{operator}({operator},{text})").filters
        assert repr(comparison) == repr(Comparison(operator, Field((operator,)), value))  # type: ignore[arg-type]  # literals all


def test_a_part_of_an_expression_prints_alone() -> None:
    assert print_expression(Negation(Sum((("+", X), ("-", Number(2)))))) == "-(x - 2)"
    assert print_expression(Not(Exists(X))) == "not(exists(x))"
    assert print_expression(parse_event("a ( * ) . exists ( x )")) == "a(*).exists(x)"


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan"), 10**400])
def test_a_number_without_a_text_is_not_printed(value: float) -> None:
    with pytest.raises(ValueError, match="accepted are finite ones"):
        print_expression(Number(value))


def test_half_a_surrogate_pair_is_not_printed() -> None:
    with pytest.raises(ValueError, match="half a surrogate pair"):
        print_expression(Comparison("eq", X, "\ud800"))


@pytest.mark.parametrize(
    ("value", "text"), [(1.0, "1"), (-0.0, "0"), (2.0**62, str(2**62)), (2**64, "1.8446744073709552e19")]
)
def test_a_number_made_by_a_program_prints_in_its_normal_form(value: float, text: str) -> None:
    assert print_expression(Number(value)) == text


def test_threads_that_parse_at_once_do_not_mix_their_errors_up() -> None:
    texts = [f"sum({'a' * n}) {'b' * n}" for n in range(1, 9)]
    wanted = [refusal(text) for text in texts]
    found: dict[int, set[str]] = {n: set() for n in range(len(texts))}

    def parse(n: int) -> None:
        for _ in range(50):
            found[n].add(refusal(texts[n]))

    threads = [threading.Thread(target=parse, args=(n,)) for n in range(len(texts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[n] for n in range(len(texts))] == [{message} for message in wanted]


def refusal(text: str) -> str:
    with pytest.raises(Exception, match="Expected") as caught:
        parse_metric(text)
    return str(caught.value)
