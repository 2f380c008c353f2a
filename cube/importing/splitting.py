"""JSON values cut out of a stream, as bytes: one after the other, over many lines, or items of arrays.

Only brackets and strings are looked at, most of it by one regular expression, in about a microsecond for an
event of ten fields; whether what is between them is JSON its reader says. Memory is bounded by the longest
value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO, Final

from cube.importing.record import LONGEST_RECORD, SourceRecord

CHUNK: Final = 2**20

_PLAIN: Final = rb'[^\[\]{}"]*+'  # neither a bracket nor of a string
_STRING: Final = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'


def _nested(levels: int) -> bytes:
    """Return the pattern of a value in brackets that has at most so many levels of them within."""
    within = _STRING + (rb"|" + _nested(levels - 1) if levels else rb"")
    return rb"[\[{]" + _PLAIN + rb"(?:(?:" + within + rb")" + _PLAIN + rb")*+[\]}]"


_LEVELS: Final = 6  # deeper values are seen bracket by bracket
_VALUE: Final = _nested(_LEVELS)
_WHOLE = re.compile(rb"[ \t\r\n,]*+(?=\{)(" + _VALUE + rb")", re.DOTALL)
_TOKEN = re.compile(_PLAIN + rb"(?:" + _STRING + _PLAIN + rb')*+([\[\]{}"])', re.DOTALL)
_TOKEN_WITHIN = re.compile(
    _PLAIN + rb"(?:(?:" + _STRING + rb"|" + _VALUE + rb")" + _PLAIN + rb')*+([\[\]{}"])', re.DOTALL
)
"""The next bracket; within a value, the next of those that are not seen at once."""

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
        while chunk := self._file.read(max(CHUNK, len(self._buffer) - self._begun)):
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
        while True:
            if self._depth == 0:
                yield from self._whole_values()
            found = (_TOKEN_WITHIN if self._depth else _TOKEN).match(self._buffer, self._place)
            if found is None:
                self._place = len(self._buffer)
                return
            token, place = found[1], found.start(1)
            if token == b'"' and not ended:  # of a string that ends in the next chunk
                self._place = place
                return
            self._place = found.end()
            if token in (b"{", b"["):
                yield from self._open(token, place)
            elif token in (b"}", b"]"):
                yield from self._close(token, found.end())

    def _whole_values(self) -> Iterator[SourceRecord]:
        """Yield the objects that begin here, one after the other, as long as nothing is wrong."""
        buffer, match, number, end = self._buffer, _WHOLE.match, self._number, self._begun
        while found := match(buffer, end):
            number, end = number + 1, found.end()
            self._number, self._begun = number, end
            yield SourceRecord(number, found[1])
        self._place = max(self._place, end)

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
