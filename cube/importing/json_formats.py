"""JSON in files: one value a line, values in any other arrangement, and arrays within values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO, ClassVar, Final

import msgspec

from cube.errors import InvalidRequest, described, shown
from cube.importing.record import LONGEST_RECORD, JsonFormat, SourceRecord
from cube.importing.splitting import ValueSplitter
from cube.json_text import decode_leniently, encode

_MARK: Final = b"\xef\xbb\xbf"


class JsonLines(JsonFormat):
    """One JSON value on each line; blank lines are passed over."""

    counts: ClassVar[str] = "line"

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def records(self) -> Iterator[SourceRecord]:
        """Yield the lines that are not blank."""
        return read_lines(self._file)


class JsonValues(JsonFormat):
    """JSON values one after the other, pretty-printed or not, or the items of an array."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def records(self) -> Iterator[SourceRecord]:
        """Yield the values."""
        return ValueSplitter(self._file).records()


class NestedRecords(JsonFormat):
    """The items of the array at a path within each JSON value, such as ``{"Records": […]}``, or an object.

    A value is held in memory as a whole. ``path``: names with points between.
    """

    def __init__(self, file: BinaryIO, path: str) -> None:
        self._file = file
        self.path = path

    def records(self) -> Iterator[SourceRecord]:
        """Yield the items; a value without the array is a record with an error."""
        number = 0
        for outer in ValueSplitter(self._file, longest=None).records():
            try:
                if outer.error is not None:
                    raise InvalidRequest(outer.error)
                items = _items(outer.content, self.path)
            except InvalidRequest as error:
                number += 1
                yield SourceRecord(number, outer.content[:LONGEST_RECORD], error.message)
                continue
            for item in items:
                number += 1
                yield SourceRecord(number, item)


def read_lines(file: BinaryIO) -> Iterator[SourceRecord]:
    """Yield the lines of a file that are not blank, without what ends them."""
    number = 0
    while line := file.readline(LONGEST_RECORD + 1):
        number += 1
        if number == 1:
            line = line.removeprefix(_MARK)
        if len(line) > LONGEST_RECORD:
            rest = line
            while rest and not rest.endswith(b"\n"):
                rest = file.readline(LONGEST_RECORD)
            error = f"It has more than {LONGEST_RECORD} bytes, which no collector takes."
            yield SourceRecord(number, line[:LONGEST_RECORD], error)
        elif stripped := line.strip():
            yield SourceRecord(number, stripped)


def _items(text: bytes, path: str) -> list[bytes]:
    """Return the JSON texts of an array's items, or of an object; raises `InvalidRequest` for others."""
    value = msgspec.Raw(text)
    try:
        for name in path.split("."):
            value = msgspec.json.decode(value, type=dict[str, msgspec.Raw])[name]
        if bytes(value).lstrip().startswith(b"{"):
            return [bytes(value)]
        return [bytes(item) for item in msgspec.json.decode(value, type=list[msgspec.Raw])]
    except (KeyError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return [encode(item) for item in _leniently(text, path)]


def _leniently(text: bytes, path: str) -> list[Any]:
    """Return the items of text that is not strict JSON, or say what there is in place of an array."""
    value = decode_leniently(text)
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    if isinstance(value, dict):
        return [value]
    if not isinstance(value, list):
        raise InvalidRequest(
            f"Got {described(value)} at {shown(path)}; accepted is an array of records, or one."
        )
    return value
