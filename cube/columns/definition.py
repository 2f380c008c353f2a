"""What values, filters and groups mean for one event, plainly: what whole columns must agree with."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any, assert_never

from msgspec import UnsetType

from cube.columns.combining import combined_text
from cube.columns.matching import compares_one, passes_any, reached, relates
from cube.columns.values import Kind, Scalar, as_number, group_of, kind_of, read, scalar
from cube.expression.functions import FUNCTIONS, Form, OfNumbers, OfOne
from cube.expression.nodes import (
    And,
    Call,
    Comparison,
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
from cube.expression.operators import OPERATORS
from cube.model.event import ABSENT
from cube.model.tier import Group

_STEPS: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": lambda total, number: total / number if number else math.nan,
}


def matches(filter: Filter, data: Any, time: float = math.nan) -> bool:
    """Tell whether an event with this data (`ABSENT` for none) passes a filter.

    ``time``: the event's, in milliseconds; without it what asks for that has no value.
    """
    match filter:
        case Comparison():
            return _compares(filter, data, time)
        case Relation(name, value, other):
            return relates(OPERATORS[name], _side(value, data, time), _side(other, data, time))
        case Exists(Field(path)):
            return any(value is not ABSENT for value in reached(data, path))
        case Exists(value):
            return evaluate(value, data, time) is not ABSENT
        case Or(filters):
            return any(matches(each, data, time) for each in filters)
        case And(filters):
            return all(matches(each, data, time) for each in filters)
        case Not(inner):
            return not matches(inner, data, time)
        case _:
            assert_never(filter)


def _compares(filter: Comparison, data: Any, time: float) -> bool:
    its, literal = OPERATORS[filter.operator], filter.literal
    if isinstance(filter.value, Field):
        return its.negated != passes_any(its, reached(data, filter.value.path), literal)
    return its.negated != compares_one(its, evaluate(filter.value, data, time), literal)


def _side(value: Value, data: Any, time: float) -> Any:
    """Return what is compared of a value: of a field what is stored there, exactly."""
    return read(data, value.path) if isinstance(value, Field) else evaluate(value, data, time)


def evaluate(value: Value, data: Any, time: float = math.nan) -> Scalar | UnsetType:
    """Return the number, text or truth that a value is for one event; `ABSENT` for none.

    None where a field is missing or holds none of these, or a step has no finite result. ``time``: as in
    `matches`.
    """
    match value:
        case Field(path):
            return scalar(read(data, path))
        case Number(constant):
            return scalar(constant)
        case Text(text):
            return text
        case Call(function, arguments):
            return _call(function, arguments, data, time)
        case Negation() | Sum() | Product():
            return scalar(_computed(value, data, time))
        case Comparison() | Relation() | Exists() | Or() | And() | Not():
            return matches(value, data, time)
        case _:
            assert_never(value)


def compute(value: Value, data: Any, time: float = math.nan) -> float:
    """Return the number that a value is for one event, true and false as 1 and 0; NaN for none."""
    return as_number(evaluate(value, data, time))


def group_at(group: Value, data: Any, time: float = math.nan) -> Group | None:
    """Return the group of one event; None for none.

    A field's value is a group where it is text, a number that a float can hold, or a boolean; so is what
    is computed.
    """
    if not isinstance(group, Field):
        found = evaluate(group, data, time)
        return None if isinstance(found, UnsetType) else group_of(found)
    value = read(data, group.path)
    kind = kind_of(value)
    if kind is Kind.NUMBER:
        return None if math.isnan(as_number(value)) else group_of(value)
    return group_of(value) if kind in (Kind.STRING, Kind.BOOL) else None


def _computed(value: Negation[Value] | Sum[Value] | Product[Value], data: Any, time: float) -> float:
    match value:
        case Negation(operand):
            return -compute(operand, data, time)
        case Sum(parts) | Product(parts):
            total = compute(parts[0][1], data, time)
            for sign, part in parts[1:]:
                total = as_number(_STEPS[sign](total, compute(part, data, time)))
            return total
        case _:
            assert_never(value)


def _call(name: str, arguments: Sequence[Value], data: Any, time: float) -> Scalar | UnsetType:
    function = FUNCTIONS[name]
    match function.work:
        case OfOne() if not arguments:  # time()
            return scalar(time)
        case OfNumbers(plain=plain):
            numbers = [compute(each, data, time) for each in arguments[: function.taken(arguments)]]
            return _number(plain, numbers, function.constants(arguments))
        case OfOne():
            first = arguments[0]
            stored = read(data, first.path) if isinstance(first, Field) else evaluate(first, data, time)
            return _of_one(function.work, stored, function.constants(arguments))
        case Form.IF:
            condition, *choices = arguments
            passed = bool(evaluate(condition, data, time))
            chosen = choices[:1] if passed else choices[1:]
            return evaluate(chosen[0], data, time) if chosen else ABSENT
        case Form.COALESCE:
            found = (evaluate(each, data, time) for each in arguments)
            return next((each for each in found if each is not ABSENT), ABSENT)
        case Form.COMBINE:
            values = [evaluate(each, data, time) for each in arguments]
            told = [each for each in values if not isinstance(each, UnsetType)]
            return combined_text(told) if len(told) == len(values) else ABSENT
        case _:
            raise ValueError(f"nothing says what {name} means")


def _number(
    plain: Callable[..., float], numbers: Sequence[float], constants: Sequence[Any]
) -> Scalar | UnsetType:
    if any(map(math.isnan, numbers)):
        return ABSENT
    try:
        return scalar(float(plain(*numbers, *constants)))
    except (ArithmeticError, ValueError):
        return ABSENT


def _of_one(work: OfOne, value: Any, constants: Sequence[Any]) -> Scalar | UnsetType:
    kind = kind_of(value)
    if kind is Kind.STRING:
        return scalar(work.of_text(str(value), *constants))
    if kind is Kind.NUMBER or (kind is Kind.BOOL and work.of_truths):
        return ABSENT if work.of_numbers is None else scalar(work.of_numbers(as_number(value), *constants))
    if work.of_others is not None and kind in (Kind.ARRAY, Kind.DATE):
        return scalar(work.of_others(value, *constants))
    return ABSENT
