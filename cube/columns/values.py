"""What a value means for one event, plainly: the definition that whole columns must agree with."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from decimal import Decimal
from enum import IntEnum
from typing import Any, TypeAlias, assert_never

import numpy as np
from msgspec import UnsetType

from cube.expression.functions import FUNCTIONS, Function
from cube.expression.functions import Floats as Floats
from cube.expression.nodes import Call, Field, Negation, Number, Product, Sum, Value
from cube.model.event import ABSENT
from cube.model.tier import Group

Path: TypeAlias = "Sequence[str | int]"

OPERATIONS: dict[str, Callable[[Floats, Floats], Floats]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
}
"""What the signs and scales of arithmetic do to whole columns."""


_STEPS: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": lambda total, number: total / number if number else math.nan,
}


class Kind(IntEnum):
    """The kind of one value, numbered as MongoDB orders them; fits in uint8.

    Values of different kinds never compare, except inside arrays, where the kinds' order decides
    ("Comparison/Sort Order" in MongoDB's manual; the numbers are those of its ``canonicalizeBSONType``).
    ``NUMBER``: whole and fractional numbers alike, never a boolean. ``DATE``: a stored date, which no
    literal equals. ``OTHER``: what JSON does not have (binary data, ids, …): present, but equal to
    no literal either.
    """

    MISSING = 0
    NULL = 5
    NUMBER = 10
    STRING = 15
    OBJECT = 20
    ARRAY = 25
    OTHER = 30
    BOOL = 40
    DATE = 45


_KINDS: dict[type, Kind] = {
    bool: Kind.BOOL,  # before int, which it is a subclass of
    int: Kind.NUMBER,
    float: Kind.NUMBER,
    Decimal: Kind.NUMBER,
    str: Kind.STRING,
    dict: Kind.OBJECT,
    list: Kind.ARRAY,
    tuple: Kind.ARRAY,  # the arrays of literals
    date: Kind.DATE,
    type(None): Kind.NULL,
    UnsetType: Kind.MISSING,
}


def kind_of(value: Any) -> Kind:
    """Return the kind of a decoded value; `ABSENT` is MISSING."""
    known = _KINDS.get(value.__class__)
    return kind_of_class(value.__class__) if known is None else known


def kind_of_class(kind: type) -> Kind:
    """Return the kind of a class's values; a driver's subclass of int is a number."""
    return next((its for known, its in _KINDS.items() if issubclass(kind, known)), Kind.OTHER)


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
        case Call(function, arguments):
            return _call(FUNCTIONS[function], [compute(each, data) for each in arguments])
        case Negation(operand):
            return -compute(operand, data)
        case Sum(parts) | Product(parts):
            total = compute(parts[0][1], data)
            for sign, part in parts[1:]:
                total = as_number(_STEPS[sign](total, compute(part, data)))
            return total
        case _:
            assert_never(value)


def group_at(group: Value, data: Any) -> Group | None:
    """Return the group of one event; None for none.

    A field's value is a group where it is text, a number that a float can hold, or a boolean; what is
    computed of fields is one where it is a number.
    """
    if not isinstance(group, Field):
        number = compute(group, data)
        return None if math.isnan(number) else group_of(number)
    value = read(data, group.path)
    kind = kind_of(value)
    if kind is Kind.NUMBER:
        return None if math.isnan(as_number(value)) else group_of(value)
    return group_of(value) if kind in (Kind.STRING, Kind.BOOL) else None


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


def _call(function: Function, arguments: Sequence[float]) -> float:
    if any(map(math.isnan, arguments)):
        return math.nan
    try:
        return as_number(float(function.plain(*arguments)))
    except (ArithmeticError, ValueError):
        return math.nan


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
