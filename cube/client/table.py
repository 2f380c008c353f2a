"""Answers as tables: rows, numpy, pandas, Polars or Arrow, from Arrow streams, without a copy through JSON.

pyarrow is imported here when it is first used, and so are numpy, pandas and Polars.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from cube.errors import CubeError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import polars as pl
    import pyarrow as pa

ARROW = "application/vnd.apache.arrow.stream"

_JSON_FIELD = {b"cube": b"json"}
_EXACT = 2**53  # every integer up to it is a double


class AnswerColumns(ABC):
    """What can be shown as columns, or as rows; each method reads all of it.

    Times are UTC, in milliseconds. A column of JSON texts (in Arrow its metadata say ``cube: json``) holds
    values of several kinds, objects or arrays. Where there is no value there is null, or NaN.
    """

    @abstractmethod
    def arrow(self) -> pa.Table:
        """Return a ``pyarrow.Table``."""

    def rows(self) -> list[dict[str, Any]]:
        """Return a dict for each row, without what it has no value for; what is JSON is decoded."""
        return _rows(self.arrow())

    def numpy(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return an array for each column; times are datetime64[ms], texts objects."""
        table = self.arrow()
        return {
            name: column.to_numpy(zero_copy_only=False)
            for name, column in zip(table.column_names, map(_plain, table.columns), strict=True)
        }

    def pandas(self) -> pd.DataFrame:
        """Return a pandas DataFrame; needs pandas."""
        return self.arrow().to_pandas()

    def polars(self) -> pl.DataFrame:
        """Return a Polars DataFrame; needs Polars."""
        import polars

        return polars.DataFrame(self.arrow())

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Hand the columns to any library that knows Arrow's PyCapsule interface, such as DuckDB."""
        return self.arrow().__arrow_c_stream__(requested_schema)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.rows())


class AnswerTable(AnswerColumns):
    """One answer, whole; ``warnings``: what the evaluator says that it may get wrong."""

    def __init__(self, table: pa.Table, warnings: Sequence[str] = ()) -> None:
        self.warnings = tuple(warnings)
        self._table = table

    def arrow(self) -> pa.Table:
        return self._table

    def __len__(self) -> int:
        rows: int = self._table.num_rows
        return rows

    def __repr__(self) -> str:
        return f"<Table of {len(self)} rows: {', '.join(self._table.column_names)}>"


def read(stream: bytes) -> pa.Table:
    """Read an Arrow stream; its columns refer to its bytes. Raises `CubeError` for what is none."""
    import pyarrow as pa

    try:
        return pa.ipc.open_stream(pa.py_buffer(stream)).read_all()
    except pa.ArrowException as error:
        raise CubeError(f"The answer is not an Arrow stream ({error}); accepted is one.") from None


def joined(tables: Sequence[pa.Table]) -> pa.Table:
    """Return tables one below the other, of which each may have columns, and kinds, that others have not.

    A column that is whole numbers here and doubles there becomes doubles, where these hold them; other kinds
    together become JSON.
    """
    import pyarrow as pa

    if len(tables) == 1:
        return tables[0]
    names = list(dict.fromkeys(name for table in tables for name in table.column_names))
    columns = {name: _joined_column([_column(table, name) for table in tables]) for name in names}
    fields = [pa.field(name, column.type, metadata=told) for name, (column, told) in columns.items()]
    return pa.table([column for column, _ in columns.values()], schema=pa.schema(fields))


def _column(table: pa.Table, name: str) -> tuple[pa.ChunkedArray, bool]:
    """Return a column, nulls where a table has none of the name, and whether it is JSON."""
    import pyarrow as pa

    place = table.schema.get_field_index(name)
    if place < 0:
        return pa.chunked_array([pa.nulls(table.num_rows)]), False
    return _plain(table.column(place)), table.schema.field(place).metadata == _JSON_FIELD


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return texts that are codes of a dictionary as texts."""
    import pyarrow as pa

    kind = column.type
    return column.cast(kind.value_type) if pa.types.is_dictionary(kind) else column


def _joined_column(
    parts: Sequence[tuple[pa.ChunkedArray, bool]],
) -> tuple[pa.ChunkedArray, dict[bytes, bytes] | None]:
    import pyarrow as pa

    full = [part for part in parts if part[0].null_count < len(part[0])]
    kinds = {part.type for part, _ in full}
    is_json = any(json for _, json in full)
    if not is_json and kinds == {pa.int64(), pa.float64()} and _are_exact(full):
        kinds = {pa.float64()}
    if len(kinds) > 1 or is_json:
        texts = [part if json else _texts(part) for part, json in parts]
        return pa.chunked_array([chunk for part in texts for chunk in part.chunks], pa.utf8()), _JSON_FIELD
    kind = kinds.pop() if kinds else pa.utf8()
    cast = [_nulls(part, kind) if part.null_count == len(part) else part.cast(kind) for part, _ in parts]
    return pa.chunked_array([chunk for part in cast for chunk in part.chunks], kind), None


def _nulls(part: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    import pyarrow as pa

    return pa.chunked_array([pa.nulls(len(part), kind)])


def _are_exact(parts: Sequence[tuple[pa.ChunkedArray, bool]]) -> bool:
    import pyarrow as pa
    import pyarrow.compute as pc

    edges = [pc.min_max(part).as_py() for part, _ in parts if part.type == pa.int64()]
    return all(abs(edge or 0) <= _EXACT for each in edges for edge in each.values())


def _texts(part: pa.ChunkedArray) -> pa.ChunkedArray:
    import pyarrow as pa

    values = part.to_pylist()
    texts = [None if value is None else msgspec.json.encode(value).decode() for value in values]
    return pa.chunked_array([pa.array(texts, pa.utf8())])


def _rows(table: pa.Table) -> list[dict[str, Any]]:
    decoded = [field.name for field in table.schema if field.metadata == _JSON_FIELD]
    rows = [{name: value for name, value in row.items() if value is not None} for row in table.to_pylist()]
    for name in decoded:
        for row in rows:
            if name in row:
                row[name] = msgspec.json.decode(row[name])
    return rows
