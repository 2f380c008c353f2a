"""JSON values cut out of a stream, as bytes: one after the other, over many lines, or items of arrays.

Only brackets and strings are looked at, 2 microseconds for an event of ten fields; whether what is between
them is JSON its reader says. Memory is bounded by the longest value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO, Final

from cube.importing.record import LONGEST_RECORD, SourceRecord

CHUNK: Final = 2**20

_TOKENS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[\]{}"]', re.DOTALL)
_BETWEEN = b" \t\r\n,\x1e\xef\xbb\xbf"  # RFC 7464's record separators, byte order marks
_SHOWN: Final = 2**20
_NO_OBJECT: Final = "Got what is not an object; accepted are JSON objects."


class ValueSplitter:
    """Cuts a stream into records: the objects and arrays in it, and those in an outermost array.

    What lies between them, such as numbers or half a value, is a record with an error. ``longest``: bytes of
    a value, None for any.
    """

    def __init__(self, file: BinaryIO, longest: int | None = LONGEST_RECORD) -> None:
        self._file = file
        self._longest = longest
        self._number = 0
        self._buffer = b""
        self._place = 0  # up to which tokens were looked at
        self._begun = 0  # where the value, or what is between, begins
        self._depth = 0
        self._in_array = False

    def records(self) -> Iterator[SourceRecord]:
        """Yield the records; numbers count values, from 1."""
        while chunk := self._file.read(CHUNK):
            self._buffer = self._buffer[self._begun :] + chunk
            self._place -= self._begun
            self._begun = 0
            yield from self._scan(ended=False)
            if self._longest is not None and len(self._buffer) - self._begun > self._longest:
                yield self._endless()
                return
        yield from self._scan(ended=True)
        yield from self._rest()

    def _scan(self, *, ended: bool) -> Iterator[SourceRecord]:
        buffer = self._buffer
        for found in _TOKENS.finditer(buffer, self._place):
            token = found[0]
            if token == b'"':  # of a string that ends in the next chunk
                if not ended:
                    self._place = found.start()
                    return
                continue
            if token in (b"{", b"["):
                yield from self._open(token, found.start())
            elif token in (b"}", b"]"):
                yield from self._close(token, found.end())
        # A backslash or a quote may be all that is left: strings begin again at their quote, above.
        self._place = len(buffer)

    def _open(self, token: bytes, place: int) -> Iterator[SourceRecord]:
        if self._depth == 0:
            yield from self._between(place)
            if token == b"[" and not self._in_array:
                self._in_array = True
                self._begun = place + 1
                return
        self._depth += 1

    def _close(self, token: bytes, stop: int) -> Iterator[SourceRecord]:
        if self._depth == 0:
            yield from self._between(stop - 1)
            self._begun = stop
            if token == b"]" and self._in_array:
                self._in_array = False
            else:
                yield self._record(token, _NO_OBJECT)
            return
        self._depth -= 1
        if self._depth == 0:
            yield self._record(self._buffer[self._begun : stop])
            self._begun = stop

    def _between(self, stop: int) -> Iterator[SourceRecord]:
        """Look at what lies between two values: blanks and commas, or what is none."""
        text = self._buffer[self._begun : stop].strip(_BETWEEN)
        self._begun = stop
        if text:
            yield self._record(text[:_SHOWN], _NO_OBJECT)

    def _rest(self) -> Iterator[SourceRecord]:
        text = self._buffer[self._begun :].strip(_BETWEEN)
        if self._depth:
            yield self._record(text[:_SHOWN], "The file ends within this value, so that it is not JSON.")
        elif text:
            yield self._record(text[:_SHOWN], _NO_OBJECT)

    def _endless(self) -> SourceRecord:
        return self._record(
            self._buffer[self._begun : self._begun + _SHOWN],
            f"The value has more than {self._longest} bytes, which no collector takes; if it holds an array"
            " of records, --records names that.",
        )

    def _record(self, content: bytes, error: str | None = None) -> SourceRecord:
        self._number += 1
        return SourceRecord(self._number, content, error)
