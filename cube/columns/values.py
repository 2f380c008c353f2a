"""What a value means for one event, plainly: the definition that whole columns must agree with."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from typing import Any, assert_never

import numpy as np

from cube.columns.functions import FUNCTIONS
from cube.columns.kinds import Kind, kind_of
from cube.columns.matching import Path
from cube.expression.nodes import Call, Field, Negation, Number, Product, Sum, Value
from cube.model.event import ABSENT
from cube.model.metric import Group


def read(data: Any, path: Path) -> Any:
    """Return the value at a path, or `ABSENT`: names lead into objects, indexes into arrays."""
    for part in path:
        if isinstance(data, dict) and isinstance(part, str):
            data = data.get(part, ABSENT)
        elif isinstance(data, list) and isinstance(part, int):
            data = data[part] if part < len(data) else ABSENT
        else:
            return ABSENT
    return data


def fields(value: Value) -> Iterator[Field]:
    """Yield the fields of a value, as they stand, repetitions included."""
    match value:
        case Field():
            yield value
        case Number():
            return
        case Call(_, inner) | Negation(inner):
            yield from fields(inner)
        case Sum(parts) | Product(parts):
            for _, part in parts:
                yield from fields(part)
        case _:
            assert_never(value)


def as_number(value: Any) -> float:
    """Return what a numeric reduce takes of a stored value; NaN for nothing.

    Finite numbers as floats, true and false as 1 and 0; null, text, arrays, objects and dates are
    nothing.
    """
    if kind_of(value) not in (Kind.NUMBER, Kind.BOOL):
        return math.nan
    try:
        number = float(value)
    except (OverflowError, ValueError):  # an integer, or a decimal, that no float can hold
        return math.nan
    return number if math.isfinite(number) else math.nan


def compute(value: Value, data: Any) -> float:
    """Evaluate a value for one event; NaN where an operand is not a number or a step is not finite."""
    match value:
        case Field(path):
            return as_number(read(data, path))
        case Number(constant):
            return as_number(constant)
        case Call(function, argument):
            with np.errstate(all="ignore"):
                return as_number(float(FUNCTIONS[function](np.array([compute(argument, data)]))[0]))
        case Negation(operand):
            return -compute(operand, data)
        case Sum(terms):
            return _compute_sum(terms, data)
        case Product(factors):
            return _compute_product(factors, data)
        case _:
            assert_never(value)


def canonical(value: Any) -> bytes:
    """Return the key by which "distinct" tells values apart: kind and content.

    Numbers by value, exactly (1 = 1.0; 2**53 and 2**53 + 1 differ). Objects by their properties,
    whatever their order; arrays in order.
    """
    return _CANONICAL[kind_of(value)](value)


def group_of(value: Any) -> Group:
    """Return the group that a string, number or boolean stands for, in one form for equal numbers."""
    kind = kind_of(value)
    if kind is Kind.STRING:
        return str(value)
    if kind is Kind.BOOL:
        return bool(value)
    if value == value // 1 and abs(value) < 2**63:
        return int(value)
    return float(value)


def _compute_sum(terms: tuple[tuple[str, Value], ...], data: Any) -> float:
    total = compute(terms[0][1], data)
    for sign, term in terms[1:]:
        number = compute(term, data)
        total = as_number(total + number if sign == "+" else total - number)
    return total


def _compute_product(factors: tuple[tuple[str, Value], ...], data: Any) -> float:
    total = compute(factors[0][1], data)
    for scale, factor in factors[1:]:
        number = compute(factor, data)
        if scale == "*":
            total = as_number(total * number)
        else:
            total = as_number(total / number) if number else math.nan
    return total


def _number_text(value: float | Decimal) -> str:
    if isinstance(value, int):
        return str(int(value))
    if not math.isfinite(value):
        return str(float(value))
    return str(int(value)) if value == int(value) else repr(float(value))


def _packed(keys: Iterable[bytes]) -> bytes:
    return b"".join(len(key).to_bytes(8, "big") + key for key in keys)


_CANONICAL: dict[Kind, Callable[[Any], bytes]] = {
    Kind.MISSING: lambda value: b"z",
    Kind.NULL: lambda value: b"z",
    Kind.NUMBER: lambda value: b"n" + _number_text(value).encode(),
    Kind.STRING: lambda value: b"s" + value.encode("utf-8", "surrogatepass"),
    Kind.BOOL: lambda value: b"b1" if value else b"b0",
    Kind.DATE: lambda value: b"d" + value.isoformat().encode(),
    Kind.ARRAY: lambda value: b"a" + _packed(map(canonical, value)),
    Kind.OBJECT: lambda value: (
        b"o" + _packed(sorted(_packed(map(canonical, pair)) for pair in value.items()))
    ),
    Kind.OTHER: lambda value: f"x{type(value).__name__} {value!r}".encode("utf-8", "surrogatepass"),
}
