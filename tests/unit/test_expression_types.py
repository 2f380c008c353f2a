"""What no event can be is refused when an expression is read, at its place."""

from __future__ import annotations

import pytest

from cube.errors import InvalidExpression
from cube.expression import parse_event, parse_metric, print_expression
from cube.expression.functions import FUNCTIONS

MISTYPED = [
    ("sum(a(lower(b)))", 7, "Expected a number, found a text, lower(b),"),
    ("sum(a( b + lower(c)))", 12, "Expected a number, found a text, lower(c),"),
    ("sum(a(-'x'))", 8, 'Expected a number, found a text, "x",'),
    ("sum(a(abs(lower(b))))", 11, "Expected a number, found a text, lower(b),"),
    ("sum(a(if(ge(b,1),'x','y')))", 7, 'Expected a number, found a text, if(ge(b,1),"x","y"),'),
    ("sum(a(length(b * 2)))", 14, "Expected a text, found a number, b * 2,"),
    ("sum(a(length(ge(b,2))))", 14, "Expected a text, found a condition, ge(b,2),"),
    ("sum(a(if(b, 1, 2)))", 10, "Expected a filter, found a field, b,"),
    ("sum(a(if(1, 1, 2)))", 10, "Expected a filter, found a number, 1,"),
    ("sum(a(if(ge(b,1))))", 7, "Got 1 arguments, if takes 2 to 3"),
    ("sum(a(min(b)))", 7, "Got 1 arguments, min takes 2 or more"),
    ("sum(a(abs(b, c)))", 7, "Got 2 arguments, abs takes 1"),
    ("count(a(prefix(b, c)))", 19, "Expected a whole number from 0 to 10000, found c"),
    ("count(a(prefix(b, -1)))", 20, "Expected a whole number from 0 to 10000, found -1"),
    ("count(a(match(b, c)))", 18, "Expected a pattern, as a string, found c"),
    (
        "count(a(match(b, '(')))",
        18,
        'Got the regular expression "(": missing ): (; accepted is RE2\'s syntax',
    ),
    ("sum(a(time(b, 'm')))", 15, 'Expected a unit ("s", "ms", "us", "ns"), found "m"'),
    ("sum(a(hour(time(), 'Nowhere')))", 20, 'Expected a time zone such as "Europe/Berlin", found "Nowhere"'),
    ("sum(a(hour(time(), '../x')))", 20, 'Expected a time zone such as "Europe/Berlin", found "../x"'),
    ("sum(a.eq(number(b), '1'))", 10, 'Got "1" to compare with a number, number(b); accepted is a number'),
    ("sum(a.in(lower(b), ['1', 2]))", 10, "Got 2 to compare with a text, lower(b); accepted is a text"),
    ("sum(a.re(number(b), '1'))", 10, "Expected a text, found a number, number(b),"),
    ("sum(a.eq('b', 1))", 10, 'Expected a field, found "'),
    ("sum(a).group('b')", 14, 'Expected a field, found "'),
]


@pytest.mark.parametrize(("text", "column", "message"), MISTYPED)
def test_what_no_event_can_be_is_refused_at_its_place(text: str, column: int, message: str) -> None:
    with pytest.raises(InvalidExpression) as caught:
        parse_metric(text)
    assert caught.value.message.startswith(message)
    assert (caught.value.line, caught.value.column) == (1, column)


CANONICAL = [
    ("sum( a ( if ( ge( b , 1 ) , c , 0 ) ) )", "sum(a(if(ge(b,1),c,0)))"),
    ("sum(a(max(b+1, c*2 , 3)))", "sum(a(max(b + 1,c * 2,3)))"),
    ("sum(a(time ( )))", "sum(a(time()))"),
    ("sum(a(time))", "sum(a(time))"),
    ("sum(a(if + min + time + eq + exists))", "sum(a(if + min + time + eq + exists))"),
    ("count(a('x'))", 'count(a("x"))'),
    ("""sum(a(p [ key = 'x' ] . v))""", 'sum(a(p[key="x"].v))'),
    ("""sum(a(p["key"=1e3].v))""", "sum(a(p[key=1000].v))"),
    ("""sum(a(p["a b"=-1]["c d"]))""", 'sum(a(p["a b"=-1]["c d"]))'),
    ("sum(a(p[a.b=true]))", "sum(a(p[a.b=true]))"),
    ("sum(a.ge( number( status ) , 500 ))", "sum(a.ge(number(status),500))"),
    ("sum(a.eq((b), 1))", "sum(a.eq(b,1))"),
    ("sum(a).group( lower( host ) , 'none')", 'sum(a).group(lower(host),"none")'),
    ("mean(a(ge(b, 1) * 2))", "mean(a(ge(b,1) * 2))"),
]


@pytest.mark.parametrize(("text", "canonical"), CANONICAL)
def test_a_value_has_one_canonical_text(text: str, canonical: str) -> None:
    tree = parse_metric(text)
    assert print_expression(tree) == canonical
    assert repr(parse_metric(canonical)) == repr(tree)


def test_fields_of_events_are_elements_too() -> None:
    text = 'a(p[key="x"].v,b).exists(p[key="y"])'
    assert print_expression(parse_event(text)) == text


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_example_of_a_function_parses_and_has_its_name(name: str) -> None:
    assert f"{name}(" in print_expression(parse_metric(FUNCTIONS[name].example))
