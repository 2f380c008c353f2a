"""What is read from a file before it is an event: records, and the formats that have them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Protocol

import msgspec

from cube.errors import InvalidRequest
from cube.json_text import decode_leniently

LONGEST_RECORD = 16 * 2**20
"""Bytes; no collector takes a longer event."""


class FileFault(InvalidRequest):
    """A file cannot be read, or not to its end; others can."""


class NothingFits(FileFault):
    """None of a file's records is an event as it is read; nothing of it is stored."""


class SourceRecord(msgspec.Struct, frozen=True, gc=False):
    """One record. ``number``: its place from 1, as its format counts; ``content``: what it is told by.

    ``content`` is the same in each reading of the same record, wherever the file lies and however it is
    compressed. ``error``: why there is no value, else None. ``value``: where it was read already.
    """

    number: int
    content: bytes
    error: str | None = None
    value: Any = None


class Format(Protocol):
    """The records of one opened file, in their order."""

    counts: ClassVar[str]
    """What a record's number counts: "line", "record" or "row"."""
    is_json: ClassVar[bool]
    """Whether a record's content is the JSON text of its value."""

    def records(self) -> Iterator[SourceRecord]:
        """Yield all records; raises `InvalidRequest` where the file cannot be read any further."""
        ...

    def value(self, record: SourceRecord) -> Any:
        """Return what a record says, as JSON has it; raises `InvalidRequest`."""
        ...

    def texts(self, records: Sequence[SourceRecord]) -> list[bytes | None]:
        """Return what records without errors say as JSON texts, many at once; None for what has none.

        Raises `UnicodeError` where one is not Unicode.
        """
        ...


class JsonFormat:
    """What formats have in common whose contents are JSON."""

    counts: ClassVar[str] = "record"
    is_json: ClassVar[bool] = True

    def value(self, record: SourceRecord) -> Any:
        """Read a record's JSON; numbers and bytes that JSON does not allow come out as they may be mended."""
        return decode_leniently(record.content)

    def texts(self, records: Sequence[SourceRecord]) -> list[bytes | None]:
        """Return the records' contents."""
        return [record.content for record in records]
