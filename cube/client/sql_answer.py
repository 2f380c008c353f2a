"""The answer to a statement of SQL, as it comes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from http.client import HTTPException, HTTPResponse
from typing import Any, Final, NamedTuple

import msgspec

from cube.client.connection import Closing
from cube.errors import Unavailable

PART_BYTES: Final = 64 * 1024


class SqlColumn(NamedTuple):
    """One column; ``type``: as DuckDB calls it."""

    name: str
    type: str


class SqlAnswer(Closing):
    """Reads one answer; ``columns``: empty where they are too many to be told before the rows.

    What is not read when it is closed is dropped, and the statement ended.
    """

    def __init__(self, response: HTTPResponse, close: Callable[[], None]) -> None:
        told = response.headers.get("Cube-Columns", "[]")
        self.columns = [SqlColumn(each["name"], each["type"]) for each in msgspec.json.decode(told)]
        self._response = response
        self._close = close

    def parts(self) -> Iterator[bytes]:
        """Yield the bytes; raises `Unavailable` where they end too early."""
        try:
            while part := self._response.read(PART_BYTES):
                yield part
        except (HTTPException, OSError):
            raise Unavailable(
                "The answer broke off before its end: the statement failed, or took too long."
            ) from None

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield the rows of an answer in JSON lines."""
        rest = b""
        for part in self.parts():
            *lines, rest = (rest + part).split(b"\n")
            yield from map(msgspec.json.decode, lines)

    def close(self) -> None:
        """Close the connection, unless all was read and it can be used again."""
        if not self._response.isclosed():
            self._close()
