"""What an evaluator and a process that runs a statement for it say to each other.

Each message is four bytes of length, then MessagePack. The evaluator sends one `Statement`; then the process
asks (`TableScan`, `NextRows`), each of which is answered with `Rows`, and tells: `Columns`, `Part`, `Done`,
`Failed`.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import BinaryIO, Final, TypeAlias

import msgspec

MOST_BYTES: Final = 2**28
"""A longer message is none of ours."""


TRIES: Final = 4
"""So often one process takes its statement."""


class Table(msgspec.Struct, tag=True):
    """A table: its schema in SQL, its name, the schema of Arrow's IPC, and the days that have events.

    ``edges``: what the times of a day lie between, in milliseconds: (start, stop).
    """

    schema: str
    name: str
    columns: bytes
    days: list[tuple[int, int]]


class Statement(msgspec.Struct, tag=True):
    """What is to be run; ``schema``: where names without one are looked up. ``format``: a media type."""

    text: str
    format: str
    schema: str
    schemas: list[str]
    tables: list[Table]


class Rows(msgspec.Struct, tag=True):
    """Rows of a scan, as Arrow's IPC; None: there are no more. ``is_stale``: begin again."""

    content: bytes | None = None
    is_stale: bool = False


class TableScan(msgspec.Struct, tag=True):
    """Begin to read a table: some of its columns, in some spans of time. Answered with an empty batch."""

    number: int
    table: int
    columns: list[str]
    spans: list[tuple[int, int]]


class NextRows(msgspec.Struct, tag=True):
    """Give the next rows of a scan."""

    number: int


class Columns(msgspec.Struct, tag=True):
    """The columns of the answer: names and types."""

    columns: list[tuple[str, str]]


class Part(msgspec.Struct, tag=True):
    """Some bytes of the answer."""

    content: bytes


class Done(msgspec.Struct, tag=True):
    """The answer is whole."""

    rows: int


class Failed(msgspec.Struct, tag=True):
    """There is none; ``kind``: the class of DuckDB's error."""

    message: str
    kind: str


class Ready(msgspec.Struct, tag=True):
    """The process takes a statement; ``sandbox``: what holds it, beside DuckDB's own settings."""

    sandbox: list[str]


FromEvaluator: TypeAlias = Statement | Rows
FromProcess: TypeAlias = Ready | TableScan | NextRows | Columns | Part | Done | Failed

_encode: Final = msgspec.msgpack.Encoder().encode
_from_evaluator: Final = msgspec.msgpack.Decoder(FromEvaluator)
_from_process: Final = msgspec.msgpack.Decoder(FromProcess)


def framed(message: FromEvaluator | FromProcess) -> bytes:
    """Return a message as it is sent."""
    content = _encode(message)
    return len(content).to_bytes(4, "big") + content


async def received(reader: asyncio.StreamReader) -> FromProcess | None:
    """Return what a process sent next; None where it has ended. Raises `ValueError` for nonsense."""
    try:
        size = int.from_bytes(await reader.readexactly(4), "big")
        if size > MOST_BYTES:
            raise ValueError(f"a message of {size} bytes")
        message: FromProcess = _from_process.decode(await reader.readexactly(size))
        return message
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


class Channel:
    """The process's side, for any number of threads: one asks at a time, and gets the answer to that."""

    def __init__(self, source: BinaryIO, sink: BinaryIO) -> None:
        self._source = source
        self._sink = sink
        self._lock = threading.Lock()

    def tell(self, message: FromProcess) -> None:
        with self._lock:
            self._sink.write(framed(message))
            self._sink.flush()

    def ask(self, message: TableScan | NextRows) -> Rows:
        with self._lock:
            self._sink.write(framed(message))
            self._sink.flush()
            found = self.next()
        if not isinstance(found, Rows):
            raise EOFError("the evaluator is gone")
        return found

    def close(self) -> None:
        """Close both ways; what was not sent is lost."""
        for way in (self._source, self._sink):
            with suppress(OSError):
                way.close()

    def next(self) -> FromEvaluator | None:
        """Return what the evaluator sent next; None where it is gone."""
        size = self._source.read(4)
        return (
            _from_evaluator.decode(self._source.read(int.from_bytes(size, "big"))) if len(size) == 4 else None
        )
