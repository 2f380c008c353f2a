"""The kinds of values in events' data, numbered as MongoDB orders them.

Values of different kinds never compare, except inside arrays, where the kinds' order decides
("Comparison/Sort Order" in MongoDB's manual; the numbers are those of its ``canonicalizeBSONType``).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from enum import IntEnum
from typing import Any

from msgspec import UnsetType


class Kind(IntEnum):
    """The kind of one value; fits in uint8.

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


_CLASSES: tuple[tuple[type | tuple[type, ...], Kind], ...] = (
    (bool, Kind.BOOL),  # before int, which it is a subclass of
    ((int, float, Decimal), Kind.NUMBER),
    (str, Kind.STRING),
    (dict, Kind.OBJECT),
    ((list, tuple), Kind.ARRAY),  # tuples are the arrays of literals
    (date, Kind.DATE),
    (type(None), Kind.NULL),
    (UnsetType, Kind.MISSING),
)
_KINDS: dict[type, Kind] = {
    bool: Kind.BOOL,
    int: Kind.NUMBER,
    float: Kind.NUMBER,
    str: Kind.STRING,
    dict: Kind.OBJECT,
    list: Kind.ARRAY,
    tuple: Kind.ARRAY,
    type(None): Kind.NULL,
    UnsetType: Kind.MISSING,
}


def kind_of(value: Any) -> Kind:
    """Return the kind of a decoded value; `ABSENT` is MISSING."""
    known = _KINDS.get(value.__class__)
    return kind_of_class(value.__class__) if known is None else known


def kind_of_class(kind: type) -> Kind:
    """Return the kind of a class's values; a driver's subclass of int is a number."""
    return next((its for classes, its in _CLASSES if issubclass(kind, classes)), Kind.OTHER)


def kinds_of_classes(classes: Iterable[type]) -> dict[type, Kind]:
    """Return the kind of each class, for mapping whole columns."""
    return {kind: kind_of_class(kind) for kind in classes}
