"""Parquet files, read a few thousand rows at a time; what JSON has no word for becomes text.

Times become ISO 8601 with all their digits, in UTC where their column has a zone. Bytes become text, or
base64 where they are none; decimals numbers where a double holds them, else text; durations milliseconds;
maps objects. Nulls and numbers that are not finite are left out.
"""

from __future__ import annotations

import base64
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from math import isfinite
from typing import IO, Any, ClassVar, Final
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq

from cube.errors import InvalidRequest
from cube.exporting.parquet_file import EVENTS_MARK, JSON_MARK
from cube.importing import json_columns
from cube.importing.own_exports import event_of
from cube.importing.record import SourceRecord
from cube.json_text import decode, encode
from cube.model.event import MAX_INTEGER

_ROWS: Final = 8192
_NO_TIME: Final = "<value out of range"
"""What Arrow writes for a time beyond its years, such as DuckDB's infinity."""

_MILLISECOND: Final = timedelta(milliseconds=1)


class ParquetRows:
    """The rows of a Parquet file; one that cannot be read from anywhere is copied to a temporary file."""

    counts: ClassVar[str] = "row"
    is_json: ClassVar[bool] = True

    def __init__(self, file: IO[bytes], *, has_events: bool = False) -> None:
        self._file = file
        self._has_events = has_events

    def records(self) -> Iterator[SourceRecord]:
        """Yield the rows; their content is the JSON text of their values."""
        number = 0
        with _seekable(self._file) as file:
            try:
                opened = pq.ParquetFile(file)
                read = _rows
                if self._has_events and opened.schema_arrow.metadata == EVENTS_MARK:
                    read = _events
                for batch in opened.iter_batches(_ROWS):
                    for text in read(batch):
                        number += 1
                        yield SourceRecord(number, text)
            except (pa.ArrowException, OSError) as error:
                raise InvalidRequest(
                    f"The file cannot be read as Parquet behind row {number}: {str(error).splitlines()[0]}"
                ) from None

    def value(self, record: SourceRecord) -> Any:
        """Return a row as an object, without the columns in which it has nothing."""
        return decode(record.content)

    def texts(self, records: Sequence[SourceRecord]) -> list[bytes | None]:
        """Return the rows' contents."""
        return [record.content for record in records]


@contextmanager
def _seekable(file: IO[bytes]) -> Iterator[IO[bytes]]:
    """Give a stream that can be read from anywhere."""
    if file.seekable():
        yield file
        return
    with tempfile.TemporaryFile() as copy:
        shutil.copyfileobj(file, copy)
        copy.seek(0)
        yield copy


def _rows(batch: Any) -> list[bytes]:
    """Return the rows as JSON."""
    if not batch.num_columns:
        return [b"{}"] * batch.num_rows
    return json_columns.objects(batch.schema.names, [_as_json(column) for column in batch.columns])


def _events(batch: Any) -> list[bytes]:
    """Return the rows of an export as events."""
    marked = [(field.metadata or {}) == JSON_MARK for field in batch.schema]
    columns = [
        [None if value is None else decode(value) for value in values] if is_json else values
        for is_json, values in zip(marked, map(_values, batch.columns), strict=True)
    ]
    names = batch.schema.names
    return [encode(event_of(dict(zip(names, row, strict=True)))) for row in zip(*columns, strict=True)]


def _as_json(column: Any) -> list[bytes | None]:
    """Return a column's values as JSON texts, and None for what is left out."""
    kinds, kind = pa.types, column.type
    values = _values(column)
    if kinds.is_string(kind) or kinds.is_large_string(kind):
        whole = json_columns.texts([value or "" for value in values] if column.null_count else values)
        return [None if value is None else text for value, text in zip(values, whole, strict=True)]
    if kinds.is_integer(kind) and not kinds.is_uint64(kind):
        return json_columns.numbers(values)
    return [None if value is None else encode(value) for value in values]


def _values(column: Any) -> list[Any]:
    """Return a column's values as JSON has them, and None for what is left out."""
    types = pa.types
    kind = _utc(column.type)
    column = column.cast(kind, safe=False) if kind != column.type else column
    is_text = types.is_string(kind) or types.is_large_string(kind)
    kind = _as_text(kind)
    column = column.cast(kind, safe=False) if kind != column.type else column
    if types.is_string(kind) or types.is_large_string(kind):
        texts = list(column.to_numpy(zero_copy_only=False))
        return texts if is_text else [None if text and text.startswith(_NO_TIME) else text for text in texts]
    if column.null_count == 0 and (
        types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)
    ):
        values = column.to_numpy(zero_copy_only=False).tolist()
    else:
        values = column.to_pylist()
    if (types.is_integer(kind) and not types.is_uint64(kind)) or types.is_boolean(kind):
        return list(values)
    return [_plain(value) for value in values]


def _utc(kind: Any) -> Any:
    """Return a kind with all zones as UTC, dictionaries as their values, and extensions as what is stored."""
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        return pa.timestamp(kind.unit, "UTC")
    if pa.types.is_dictionary(kind):
        return _utc(kind.value_type)
    if isinstance(kind, pa.BaseExtensionType) and kind.extension_name != "arrow.uuid":
        return _utc(kind.storage_type)
    return _nested(kind, _utc)


def _as_text(kind: Any) -> Any:
    """Return a kind with all times as text: Python has neither nanoseconds nor the year 10 000."""
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind) or pa.types.is_time(kind):
        return pa.string()
    if pa.types.is_duration(kind):
        return pa.duration("us")
    return _nested(kind, _as_text)


def _nested(kind: Any, change: Callable[[Any], Any]) -> Any:
    """Return a kind with the kinds within it changed."""
    types = pa.types
    if types.is_struct(kind):
        return pa.struct([field.with_type(change(field.type)) for field in kind])
    if types.is_map(kind):
        return pa.map_(change(kind.key_type), change(kind.item_type))
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return pa.list_(kind.value_field.with_type(change(kind.value_type)))
    return kind


def _plain(value: Any) -> Any:
    match value:
        case list() if value and all(isinstance(item, tuple) for item in value):
            return {str(name): _plain(item) for name, item in value}
        case list():
            return [_plain(item) for item in value]
        case dict():
            return {name: _plain(item) for name, item in value.items()}
        case _:
            read = _READINGS.get(type(value))
            return value if read is None else read(value)


def _decimal(value: Decimal) -> float | str:
    number = float(value)
    return number if isfinite(number) and Decimal(repr(number)) == value else str(value)


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return base64.b64encode(value).decode()


_READINGS: Final[Mapping[type, Callable[[Any], Any]]] = {
    float: lambda value: value if isfinite(value) else None,
    int: lambda value: value if value <= MAX_INTEGER else str(value),
    timedelta: lambda value: value / _MILLISECOND,
    Decimal: _decimal,
    bytes: _text,
    UUID: str,
}
