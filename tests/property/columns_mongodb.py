"""The filters of the language as queries of MongoDB."""

from __future__ import annotations

from typing import Any, assert_never

from cube.expression.nodes import And, Comparison, Exists, Field, Filter, Literal, Not, Or
from cube.model.event import ABSENT

_OPERATORS = {"ge": "$gte", "le": "$lte"}


def query(filter: Filter) -> dict[str, Any]:
    """Translate a filter without ``re``."""
    match filter:
        case Comparison(operator, field, literal):
            return {name(field): {_OPERATORS.get(operator, f"${operator}"): stored(literal)}}
        case Exists(field):
            return {name(field): {"$exists": True}}
        case Or(filters):
            return {"$or": [query(each) for each in filters]}
        case And(filters):
            return {"$and": [query(each) for each in filters]}
        case Not(inner):
            return {"$nor": [query(inner)]}
        case _:
            assert_never(filter)


def name(field: Field) -> str:
    """Return the dotted name of a field in a stored event."""
    return ".".join(["d", *map(str, field.path)])


def stored(literal: Literal) -> Any:
    """Return a literal as a driver sends it."""
    return [stored(each) for each in literal] if isinstance(literal, tuple) else literal


def document(number: int, data: Any) -> dict[str, Any]:
    """Return the stored form of an event without time."""
    return {"_id": number} if data is ABSENT else {"_id": number, "d": data}


def meets_array(field: Field, data: Any) -> bool:
    """Tell whether a field's path meets an array in the data, on the way or at its end."""
    for part in map(str, field.path):
        if not isinstance(data, dict):
            break
        data = data.get(part)
    return isinstance(data, list)


def comparisons_of(filter: Filter) -> list[Comparison | Exists]:
    """Return the comparisons and claims of existence that a filter is made of."""
    match filter:
        case Comparison() | Exists():
            return [filter]
        case Not(inner):
            return comparisons_of(inner)
        case Or(filters) | And(filters):
            return [each for inner in filters for each in comparisons_of(inner)]
        case _:
            assert_never(filter)
