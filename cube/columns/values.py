"""Stored values: their kinds, what is read of them, and what tells them apart."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from decimal import Decimal
from enum import IntEnum
from typing import Any, TypeAlias

import numpy as np
from msgspec import UnsetType

from cube.expression.logarithms import Floats as Floats
from cube.expression.nodes import Element
from cube.model.event import ABSENT
from cube.model.tier import Group

Path: TypeAlias = "Sequence[str | int | Element]"

Scalar: TypeAlias = "float | str | bool"

EXACT_BOUND = 2.0**53
"""Below it in magnitude every integer is a float of its own."""

OPERATIONS: dict[str, Callable[[Floats, Floats], Floats]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
}
"""What the signs and scales of arithmetic do to whole columns."""


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
    """Return the value at a path, or `ABSENT`: names lead into objects, indexes and keys into arrays."""
    for part in path:
        if isinstance(data, dict) and isinstance(part, str):
            data = data.get(part, ABSENT)
        elif isinstance(data, list) and isinstance(part, int):
            data = data[part] if part < len(data) else ABSENT
        elif isinstance(data, list) and isinstance(part, Element):
            data = element(data, part)
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


def element(items: Sequence[Any], wanted: Element) -> Any:
    """Return the first object in an array whose value at a path is what is wanted; else `ABSENT`."""
    literal, key = wanted.literal, wanted.key
    kind, last = kind_of(literal), key[-1]
    for item in items:
        found = item if len(key) == 1 else read(item, key[:-1])
        value = found.get(last, ABSENT) if isinstance(found, dict) else ABSENT
        if value == literal and kind_of(value) is kind:
            return item
    return ABSENT


def scalar(value: Any) -> Scalar | UnsetType:
    """Return what functions and conditions take of a stored value; `ABSENT` for nothing.

    Text, true and false as they are, numbers as finite floats; null, arrays, objects and dates are nothing.
    """
    kind = kind_of(value)
    if kind is Kind.STRING:
        return str(value)
    if kind is Kind.BOOL:
        return bool(value)
    number = as_number(value)
    return ABSENT if math.isnan(number) else number


def canonical(value: Any) -> bytes:
    """Return the key by which "distinct" tells values apart: kind and content.

    Numbers by value, exactly (1 = 1.0; 2**53 and 2**53 + 1 differ). Objects by their properties,
    whatever their order; arrays in order.
    """
    return _CANONICAL[kind_of(value)](value)


def canonical_texts(texts: Iterable[str]) -> list[bytes]:
    """Return what `canonical` does of each of some texts."""
    return [b"s" + text.encode("utf-8", "surrogatepass") for text in texts]


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
