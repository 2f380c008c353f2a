"""Packed blocks as Arrow files: narrow columns, each with its checksum; only those asked for are decoded.

A file has one record batch. Its field ``time`` is the time of day; each packed column has up to five fields:
``kinds`` (uint8), ``numbers`` (the narrowest integers that, divided by a scale, are the very floats; else
float64), ``texts`` (a dictionary), ``kept`` and ``origins`` (JSON). The schema's metadata say which field is
what; `FileHead` has the form.

pyarrow is imported here and in `cube.columns.arrow_arrays` alone, when it is first used.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from cube.columns.arrow_arrays import (
    Array,
    Unwritable,
    checksum,
    dictionary,
    fixed,
    json_cells,
    narrow,
    strings,
)
from cube.columns.packed import PackedBlock
from cube.columns.packed_column import NO_NUMBER, Kept, PackedColumn, Texts
from cube.columns.values import Floats, Kind, Path
from cube.expression.nodes import Element

FORMAT: Final = 1
"""The version of the form, and of what kinds and numbers mean in it."""

_DAY = 86_400_000
_HEAD, _CHECKSUM = b"cube", b"cube.checksum"


class DamagedColumns(Exception):
    """A file is not what was written: another's, of another version, or damaged; says what is wrong."""


class ColumnHead(msgspec.Struct, frozen=True):
    """Where a packed column's parts are: ``fields`` are places in the batch, by the part's name."""

    path: tuple[str | int | Element, ...]
    readings: tuple[str, ...]
    rest: tuple[str | int | Element, ...]
    whole: bool
    kind: int
    scale: int
    fields: dict[str, int]


class FileHead(msgspec.Struct, frozen=True):
    """What a file says of itself.

    ``name``: what it holds, as its writer put it; ``revisions``: of 10-second buckets.
    """

    format: int
    name: tuple[str, ...]
    start: int
    stop: int
    rows: int
    revisions: list[tuple[int, int]]
    columns: list[ColumnHead]
    checksums: list[int]


@dataclass(frozen=True, slots=True)
class Content:
    """What is kept in a file: the events of a span within a day, and the revisions that vouch for them."""

    name: tuple[str, ...]
    start: int
    stop: int
    revisions: Mapping[int, int]
    block: PackedBlock


def load() -> None:
    """Import what reads and writes files, so that the first who needs it need not wait."""
    import pyarrow as pa

    pa.ipc.IpcReadOptions()


def write(path: FilePath, content: Content) -> None:
    """Write a file in place; who reads it meanwhile finds it damaged. Raises `OSError`."""
    import pyarrow as pa

    arrays, columns = [pa.array(_times(content.block.times), pa.time32("ms"))], []
    names = ["time"]
    for key, column in _different(content.block):
        try:
            parts = dict(_encoded(column))
        except Unwritable:
            continue
        fields = {name: len(arrays) + place for place, name in enumerate(parts)}
        arrays += [array for array, _ in parts.values()]
        names += [f"{_shown(key)} {part}" for part in parts]
        columns.append(_column_head(key, column, fields, max([1, *(scale for _, scale in parts.values())])))
    head = FileHead(
        FORMAT,
        content.name,
        content.start,
        content.stop,
        len(content.block),
        sorted(content.revisions.items()),
        columns,
        list(map(checksum, arrays)),
    )
    text = msgspec.json.encode(head)
    metadata = {_HEAD: text, _CHECKSUM: str(zlib.crc32(text)).encode()}
    batch = pa.record_batch(arrays, names=names).replace_schema_metadata(metadata)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, batch.schema) as writer:
        writer.write_batch(batch)


def read(path: FilePath, name: Sequence[str], paths: Iterable[Path] | None = None) -> Content:
    """Read the times, the revisions and the columns at some paths that a file has; all of them with None.

    Nothing that is returned refers to the file. Raises `FileNotFoundError`, or `DamagedColumns` where it is
    not what was written under this name.
    """
    import pyarrow as pa

    try:
        # Not mapped: a file that is cut, or a disk that fails, would end the process (SIGBUS).
        reader = pa.ipc.open_file(pa.BufferReader(path.read_bytes()))
        head = _head(reader.schema.metadata or {}, name)
        batch = reader.get_batch(0)
        if batch.num_rows != head.rows:
            raise DamagedColumns(f"it has {batch.num_rows} rows, not {head.rows}")
        return _content(head, batch, None if paths is None else frozenset(map(tuple, paths)))
    except (FileNotFoundError, DamagedColumns):
        raise
    except Exception as error:  # what is damaged may be anything to pyarrow, and raise anything
        raise DamagedColumns(str(error).partition("\n")[0]) from error


# Writing.


def _different(block: PackedBlock) -> Iterator[tuple[tuple[Path, tuple[str, ...]], PackedColumn]]:
    """Yield each column once: with its path, and the readings that it serves."""
    for path in sorted(block.paths, key=repr):
        searched, stored = block.packed["searched", path], block.packed["stored", path]
        if searched is stored:
            yield (path, ("searched", "stored")), searched
        else:
            yield (path, ("searched",)), searched
            yield (path, ("stored",)), stored


def _column_head(
    key: tuple[Path, tuple[str, ...]], column: PackedColumn, fields: dict[str, int], scale: int
) -> ColumnHead:
    kind = int(column.kinds[0]) if len(column.kinds) else int(Kind.MISSING)
    return ColumnHead(tuple(key[0]), key[1], tuple(column.rest), column.whole, kind, scale, fields)


def _shown(key: tuple[Path, tuple[str, ...]]) -> str:
    path, readings = key
    text = ".".join(map(str, path))
    return text if "stored" in readings else f"{text} searched"


def _times(times: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
    return (times % _DAY).astype(np.int32)


def _encoded(column: PackedColumn) -> Iterator[tuple[str, tuple[Any, int]]]:
    """Yield the parts of a column, as Arrow arrays, each with its scale."""
    import pyarrow as pa

    kinds = column.kinds
    if len(kinds) and kinds.min() != kinds.max():
        yield "kinds", (pa.array(np.ascontiguousarray(kinds)), 1)
    numeric = _are_numeric(kinds)
    if numeric.any():
        numbers, scale = narrow(column.numbers, numeric)
        yield "numbers", (pa.array(numbers), scale)
    if column.codes is not None:
        yield "texts", (dictionary(column.codes, column.texts), 1)
    for part, kept in (("kept", column.kept), ("origins", column.origins)):
        if len(kept):
            yield part, (pa.array(json_cells(kept, len(kinds)), pa.string()), 1)


def _are_numeric(kinds: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    numeric: npt.NDArray[np.bool_] = (kinds == Kind.NUMBER) | (kinds == Kind.BOOL)
    return numeric


# Reading.


def _head(metadata: Mapping[bytes, bytes], name: Sequence[str]) -> FileHead:
    text = metadata.get(_HEAD, b"")
    if str(zlib.crc32(text)).encode() != metadata.get(_CHECKSUM):
        raise DamagedColumns("its head is not as it was written")
    version = msgspec.json.decode(text).get("format")
    if version != FORMAT:
        raise DamagedColumns(f"it has format {version}, not {FORMAT}")
    head = msgspec.json.decode(text, type=FileHead)
    if head.name != tuple(name):
        raise DamagedColumns("it is another's")
    return head


def _content(head: FileHead, batch: Any, paths: frozenset[Path] | None) -> Content:
    reading = _Reading(head, batch)
    of_day = reading.fixed(0)
    if (of_day[1:] < of_day[:-1]).any():
        raise DamagedColumns("its times are not in order")
    times = of_day.astype(np.int64)
    times += head.start - head.start % _DAY
    columns = {}
    for each in head.columns:
        if paths is None or each.path in paths:
            column = _decoded(each, reading)
            columns.update({(name, each.path): column for name in each.readings})
    if len(times) and not head.start <= times[0] <= times[-1] < head.stop:
        raise DamagedColumns("its times are not those of its span")
    whole = {path for _, path in columns if {("searched", path), ("stored", path)} <= columns.keys()}
    block = PackedBlock(times, {key: column for key, column in columns.items() if key[1] in whole})
    return Content(head.name, head.start, head.stop, dict(head.revisions), block)


def _decoded(head: ColumnHead, reading: _Reading) -> PackedColumn:
    fields, rows = head.fields, reading.rows
    kinds: Array = np.broadcast_to(np.uint8(head.kind), rows)
    if "kinds" in fields:
        kinds = reading.fixed(fields["kinds"]).copy()
    numbers: Floats = np.broadcast_to(NO_NUMBER, rows)
    if "numbers" in fields:
        found = reading.fixed(fields["numbers"])
        numbers = found.astype(np.float64) if head.scale == 1 else found / np.float64(head.scale)
        if "kinds" in fields:
            numbers[~_are_numeric(kinds)] = NO_NUMBER
    codes, texts = None, Texts()
    if "texts" in fields:
        codes, texts = reading.texts(fields["texts"])
        codes[kinds != Kind.STRING] = -1
    kept, origins = (reading.cells(fields.get(part)) for part in ("kept", "origins"))
    return PackedColumn(kinds, numbers, codes, texts, kept, origins, head.rest, whole=head.whole)


class _Reading:
    """The fields of a batch, each compared with its checksum when it is read."""

    def __init__(self, head: FileHead, batch: Any) -> None:
        self.rows = head.rows
        self._head = head
        self._batch = batch

    def fixed(self, field: int) -> Array:
        return fixed(self._column(field))

    def texts(self, field: int) -> tuple[npt.NDArray[np.int32], Texts]:
        column = self._column(field)
        values = column.dictionary.to_pylist()
        texts = (
            value if value.__class__ is str else value.decode("utf-8", "surrogatepass") for value in values
        )
        return fixed(column.indices).astype(np.int32), Texts(texts)

    def cells(self, field: int | None) -> Kept:
        if field is None:
            return Kept(np.zeros(0, dtype=np.intp), ())
        offsets, data = strings(self._column(field))
        rows = np.flatnonzero(np.diff(offsets))
        edges = zip(offsets[rows].tolist(), offsets[rows + 1].tolist(), strict=True)
        return Kept(rows, json.loads(b"[" + b",".join(data[start:stop] for start, stop in edges) + b"]"))

    def _column(self, field: int) -> Any:
        column = self._batch.column(field)
        if checksum(column) != self._head.checksums[field]:
            raise DamagedColumns(f"its field {field} is not as it was written")
        return column
