"""Columns as an Arrow IPC stream, which numpy, pandas, Polars, DuckDB and others read without a copy.

A column is of one kind: whole numbers (int64), numbers (double), booleans, texts (utf8), times (timestamp in
milliseconds, UTC). Values of several kinds, objects and arrays are JSON texts, and the field's metadata then
say ``cube: json``. Null is what is absent, or null.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from cube import json_text
from cube.columns.values import Floats

MEDIA_TYPE: Final = "application/vnd.apache.arrow.stream"
"""Its name in ``Accept`` and ``Content-Type``, as IANA has it."""

Column: TypeAlias = "tuple[Any, bool]"
"""An Arrow array, and whether it holds JSON texts."""

_EXACT = 2**53  # every integer up to it is a double
_JSON: Final = {b"cube": b"json"}


def times(values: Sequence[int] | npt.NDArray[np.int64]) -> Column:
    """Return milliseconds since 1970 as a column."""
    import pyarrow as pa

    return pa.array(np.asarray(values, dtype=np.int64), pa.timestamp("ms", tz="UTC")), False


def numbers(values: Floats) -> Column:
    """Return numbers as a column; NaN is null."""
    import pyarrow as pa

    return pa.array(values, pa.float64(), from_pandas=True), False


def column(values: Sequence[Any]) -> Column:
    """Return JSON values as a column of the one kind that they have, or of their JSON."""
    import pyarrow as pa

    kinds = frozenset(map(type, values)) - {type(None)}
    make = _MAKERS.get(kinds)
    if make is not None:
        try:
            return make(values), False
        except (OverflowError, ValueError, pa.ArrowException):  # an integer that int64, or a double, has not
            pass
    texts = [None if value is None else json_text.encode(value).decode() for value in values]
    return pa.array(texts, pa.utf8()), True


def repeated(values: Sequence[Any], times: int) -> Column:
    """Return values as a column, all of them so many times; texts as codes of a dictionary."""
    import pyarrow as pa

    array, is_json = column(values)
    codes = np.tile(np.arange(len(values), dtype=np.int32), times)
    if array.type != pa.utf8():
        return array.take(pa.array(codes)), is_json
    mask = np.tile(np.array([value is None for value in values], dtype=bool), times)
    return pa.DictionaryArray.from_arrays(pa.array(codes, mask=mask), array), is_json


def stream(columns: Mapping[str, Column]) -> bytes:
    """Return columns of one length, by name, as a stream of one record batch."""
    import pyarrow as pa

    fields = [
        pa.field(name, array.type, metadata=_JSON if is_json else None)
        for name, (array, is_json) in columns.items()
    ]
    schema = pa.schema(fields)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_batch(pa.record_batch([array for array, _ in columns.values()], schema=schema))
    written: bytes = sink.getvalue().to_pybytes()
    return written


def _whole(values: Sequence[Any]) -> Any:
    import pyarrow as pa

    return pa.array(values, pa.int64())


def _doubles(values: Sequence[Any]) -> Any:
    import pyarrow as pa

    if any(type(value) is int and abs(value) > _EXACT for value in values):
        raise OverflowError
    return pa.array(values, pa.float64())


def _booleans(values: Sequence[Any]) -> Any:
    import pyarrow as pa

    return pa.array(values, pa.bool_())


def _texts(values: Sequence[Any]) -> Any:
    import pyarrow as pa

    return pa.array(values, pa.utf8())


_MAKERS: Mapping[frozenset[type], Callable[[Sequence[Any]], Any]] = {
    frozenset(): _texts,
    frozenset({int}): _whole,
    frozenset({float}): _doubles,
    frozenset({int, float}): _doubles,
    frozenset({bool}): _booleans,
    frozenset({str}): _texts,
}
