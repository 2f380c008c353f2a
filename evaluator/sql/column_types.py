"""What type a column of SQL has: the narrowest that holds all values of a field, as they are.

Types are a lattice: `merged` of two is the narrowest that holds the values of both. What no other type holds
is kept as JSON, so that no value is lost or changed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any, Final

from cube.columns.values import Kind, kind_of
from cube.model.event import ABSENT, MAX_INTEGER, MIN_INTEGER

MOST_MEMBERS: Final = 256
"""An object with more names, all together, is a column of JSON."""

MOST_LEVELS: Final = 8
"""So is one that is nested deeper."""


class TypeForm(Enum):
    """The forms of types; the values are those that DuckDB shows."""

    NOTHING = "VARCHAR"
    BOOLEAN = "BOOLEAN"
    INTEGER = "BIGINT"
    NUMBER = "DOUBLE"
    TEXT = "VARCHAR "
    TIME = "TIMESTAMP WITH TIME ZONE"
    LIST = "[]"
    OBJECT = "STRUCT"
    JSON = "JSON"


@dataclass(frozen=True, slots=True)
class ColumnType:
    """A type; ``items``: of a list; ``members``: of an object, by name, in order of the names."""

    form: TypeForm
    items: ColumnType | None = None
    members: Mapping[str, ColumnType] = field(default_factory=dict, hash=False)

    @property
    def has_objects(self) -> bool:
        """Whether it is of objects, or of lists of them."""
        return self.form is TypeForm.OBJECT or (self.items is not None and self.items.has_objects)


NOTHING: Final = ColumnType(TypeForm.NOTHING)
JSON: Final = ColumnType(TypeForm.JSON)
TEXT: Final = ColumnType(TypeForm.TEXT)
NUMBER: Final = ColumnType(TypeForm.NUMBER)
INTEGER: Final = ColumnType(TypeForm.INTEGER)
BOOLEAN: Final = ColumnType(TypeForm.BOOLEAN)
TIME: Final = ColumnType(TypeForm.TIME)

SIMPLE: Final = {
    Kind.MISSING: NOTHING,
    Kind.NULL: NOTHING,
    Kind.BOOL: BOOLEAN,
    Kind.STRING: TEXT,
    Kind.OTHER: JSON,
    Kind.DATE: TIME,
}
"""The types of the kinds that have one for all of their values."""

MOST_SHAPES: Final = 1_000
"""So many objects' types are remembered, by those of their members."""

_SHAPES: Final[dict[tuple[tuple[str, ...], tuple[int, ...]], ColumnType]] = {}
_STAYING: Final = {id(each): each for each in (NOTHING, JSON, TEXT, NUMBER, INTEGER, BOOLEAN, TIME)}
_BY_CLASS: Final[dict[type[Any], ColumnType]] = {str: TEXT, bool: BOOLEAN, type(None): NOTHING}

_NUMERIC: Final = {TypeForm.INTEGER, TypeForm.NUMBER}


def merged(one: ColumnType, other: ColumnType) -> ColumnType:
    """Return the narrowest type that holds the values of both."""
    if one is other or one == other or other.form is TypeForm.NOTHING:
        return one
    if one.form is TypeForm.NOTHING:
        return other
    if one.form in _NUMERIC and other.form in _NUMERIC:
        return NUMBER
    if one.items is not None and other.items is not None:
        return ColumnType(TypeForm.LIST, merged(one.items, other.items))
    if one.form is other.form is TypeForm.OBJECT:
        names = sorted({*one.members, *other.members})
        if len({name.casefold() for name in names}) < len(names) or len(names) > MOST_MEMBERS:
            return JSON  # SQL does not tell these names apart
        both = {
            name: merged(one.members.get(name, NOTHING), other.members.get(name, NOTHING)) for name in names
        }
        return ColumnType(TypeForm.OBJECT, members=both)
    return JSON


def type_of(value: Any, level: int = 0) -> ColumnType:
    """Return the type of one value; of `ABSENT` and null it is `NOTHING`."""
    known = _BY_CLASS.get(value.__class__)
    if known is not None:
        return known
    kind = kind_of(value)
    if kind in SIMPLE:
        return SIMPLE[kind]
    match kind:
        case Kind.NUMBER:
            return _type_of_number(value)
        case Kind.ARRAY if level < MOST_LEVELS:
            items = NOTHING
            for item in value:
                items = merged(items, type_of(item, level + 1))
            return ColumnType(TypeForm.LIST, items)
        case Kind.OBJECT if level < MOST_LEVELS:
            return _type_of_object(value, level)
        case _:
            return JSON


def converted(value: Any, type: ColumnType) -> Any:
    """Return a value as Arrow takes it for a type that holds it; None for null and `ABSENT`."""
    if value is None or value is ABSENT:
        return None
    match type.form:
        case TypeForm.NUMBER:
            return float(value)
        case TypeForm.TEXT | TypeForm.NOTHING:
            return sound_text(value)
        case TypeForm.LIST:
            return [converted(item, type.items or NOTHING) for item in value]
        case TypeForm.OBJECT if type.members:
            return {name: converted(value.get(name), its) for name, its in type.members.items()}
        case TypeForm.JSON | TypeForm.OBJECT:
            return json_text_of(value)
        case _:
            return value


def sound_text(text: str) -> str:
    """Return a text that UTF-8 has: U+FFFD for each half of a surrogate pair, which JSON may have."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def json_text_of(value: Any) -> str:
    """Return a value's JSON; what JSON does not have as the text that it is written with."""
    return sound_text(json.dumps(value, ensure_ascii=False, default=_shown, separators=(",", ":")))


def _shown(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return float(value) if isinstance(value, Decimal) else str(value)


def _type_of_number(value: Any) -> ColumnType:
    if isinstance(value, int):
        return INTEGER if MIN_INTEGER <= value <= MAX_INTEGER else NUMBER
    is_whole = isinstance(value, float) and value.is_integer() and abs(value) < 2**53
    # A whole float is an integer in JSON as Cube reads it; minus zero has no integer.
    return INTEGER if is_whole and str(value) != "-0.0" else NUMBER


def _type_of_object(value: Mapping[str, Any], level: int) -> ColumnType:
    """Return the type of an object; of most there was one with members of the same types before."""
    types = [type_of(each, level + 1) for each in value.values()]
    shape = (tuple(value), tuple(map(id, types)))
    known = _SHAPES.get(shape)
    if known is None:
        known = _object_type(dict(zip(value, types, strict=True)))
        # The ids are those of types that stay.
        if len(_SHAPES) < MOST_SHAPES and all(id(each) in _STAYING for each in types):
            _SHAPES[shape] = _STAYING.setdefault(id(known), known)
    return known


def _object_type(types: Mapping[str, ColumnType]) -> ColumnType:
    names = sorted(types)
    if len({name.casefold() for name in names}) < len(names) or len(names) > MOST_MEMBERS:
        return JSON
    return ColumnType(TypeForm.OBJECT, members={name: types[name] for name in names})
