"""Event expressions over blocks: which events, what is shown of them, what must be read for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, assert_never

from cube.columns.block import Block
from cube.columns.column import Booleans, stored
from cube.columns.kinds import Kind
from cube.columns.masks import mask
from cube.columns.matching import Path
from cube.columns.values import fields, read
from cube.expression.nodes import (
    And,
    Comparison,
    EventExpression,
    Exists,
    Field,
    Filter,
    Not,
    Or,
    Reduction,
)
from cube.model.event import ABSENT


def needed(expression: Reduction | EventExpression) -> tuple[str, ...] | None:
    """Return the top-level names of the data that an expression needs, sorted; None for all of them."""
    if isinstance(expression, EventExpression):
        if expression.fields is None:
            return None
        used = list(expression.fields)
    else:
        used = [] if expression.value is None else list(fields(expression.value))
        used += [] if expression.group is None else [expression.group]
    used += [field for each in expression.filters for field in _filtered(each)]
    return tuple(sorted({str(field.path[0]) for field in used}))


def readings(reduction: Reduction) -> frozenset[tuple[str, Path]]:
    """Return the columns that a reduction reads: how ("stored" or "searched"), and the path."""
    taken = [] if reduction.value is None else [*fields(reduction.value)]
    taken += [] if reduction.group is None else [reduction.group]
    found = {("stored", tuple(field.path)) for field in taken}
    found |= {("searched", tuple(field.path)) for each in reduction.filters for field in _filtered(each)}
    return frozenset(found)


def selected(expression: EventExpression, block: Block) -> Booleans:
    """Tell which rows an event expression selects: those that pass its filters and have its fields.

    A field whose value is null is there.
    """
    passed = mask(expression.filters, block)
    for field in expression.fields or ():
        passed &= stored(block, field.path).kinds != Kind.MISSING
    return passed


def project(fields: Sequence[Field] | None, data: Any) -> Any:
    """Return what an event expression shows of one event's data; `ABSENT` for none of it.

    ``fields``: as in `EventExpression`. Values stand nested as stored: before an element of an array
    stand nulls for the elements that were not asked for. Fields that are not there are left out.
    """
    if fields is None:
        return data
    shown: Any = ABSENT
    for path in _outermost(fields):
        value = read(data, path)
        if value is not ABSENT:
            shown = _put(shown, path, value)
    return shown


def _filtered(filter: Filter) -> Iterator[Field]:
    match filter:
        case Comparison(_, field, _) | Exists(field):
            yield field
        case Or(filters) | And(filters):
            for each in filters:
                yield from _filtered(each)
        case Not(inner):
            yield from _filtered(inner)
        case _:
            assert_never(filter)


def _outermost(fields: Sequence[Field]) -> list[Path]:
    paths = {tuple(field.path): None for field in fields}
    return [path for path in paths if not any(path[:length] in paths for length in range(1, len(path)))]


def _put(shown: Any, path: Path, value: Any) -> Any:
    if not path:
        return value
    part, rest = path[0], path[1:]
    if isinstance(part, str):
        shown = {} if shown is ABSENT else shown
        shown[part] = _put(shown.get(part, ABSENT), rest, value)
        return shown
    shown = [] if shown is ABSENT else shown
    shown += [None] * (part + 1 - len(shown))
    shown[part] = _put(ABSENT if shown[part] is None else shown[part], rest, value)
    return shown
