"""Events read from JSON lines, each with an id that a second reading finds again."""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import msgspec

from cube.errors import InvalidEvent
from cube.model.event import Event

LONGEST_LINE = 16 * 2**20
"""Bytes; no collector takes a longer event."""

_ID_BYTES = 16
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a file; ``number`` from 1. ``error``: why it is not an event, else None.

    ``fleeting``: another reading gives its event another id. ``unknown``: keys of it that no event has, and
    that are not stored.
    """

    number: int
    content: bytes
    event: dict[str, Any]
    error: str | None = None
    fleeting: bool = False
    unknown: tuple[str, ...] = ()


def read_lines(file: BinaryIO) -> Iterator[Line]:
    """Yield the lines of a file of JSON lines; blank ones are passed over.

    An event without an id gets one that is made of its line and the number of that: the same in each
    reading, and another one for an equal line further down. Where an event has no time either, equal ones
    of several days are several events: its id is made of the file as well, and of a pipe, which is never
    the same again, of chance.
    """
    identity = _identity(file)
    source, fleeting = identity or secrets.token_bytes(_ID_BYTES), identity is None
    number = 0
    while content := file.readline(LONGEST_LINE + 1):
        number += 1
        if number == 1:
            content = content.removeprefix(_BYTE_ORDER_MARK)
        stripped = content.strip()
        if len(content) > LONGEST_LINE:
            _pass_over(file, content)
            yield Line(
                number, content, {}, f"It has more than {LONGEST_LINE} bytes, which no collector takes."
            )
        elif stripped:
            yield _line(number, stripped, source, fleeting=fleeting)


def _line(number: int, content: bytes, source: bytes, *, fleeting: bool) -> Line:
    unknown: list[str] = []
    try:
        event = msgspec.json.decode(content, type=dict[str, Any])
        Event.parse(event, now=time.time_ns() // 1_000_000, note_unknown=unknown.extend)
    except msgspec.ValidationError:
        return Line(
            number, content, {}, "The line is not a JSON object; accepted is {type, time?, id?, data?}."
        )
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Line(number, content, {}, f"The line is not JSON: {error}.")
    except InvalidEvent as error:
        return Line(number, content, {}, error.message)
    if "id" in event:
        return Line(number, content, event, unknown=tuple(unknown))
    timed = "time" in event
    event["id"] = _id(number, content, b"" if timed else source)
    return Line(number, content, event, fleeting=fleeting and not timed, unknown=tuple(unknown))


def _id(number: int, content: bytes, source: bytes) -> str:
    hashed = hashlib.sha256(b"%d:%d:" % (number, len(content)) + content + source)
    return hashed.digest()[:_ID_BYTES].hex()


def _identity(file: BinaryIO) -> bytes | None:
    """Return what tells a file from others, and is the same the next time; None for a pipe or terminal."""
    try:
        status = os.fstat(file.fileno())
    except OSError:  # no file of the system's
        return None
    return b"%d:%d" % (status.st_dev, status.st_ino) if stat.S_ISREG(status.st_mode) else None


def _pass_over(file: BinaryIO, content: bytes) -> None:
    while content and not content.endswith(b"\n"):
        content = file.readline(LONGEST_LINE)
