"""Results as bytes: JSON, JSON lines, CSV, Parquet and Arrow's stream, batch by batch."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet

from evaluator.sql.formats import ARROW, CSV, JSON, LINES, PARQUET

GROUP_ROWS: Final = 65_536
"""Rows of one group of Parquet's."""

PART_BYTES: Final = 64 * 1024
"""Parts of an answer are of about so many bytes, or more."""

_SECOND: Final = 1_000_000


class Sink:
    """What a writer of Arrow's writes to, as a file; `taken` gives what has come, and forgets it."""

    closed = False

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def write(self, content: Any) -> int:
        self._parts.append(bytes(content))
        self._size += len(self._parts[-1])
        return len(self._parts[-1])

    def tell(self) -> int:
        return self._size

    def flush(self) -> None:
        """Do nothing: what was written is there."""

    def close(self) -> None:
        self.closed = True

    def taken(self) -> bytes:
        content = b"".join(self._parts)
        self._parts.clear()
        return content


def written(
    format: str, reader: Any, is_json: Sequence[bool], count: Callable[[int], None]
) -> Iterator[bytes]:
    """Yield a result in a format, as its batches come; ``count`` is told of the rows of each.

    ``is_json``: which columns are of DuckDB's type JSON, which are texts to Arrow.
    """
    fields = [
        pa.field(field.name, pa.json_()) if its else field
        for field, its in zip(reader.schema, is_json, strict=True)
    ]
    schema = pa.schema(fields)
    yield from _joined(_WRITERS[format](schema, _counted(reader, schema, count)))


def _counted(reader: Any, schema: Any, count: Callable[[int], None]) -> Iterator[Any]:
    for batch in reader:
        count(batch.num_rows)
        if batch.num_rows:
            columns = [
                pa.ExtensionArray.from_storage(field.type, column)
                if isinstance(field.type, pa.JsonType)
                else column
                for field, column in zip(schema, batch.columns, strict=True)
            ]
            yield pa.record_batch(columns, schema=schema)


def _joined(parts: Iterator[bytes]) -> Iterator[bytes]:
    held: list[bytes] = []
    size = 0
    for part in parts:
        held.append(part)
        size += len(part)
        if size >= PART_BYTES:
            yield b"".join(held)
            held, size = [], 0
    yield b"".join(held)


def _json(schema: Any, batches: Iterator[Any]) -> Iterator[bytes]:
    yield b"["
    before = b""
    for batch in batches:
        rows = _json_rows(batch)
        yield before + b",\n".join(rows)
        before = b",\n"
    yield b"]\n"


def _lines(schema: Any, batches: Iterator[Any]) -> Iterator[bytes]:
    for batch in batches:
        yield b"".join(row + b"\n" for row in _json_rows(batch))


def _csv(schema: Any, batches: Iterator[Any]) -> Iterator[bytes]:
    yield ",".join(map(_csv_field, schema.names)).encode() + b"\r\n"
    for batch in batches:
        columns = [[_csv_cell(cell) for cell in _cells(column)] for column in batch.columns]
        yield "".join(",".join(row) + "\r\n" for row in zip(*columns, strict=True)).encode()


def _arrow(schema: Any, batches: Iterator[Any]) -> Iterator[bytes]:
    sink = Sink()
    with pa.ipc.new_stream(pa.PythonFile(sink, "w"), schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
            yield sink.taken()
    yield sink.taken()


def _parquet(schema: Any, batches: Iterator[Any]) -> Iterator[bytes]:
    sink = Sink()
    with pa.parquet.ParquetWriter(pa.PythonFile(sink, "w"), schema, compression="zstd") as writer:
        held: list[Any] = []
        for batch in batches:
            held.append(batch)
            if sum(each.num_rows for each in held) >= GROUP_ROWS:
                writer.write_table(pa.Table.from_batches(held))
                held = []
                yield sink.taken()
        if held:
            writer.write_table(pa.Table.from_batches(held))
    yield sink.taken()


def _json_rows(batch: Any) -> list[bytes]:
    names = batch.schema.names
    columns = [_cells(column) for column in batch.columns]
    return [_encode(dict(zip(names, row, strict=True))) for row in zip(*columns, strict=True)]


def _cells(column: Any) -> list[Any]:
    """Return values as JSON has them: times in ISO 8601, what is JSON already as it is."""
    kind = column.type
    if isinstance(kind, pa.JsonType):
        return [None if text is None else msgspec.Raw(text.encode()) for text in column.storage.to_pylist()]
    if pa.types.is_timestamp(kind):
        end = "" if kind.tz is None else "Z"
        per_second = {"s": 1, "ms": 1_000, "us": _SECOND, "ns": 1_000 * _SECOND}[kind.unit]
        return [
            None if value is None else _instant(value * _SECOND // per_second) + end
            for value in column.cast(pa.int64()).to_pylist()
        ]
    return column.to_pylist()  # type: ignore[no-any-return]  # pyarrow has no types


def _instant(microseconds: int) -> str:
    """Write an instant: milliseconds, unless it has more; DuckDB's infinities by name."""
    if abs(microseconds) >= 2**63 - 1:
        return "infinity" if microseconds > 0 else "-infinity"
    try:
        moment = datetime(1970, 1, 1) + timedelta(microseconds=microseconds)
    except OverflowError:
        raise ValueError("a time before the year 1 or after 9999, which ISO 8601 does not write") from None
    return moment.isoformat(timespec="microseconds" if microseconds % 1000 else "milliseconds")


def _csv_cell(cell: Any) -> str:
    if cell is None:
        return ""
    text = cell if isinstance(cell, str) else _encode(cell).decode()
    return _csv_field(text if isinstance(cell, str | msgspec.Raw) else text.strip('"'))


def _csv_field(text: str) -> str:
    """Quote a field where that is needed (RFC 4180); an empty text, to tell it from null."""
    if text and not any(character in text for character in ',"\r\n'):
        return text
    return '"' + text.replace('"', '""') + '"'


def _plain(value: Any) -> Any:
    match value:
        case bytes():
            return b64encode(value).decode()
        case date() | time():
            return value.isoformat()
        case timedelta():
            return str(value)
        case Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
    return str(value)


_encode: Final = msgspec.json.Encoder(enc_hook=_plain, decimal_format="number").encode

_WRITERS: Final[dict[str, Callable[[Any, Iterator[Any]], Iterator[bytes]]]] = {
    JSON: _json,
    LINES: _lines,
    CSV: _csv,
    PARQUET: _parquet,
    ARROW: _arrow,
}
