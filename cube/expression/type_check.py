"""Types of values: what an expression alone tells, and refusals of what cannot be, each at its place."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, assert_never

from cube.errors import InvalidExpression, InvalidQuery
from cube.expression.functions import FUNCTIONS
from cube.expression.nodes import (
    And,
    Call,
    Comparison,
    Exists,
    Field,
    Literal,
    Negation,
    Not,
    Number,
    Or,
    Product,
    Ranking,
    Reduction,
    Relation,
    Sum,
    Text,
    Value,
)
from cube.expression.operators import OPERATORS, TextOperator
from cube.expression.printer import print_expression, print_literal
from cube.expression.source import MAX_SHOWN, Source
from cube.expression.traversal import walk
from cube.expression.value_types import NUMBER, Accepted, ValueType
from cube.model.reduce import REDUCES

MOST_ARGUMENTS: Final = 32
"""Quantiles of one reduction: each is a group of the answer."""


def type_of(value: Value) -> ValueType:
    """Return the type of what a value is, as far as the expression tells it."""
    match value:
        case Field():
            return ValueType.ANY
        case Text():
            return ValueType.TEXT
        case Comparison() | Relation() | Exists() | Or() | And() | Not():
            return ValueType.TRUTH
        case Call(function, arguments):
            result = FUNCTIONS[function].result
            return _common(arguments[1:] if function == "if" else arguments) if result is None else result
        case Number() | Negation() | Sum() | Product():
            return ValueType.NUMBER
        case _:
            assert_never(value)


def _common(values: Iterable[Value]) -> ValueType:
    types = set(map(type_of, values))
    return types.pop() if len(types) == 1 else ValueType.ANY


def check_types(tree: object, source: Source) -> None:
    """Refuse what no event can have: text where a number is taken, a pattern that is none, and the like.

    Raises `InvalidExpression`, with the place in the text that the tree was parsed from.
    """
    for node in walk(tree):
        match node:
            case Call():
                _check_call(node, source)
            case Comparison() | Relation():
                _check_filter(node, source)
            case Reduction():
                _check_reduction(node, source)
            case Ranking():
                _check_ranking(tree, source)
            case Negation(operand):
                _check_operands((operand,), source)
            case Sum(parts) | Product(parts):
                _check_operands((part for _, part in parts), source)


def _check_reduction(node: Reduction, source: Source) -> None:
    if node.value is not None and REDUCES[node.reduce].numeric:
        _check_argument(node.value, NUMBER, source)
    arguments = node.arguments or ()
    if len(set(arguments)) < len(arguments) or len(arguments) > MOST_ARGUMENTS:
        problem = f"Got {len(arguments)} quantiles, accepted are at most {MOST_ARGUMENTS}, each once;"
        raise source.refusal(source.place_of(node), f"{problem} they begin")
    for part in () if node.group is None else node.group.parts:
        if isinstance(part.value, Text):
            raise source.expecting(source.place_of(part.value), "a field")


def _check_ranking(tree: object, source: Source) -> None:
    for node in walk(tree):
        if isinstance(node, Reduction) and node.arguments is not None:
            problem = "Got several quantiles beside a ranking of groups; accepted is one quantile"
            raise source.refusal(source.place_of(node), problem)


def _check_operands(operands: Iterable[object], source: Source) -> None:
    for operand in operands:
        if isinstance(operand, (Text, Call)):  # nothing else is a text; metrics have neither
            _check_argument(operand, NUMBER, source)


def _check_call(call: Call, source: Source) -> None:
    function, given = FUNCTIONS[call.function], len(call.arguments)
    if not function.least <= given <= function.most:
        raise source.refusal(
            source.place_of(call), f"Got {given} arguments, {call.function} takes {_told(call)}"
        )
    for place, argument in enumerate(call.arguments):
        _check_argument(argument, function.parameter(place), source)


def _told(call: Call) -> str:
    function = FUNCTIONS[call.function]
    if function.repeats:
        return f"{function.least} or more"
    return str(function.least) if function.least == function.most else f"{function.least} to {function.most}"


def _check_argument(value: Value, parameter: Accepted, source: Source) -> None:
    if parameter.read is None:
        found = type_of(value)
        if found not in parameter.accepts:
            raise _mistyped(value, found.value, parameter.words, source)
        return
    try:
        parameter.read(value)
    except ValueError:
        raise _mistyped(value, "", parameter.words, source) from None
    except InvalidQuery as error:
        raise source.refusal(source.place_of(value), error.message.rstrip(".")) from None


def _check_filter(node: Comparison | Relation, source: Source) -> None:
    if isinstance(node, Relation):
        _check_relation(node.value, node.other, source)
    else:
        _check_comparison(node, source)


def _check_comparison(node: Comparison, source: Source) -> None:
    """Refuse to compare what is computed with what it never is; what a field holds is not known."""
    found = type_of(node.value)
    if found is ValueType.ANY or isinstance(node.value, Field):
        return
    operator = OPERATORS[node.operator]
    if isinstance(operator, TextOperator):
        if found is not ValueType.TEXT:
            raise _mistyped(node.value, found.value, "a text", source)
        return
    literals = node.literal if operator.any_of and isinstance(node.literal, tuple) else (node.literal,)
    for literal in literals:
        if literal is not None and _TYPES.get(type(literal)) is not found:
            problem = f"Got {print_literal(literal)} to compare with {found.value}, {_shown(node.value)}"
            raise source.refusal(source.place_of(node.value), f"{problem}; accepted is {found.value}")


def _check_relation(value: Value, other: Value, source: Source) -> None:
    """Refuse to compare what are never of one type."""
    found, wanted = type_of(value), type_of(other)
    if ValueType.ANY not in (found, wanted) and found is not wanted:
        problem = f"Got {wanted.value}, {_shown(other)}, to compare with {found.value}, {_shown(value)}"
        raise source.refusal(source.place_of(other), f"{problem}; accepted is {found.value}")


def _mistyped(value: Value, found: str, accepted: str, source: Source) -> InvalidExpression:
    told = f"{found}, {_shown(value)}," if found else _shown(value)
    return source.refusal(source.place_of(value), f"Expected {accepted}, found {told}")


def _shown(value: Value) -> str:
    text = print_expression(value)
    return f"{text[: 2 * MAX_SHOWN]}…" if len(text) > 2 * MAX_SHOWN else text


_TYPES: dict[type[Literal], ValueType] = {
    int: ValueType.NUMBER,
    float: ValueType.NUMBER,
    str: ValueType.TEXT,
    bool: ValueType.TRUTH,
}
