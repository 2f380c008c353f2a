"""Tables as Parquet: typed columns, compressed with zstd, a row group for each part of the rows.

Times are timestamps in milliseconds, UTC. A column of several kinds, or of arrays, holds JSON texts, and says
so in its field's metadata (``cube: json``). pyarrow is imported here when it is first used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, BinaryIO, Final

from cube import json_text
from cube.exporting.table import ColumnKind, NamedColumn, Row, Rows
from cube.model import instant

JSON_MARK: Final = {b"cube": b"json"}
EVENTS_MARK: Final = {b"cube": b"events"}
"""What says that a table's rows are events, in its own metadata."""


def write_parquet(to: BinaryIO, columns: Sequence[NamedColumn], rows: Rows) -> None:
    """Write a table; raises `OSError`."""
    import pyarrow as pa
    from pyarrow import parquet

    types = {
        ColumnKind.TIME: pa.timestamp("ms", tz="UTC"),
        ColumnKind.BOOL: pa.bool_(),
        ColumnKind.INTEGER: pa.int64(),
        ColumnKind.FLOAT: pa.float64(),
        ColumnKind.TEXT: pa.string(),
        ColumnKind.JSON: pa.string(),
    }
    fields = [
        pa.field(each.name, types[each.kind], metadata=JSON_MARK if each.kind is ColumnKind.JSON else None)
        for each in columns
    ]
    are_events = [each.name for each in columns[:2]] == ["type", "time"]
    schema = pa.schema(fields, metadata=EVENTS_MARK if are_events else None)
    with parquet.ParquetWriter(to, schema, compression="zstd") as writer:
        for some in rows():
            arrays = [pa.array(_values(column, some), types[column.kind]) for column in columns]
            if some:
                writer.write_batch(pa.record_batch(arrays, schema=schema))


def _values(column: NamedColumn, rows: Sequence[Row]) -> list[Any]:
    convert, name = _CONVERSIONS.get(column.kind), column.name
    values = [row.get(name) for row in rows]
    return values if convert is None else [None if value is None else convert(value) for value in values]


_CONVERSIONS: dict[ColumnKind, Callable[[Any], Any]] = {
    ColumnKind.TIME: instant.parse,
    ColumnKind.FLOAT: float,
    ColumnKind.JSON: lambda value: json_text.encode(value).decode(),
}
