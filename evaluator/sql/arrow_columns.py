"""Packed columns as Arrow arrays of a column's type, and the type that a packed column has.

Nothing is copied through Python where all values are numbers, texts or booleans.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cube.columns.packed_column import PackedColumn
from cube.columns.values import EXACT_BOUND, Kind
from cube.model.event import EventId
from evaluator.sql.column_types import (
    INTEGER,
    NOTHING,
    NUMBER,
    SIMPLE,
    ColumnType,
    TypeForm,
    converted,
    json_text_of,
    merged,
    sound_text,
    type_of,
)

_AS_THEY_ARE = frozenset(
    (TypeForm.BOOLEAN, TypeForm.INTEGER, TypeForm.NUMBER, TypeForm.TEXT, TypeForm.TIME, TypeForm.NOTHING)
)
"""The forms whose values Arrow takes from Python."""


def arrow_type(type: ColumnType, *, nested: bool = False) -> Any:
    """Return the type of Arrow; JSON within others is text."""
    import pyarrow as pa

    match type.form:
        case TypeForm.BOOLEAN:
            return pa.bool_()
        case TypeForm.INTEGER:
            return pa.int64()
        case TypeForm.NUMBER:
            return pa.float64()
        case TypeForm.TIME:
            return pa.timestamp("us", "UTC")
        case TypeForm.LIST:
            return pa.list_(arrow_type(type.items or NOTHING, nested=True))
        case TypeForm.OBJECT if type.members:
            members = type.members.items()
            return pa.struct([pa.field(name, arrow_type(its, nested=True)) for name, its in members])
        case TypeForm.JSON | TypeForm.OBJECT:
            return pa.string() if nested else pa.json_()
        case _:
            return pa.string()


def observed(column: PackedColumn) -> ColumnType:
    """Return the narrowest type that holds all values of a column."""
    found = NOTHING
    kinds = column.kinds
    for kind in np.unique(kinds).tolist():
        if kind in SIMPLE:
            found = merged(found, SIMPLE[kind])
        elif kind == Kind.NUMBER:
            found = merged(found, _observed_numbers(column, kinds == Kind.NUMBER))
    last = NOTHING
    for value in column.kept.values:
        type = type_of(value)
        if type is not last:
            found, last = merged(found, type), type
            if found.form is TypeForm.JSON:
                break
    return found


def array_of(column: PackedColumn, type: ColumnType) -> Any:
    """Return a column as an array of a type that holds all of its values; null and missing are null."""
    import pyarrow as pa

    kinds = column.kinds
    match type.form:
        case TypeForm.INTEGER:
            return pa.array(_integers(column), mask=kinds != Kind.NUMBER)
        case TypeForm.NUMBER:
            return pa.array(np.ascontiguousarray(column.numbers), mask=kinds != Kind.NUMBER)
        case TypeForm.BOOLEAN:
            return pa.array(column.numbers == 1, mask=kinds != Kind.BOOL)
        case TypeForm.TEXT | TypeForm.NOTHING:
            return _texts(column)
        case TypeForm.JSON:
            return json_array([_json_cell(value) for value in _values(column)])
        case TypeForm.OBJECT if not type.members:
            return json_array([_json_cell(value) for value in _values(column)])
        case _:
            return _nested(_kept_cells(column), type)


def times_of(times: npt.NDArray[np.int64]) -> Any:
    """Return instants as timestamps in UTC."""
    import pyarrow as pa

    return pa.array(times).cast(pa.timestamp("ms", "UTC")).cast(pa.timestamp("us", "UTC"))


def ids_of(ids: Sequence[EventId]) -> Any:
    """Return ids as texts; null where Cube made it."""
    import pyarrow as pa

    return pa.array([None if isinstance(id, bytes) else sound_text(str(id)) for id in ids], pa.string())


def json_array(cells: Sequence[str | None]) -> Any:
    """Return texts of JSON as an array that DuckDB takes for JSON."""
    import pyarrow as pa

    return pa.ExtensionArray.from_storage(pa.json_(), pa.array(cells, pa.string()))


def _observed_numbers(column: PackedColumn, rows: npt.NDArray[np.bool_]) -> ColumnType:
    """Return the type of the numbers that floats hold; those that they do not are kept beside them."""
    numbers = column.numbers[rows]
    numbers = numbers[np.abs(numbers) < EXACT_BOUND]
    is_whole = (numbers == np.trunc(numbers)).all() and not (np.signbit(numbers) & (numbers == 0)).any()
    return INTEGER if is_whole else NUMBER


def _integers(column: PackedColumn) -> npt.NDArray[np.int64]:
    is_held = (column.kinds == Kind.NUMBER) & (np.abs(column.numbers) < EXACT_BOUND)
    integers = np.where(is_held, column.numbers, 0).astype(np.int64)
    for row, value in zip(column.kept.rows.tolist(), column.kept.values, strict=True):
        if isinstance(value, int):
            integers[row] = value
    return integers


def _texts(column: PackedColumn) -> Any:
    import pyarrow as pa

    if column.codes is None:
        return pa.nulls(len(column.kinds), pa.string())
    try:
        table = pa.array(column.texts, pa.string())
    except UnicodeEncodeError:
        table = pa.array(list(map(sound_text, column.texts)), pa.string())
    return table.take(pa.array(column.codes, mask=column.codes < 0))


def _kept_cells(column: PackedColumn) -> list[Any]:
    """Return the values that arrays do not tell, None in all other rows."""
    cells: list[Any] = [None] * len(column.kinds)
    for row, value in zip(column.kept.rows.tolist(), column.kept.values, strict=True):
        cells[row] = value
    return cells


def _nested(cells: Sequence[Any], type: ColumnType) -> Any:
    """Return lists, objects or times as an array: objects member by member, which is much faster."""
    import pyarrow as pa

    if type.form is TypeForm.OBJECT and type.members:
        arrays = [
            _nested([None if each is None else each.get(name) for each in cells], its)
            for name, its in type.members.items()
        ]
        fields = [pa.field(name, array.type) for name, array in zip(type.members, arrays, strict=True)]
        absent = pa.array([each is None for each in cells])
        return pa.StructArray.from_arrays(arrays, fields=fields, mask=absent)
    kind = arrow_type(type, nested=True)
    if type.form in _AS_THEY_ARE:
        try:
            return pa.array(cells, kind)
        except (pa.ArrowException, UnicodeEncodeError, OverflowError):
            pass  # such as a whole number among floats that none of them is
    return pa.array([converted(value, type) for value in cells], kind)


def _values(column: PackedColumn) -> Sequence[Any]:
    return column.at(np.arange(len(column.kinds)))


def _json_cell(value: Any) -> str | None:
    if type_of(value) == NOTHING:
        return None
    if isinstance(value, float) and value.is_integer() and abs(value) < EXACT_BOUND:
        value = int(value)
    return json_text_of(value)
