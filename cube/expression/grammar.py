"""The grammar of the expression language: `parse_metric` and `parse_event`.

The rules of ``docs/language.md``, in pyparsing, one alternative per first token: after it a rule
commits itself ("-" instead of "+"), so nothing is parsed twice and time is linear in the text.
Chains of operators are flat lists until `_build_arithmetic` gives them their form.
Few parser elements nest per bracket, so that 50 levels stay within Python's recursion limit.
Length and levels are checked before the grammar runs, nodes after.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any, cast

import pyparsing as pp

from cube.errors import InvalidExpression
from cube.expression import tokens
from cube.expression.nodes import (
    And,
    Call,
    Comparison,
    EventExpression,
    Exists,
    Field,
    Filter,
    MetricExpression,
    Negation,
    Not,
    Number,
    Or,
    Product,
    Reduction,
    Sum,
    Value,
)
from cube.expression.operators import OPERATORS, OrderOperator, TextOperator
from cube.expression.printer import normal, walk
from cube.expression.tokens import Source, build
from cube.model.reduce import REDUCES

MAX_CHARACTERS = 10_000
MAX_LEVELS = 50
MAX_NODES = 1_000

# Strings are skipped whole, an unclosed one to the end of the text. Possessive: linear time.
_NESTING = re.compile(
    r"""(?P<string>"(?:[^"\\]++|\\.)*+"? | '(?:[^'\\]++|\\.)*+'? )
      | (?P<open>[(\[]) | (?P<close>[)\]]) | (?P<minus>-) | (?P<operator>[+*/,])
      | (?P<operand>[^ \t\n\r])""",
    re.DOTALL | re.VERBOSE,
)


def parse_metric(text: str) -> MetricExpression:
    """Parse a metric expression, such as ``sum(request(ms).ge(status,500)) / 60``.

    Bounds: `MAX_CHARACTERS`, `MAX_LEVELS`, `MAX_NODES`. Raises `InvalidExpression`, with the place and
    what was expected there, for anything that is not valid.
    """
    return cast("MetricExpression", _parse(_metric_grammar(), text))


def parse_event(text: str) -> EventExpression:
    """Parse an event expression, such as ``request(path,ms).ge(status,500)``.

    Bounds and errors are those of `parse_metric`.
    """
    return cast("EventExpression", _parse(_event_grammar(), text))


def parse_filters(text: str) -> tuple[Filter, ...]:
    """Parse filters joined by dots, such as ``eq(customer,"acme").ge(n,1)``.

    Bounds and errors are those of `parse_event` for these filters of a type ``any``.
    """
    return parse_event(f"any.{text}").filters


def tried(text: str) -> list[Source]:
    """Try both grammars on a text; return what each has noted, of a metric expression first.

    A text that is too long or deep, or has a token that is refused, is left out: nothing can continue it.
    """
    sources: list[Source] = []
    for grammar in (_metric_grammar(), _event_grammar()):
        source = Source(text)
        try:
            _check_text(source)
            grammar.parse_string(source)
        except InvalidExpression:
            continue
        except pp.ParseBaseException:
            pass
        sources.append(source)
    return sources


def prepare() -> None:
    """Build the grammars, 0.1 s, so that the first question need not wait for that."""
    _metric_grammar()
    _event_grammar()


def rebuild() -> None:
    """Have the next parse take in what the tables of reduces and operators hold by then."""
    _metric_grammar.cache_clear()
    _event_grammar.cache_clear()


def _parse(grammar: pp.ParserElement, text: str) -> Any:
    source = Source(text)
    _check_text(source)
    try:
        tree = grammar.parse_string(source)[0]
    except pp.ParseBaseException:
        raise source.unexpected() from None
    _check_nodes(tree, source)
    return tree


def _check_text(source: Source) -> None:
    """Refuse, in one linear pass, a text that is too long or too deep for the grammar.

    Levels are the brackets open at a place, and with them the unary minuses whose operand has not
    ended. Raises `InvalidExpression`.
    """
    if len(source) > MAX_CHARACTERS:
        problem = f"Got {len(source)} characters, accepted are at most {MAX_CHARACTERS}; the text is cut off"
        raise source.refusal(MAX_CHARACTERS, problem)
    levels = minuses = 0
    outer: list[int] = []  # for each open bracket, the minuses before it
    operand_ended = False
    for lexeme in _NESTING.finditer(source):
        kind = lexeme.lastgroup
        if kind == "open":
            outer.append(minuses)
            levels, minuses = levels + 1 + minuses, 0
        elif kind == "close" and outer:
            minuses = outer.pop()
            levels -= 1 + minuses
        elif kind == "operator" or (kind == "minus" and operand_ended):
            minuses = 0
        elif kind == "minus":
            minuses += 1
        operand_ended = kind in {"close", "operand", "string"}
        if levels + minuses > MAX_LEVELS:
            raise source.refusal(lexeme.start(), f"Got more than the accepted {MAX_LEVELS} levels")


def _check_nodes(tree: object, source: Source) -> None:
    """Refuse a tree of too many nodes; the length of the text bounds literals. Raises `InvalidExpression`."""
    nodes = sum(1 for _ in walk(tree))
    if nodes > MAX_NODES:
        raise source.refusal(0, f"Got {nodes} nodes, accepted are at most {MAX_NODES}; the expression begins")


@cache
def _metric_grammar() -> pp.ParserElement:
    metric = pp.Forward()
    metric <<= _chain(_reduction() | _reduction_with_probability() | _constant() | _bracketed(metric))
    return _whole(metric)


@cache
def _event_grammar() -> pp.ParserElement:
    everything = build(tokens.operator("*"), lambda _: None)
    fields = build(_listed(_field()), _pack)
    event = _event(_bracketed(everything | fields), default=())
    return _whole(build(event, lambda name, fields, *filters: EventExpression(name, fields, filters)))


def _whole(expression: pp.ParserElement) -> pp.ParserElement:
    # Streamlined here: pyparsing would do it in the first parse, where threads may meet.
    return (expression + tokens.token(r"\Z", "the end")).parse_with_tabs().streamline()


def _reduction() -> pp.ParserElement:
    name = tokens.reduce_name(*(each.name for each in REDUCES.values() if not each.takes_probability))
    return build(name - tokens.mark("(") - _measured() - tokens.mark(")") - _group(), _build_reduction)


def _reduction_with_probability() -> pp.ParserElement:
    name = tokens.reduce_name(*(each.name for each in REDUCES.values() if each.takes_probability))
    head = name - tokens.mark("(") - tokens.probability() - tokens.mark(",")
    reduction = head - _measured() - tokens.mark(")") - _group()
    return build(reduction, lambda reduce, q, event, group: _build_reduction(reduce, event, group, q))


def _measured() -> pp.ParserElement:
    """Leave (type, value or None, filters)."""
    event = _event(_bracketed(_value()), default=None)
    return build(event, lambda name, value, *filters: (name, value, filters))


def _group() -> pp.ParserElement:
    """Leave (value, otherwise) or None."""
    comma = tokens.mark(",").add_parse_action(_forget_field)
    inside = _value() + pp.Opt(comma - tokens.string(), default=None)
    group = tokens.mark(".") - tokens.word("group") - _bracketed(inside)
    return pp.Opt(build(group, lambda _, value, otherwise: (value, otherwise)), default=None)


def _event(selection: pp.ParserElement, default: Any) -> pp.ParserElement:
    """Leave the type, what was selected of it, and the filters."""
    filters = pp.ZeroOrMore(tokens.mark(".") - _filter())
    return tokens.type_name() + pp.Opt(selection, default=default) + filters


def _filter() -> pp.ParserElement:
    any_filter = pp.Forward()
    literal, array = _literal_and_array()
    ordered = [each for each in OPERATORS.values() if isinstance(each, OrderOperator)]
    searching = [each.name for each in OPERATORS.values() if isinstance(each, TextOperator)]
    comparison = tokens.filter_name(*(each.name for each in ordered if not each.any_of)) - _pair(literal)
    membership = tokens.filter_name(*(each.name for each in ordered if each.any_of)) - _pair(array)
    search = tokens.filter_name(*searching) - _pair(tokens.string())
    existence = tokens.filter_name("exists") - _bracketed(_field())
    disjunction = tokens.filter_name("or") - _bracketed(_listed(any_filter))
    conjunction = tokens.filter_name("and") - _bracketed(_listed(any_filter))
    negation = tokens.filter_name("not") - _bracketed(any_filter)
    any_filter <<= (
        build(comparison | membership | search, Comparison)
        | build(existence, lambda _, field: Exists(field))
        | build(disjunction, lambda _, *filters: Or(filters))
        | build(conjunction, lambda _, *filters: And(filters))
        | build(negation, lambda _, negated: Not(negated))
    )
    return any_filter


def _pair(literal: pp.ParserElement) -> pp.ParserElement:
    compared = _field().add_parse_action(_note_field)
    return tokens.mark("(") - compared - tokens.mark(",") - literal - tokens.mark(")")


def _note_field(source: str, _place: int, found: pp.ParseResults) -> None:
    cast("Source", source).field = found[0]


def _forget_field(source: str, _place: int, _found: pp.ParseResults) -> None:
    """What follows is no value of the field that was last compared."""
    cast("Source", source).field = None


def _literal_and_array() -> tuple[pp.ParserElement, pp.ParserElement]:
    literal = pp.Forward()
    filled = tokens.mark("[", "an array") - _listed(literal) - tokens.mark("]")
    array = tokens.empty_array() | build(filled, _pack)
    negative = build(tokens.mark("-") - tokens.number(), lambda number: normal(-number))
    literal <<= tokens.string() | tokens.number() | negative | tokens.constant() | array
    return literal, array


def _value() -> pp.ParserElement:
    value = pp.Forward()
    call = build(tokens.function_name() - _bracketed(value), lambda name, *values: Call(name, values))
    value <<= _chain(call | _field() | _constant() | _bracketed(value))
    return value


def _field() -> pp.ParserElement:
    member = tokens.mark(".") - tokens.identifier("a name")
    element = tokens.mark("[") - (tokens.index() | tokens.property_name()) - tokens.mark("]")
    bracketed = tokens.mark("[", "a field") - tokens.property_name() - tokens.mark("]")
    first = tokens.identifier("a field") | bracketed
    return build(first + pp.ZeroOrMore(member | element), lambda *path: Field(path))


def _constant() -> pp.ParserElement:
    return build(tokens.number(), Number)


def _chain(operand: pp.ParserElement) -> pp.ParserElement:
    minuses = pp.ZeroOrMore(tokens.operator("-"))
    chain = minuses + operand + pp.ZeroOrMore(tokens.operator("+", "-", "*", "/") - minuses - operand)
    return build(chain, lambda *parts: _build_arithmetic(parts))


def _bracketed(inside: pp.ParserElement) -> pp.ParserElement:
    return tokens.mark("(") - inside - tokens.mark(")")


def _listed(item: pp.ParserElement) -> pp.ParserElement:
    return item + pp.ZeroOrMore(tokens.mark(",") - item)


def _build_reduction(
    reduce: str, event: tuple[Any, ...], group: tuple[Value, str | None] | None, argument: float | None = None
) -> Reduction:
    name, value, filters = event
    grouped, otherwise = group or (None, None)
    return Reduction(reduce, name, value, filters, grouped, argument, otherwise)


def _pack(*items: Any) -> tuple[Any, ...]:
    return items


def _build_arithmetic(parts: Sequence[Any]) -> Any:
    """Return the tree of operands and operators as they stand in the text, such as ``- a * b + c``.

    Operators are str, operands are nodes; the parts are those of one chain
    ``"-"* operand (operator "-"* operand)*``.
    """
    terms: list[tuple[Any, Any]] = []
    factors: list[tuple[Any, Any]] = []
    sign: str = "+"
    scale: str | None = "*"  # the operator before the next operand; None just after an operand
    minuses = 0
    for part in parts:
        if not isinstance(part, str):
            factors.append((scale, _negate(part, minuses)))
            scale, minuses = None, 0
        elif scale is not None:
            minuses += 1
        elif part in ("*", "/"):
            scale = part
        else:
            terms.append((sign, _one_or(Product, factors)))
            sign, scale, factors = part, "*", []
    terms.append((sign, _one_or(Product, factors)))
    return _one_or(Sum, terms)


def _negate(node: Any, minuses: int) -> Any:
    for _ in range(minuses):
        node = Number(normal(-node.value)) if isinstance(node, Number) else Negation(node)
    return node


def _one_or(make: type[Sum[Any]] | type[Product[Any]], parts: list[tuple[Any, Any]]) -> Any:
    return make(tuple(parts)) if len(parts) > 1 else parts[0][1]
