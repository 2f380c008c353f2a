"""Access logs of web servers: NCSA's common log format, and the combined one of Apache and nginx.

Source: "Log Files" in the manual of Apache httpd 2.4 (``%h %l %u %t "%r" %>s %b``, then referer and agent).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, BinaryIO, ClassVar, Final

import msgspec

from cube.errors import InvalidRequest
from cube.importing import json_columns
from cube.importing.json_formats import read_lines
from cube.importing.record import SourceRecord
from cube.model import instant

_TEXT = r'"([^"\\]*+(?:\\.[^"\\]*+)*+)"'
_LINE = re.compile(
    rf"(\S+) (\S+) (.+?) \[([^\]]+)\] {_TEXT} (\d{{3}}|-) (\d+|-)(?: {_TEXT} {_TEXT})?(?: (.*))?", re.ASCII
)
_REQUEST = re.compile(r"([A-Z]+) (\S+)(?: (HTTP/[0-9.]+))?")
_ASKED: Final = ("request", "method", "path", "protocol")
_TIME = "%d/%b/%Y:%H:%M:%S %z"


class AccessLog:
    """Lines as ``{host, user?, time, method, path, protocol?, status, bytes, referer?, agent?}``.

    A request line that is not HTTP's is ``request``, and what follows on a line ``rest``. A ``-`` is nothing.
    """

    counts: ClassVar[str] = "line"
    is_json: ClassVar[bool] = False

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._last = ("", "")  # a time as it was written, and as it is told

    def records(self) -> Iterator[SourceRecord]:
        """Yield the lines that are not blank."""
        return read_lines(self._file)

    def value(self, record: SourceRecord) -> Any:
        """Return what a line says."""
        found = _LINE.fullmatch(record.content.decode(errors="surrogateescape"))
        if found is None:
            raise InvalidRequest(
                "The line is not one of an access log; accepted is the common or the combined log format."
            )
        host, _, user, time, request, status, size, referer, agent, rest = found.groups()
        told = {"host": host, "user": user, "time": self._time(time), **_request(request)}
        told |= {"status": _number(status), "bytes": _number(size)}
        told |= {"referer": referer, "agent": agent, "rest": rest}
        return {name: value for name, value in told.items() if value is not None and value != "-"}

    def texts(self, records: Sequence[SourceRecord]) -> list[bytes | None]:
        """Return what lines say as JSON, by columns; one by one where one of them is none."""
        found = [_LINE.fullmatch(record.content.decode(errors="surrogateescape")) for record in records]
        lines = [line.groups() for line in found if line is not None]
        with suppress(InvalidRequest):
            if len(lines) == len(records):
                return self._by_columns(lines)
        return [self._json(record) for record in records]

    def _by_columns(self, lines: Sequence[Sequence[Any]]) -> list[bytes | None]:
        hosts, _, users, times, requests, statuses, sizes, referers, agents, rests = zip(*lines, strict=True)
        asked = [_request(request) for request in requests]
        columns = {
            "host": _texts(hosts),
            "user": _texts(users),
            "time": _texts([self._time(time) for time in times]),
            **{name: _texts([each.get(name) for each in asked]) for name in _ASKED},
            "status": _numbers(statuses),
            "bytes": _numbers(sizes),
            "referer": _texts(referers),
            "agent": _texts(agents),
            "rest": _texts(rests),
        }
        return [*json_columns.objects(list(columns), list(columns.values()))]

    def _json(self, record: SourceRecord) -> bytes | None:
        with suppress(InvalidRequest):
            return msgspec.json.encode(self.value(record))
        return None

    def _time(self, text: str) -> str:
        if text != self._last[0]:
            try:
                told = instant.format(instant.from_datetime(datetime.strptime(text, _TIME)))
            except ValueError:
                raise InvalidRequest(
                    f"Got the time {text[:80]!r}; accepted is one such as 17/May/2015:10:05:03 +0000."
                ) from None
            self._last = (text, told)
        return self._last[1]


def is_access_log(line: bytes) -> bool:
    """Tell whether a line is one of an access log."""
    return _LINE.fullmatch(line.decode(errors="replace").strip()) is not None


def _request(text: str) -> dict[str, Any]:
    found = _REQUEST.fullmatch(text)
    if found is None:
        return {"request": text}
    return {"method": found[1], "path": found[2], "protocol": found[3]}


def _texts(values: Sequence[str | None]) -> list[bytes | None]:
    whole = json_columns.texts([value or "" for value in values])
    return [
        None if value is None or value == "-" else text for value, text in zip(values, whole, strict=True)
    ]


def _numbers(values: Sequence[str]) -> list[bytes | None]:
    return [None if value == "-" else b"%d" % int(value) for value in values]


def _number(text: str) -> int | None:
    return None if text == "-" else int(text)
