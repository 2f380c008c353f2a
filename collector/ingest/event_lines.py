"""Events in lines (``application/x-ndjson``): one event a line, or an array of some. Known by their form.

A text of them is no JSON as a whole, so nothing that is JSON is ever taken for lines.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from cube.errors import InvalidRequest
from cube.json_text import decode_leniently


@dataclass(frozen=True, slots=True)
class EventLines:
    """The lines that are not blank, each with its number from 1."""

    lines: list[tuple[int, bytes]]

    @property
    def count(self) -> int | None:
        """How many events there are; None where a line is an array, and only reading it tells."""
        return None if any(line[:1] == b"[" for _, line in self.lines) else len(self.lines)

    def as_array(self) -> bytes:
        """Return the text of an array of all the events; each line has to be JSON for it."""
        inner = (line[1:-1].strip() if line[:1] == b"[" else line for _, line in self.lines)
        return b"[%s]" % b",".join(filter(None, inner))

    def decoded(self) -> list[Any]:
        """Return the events as JSON values. Raises `InvalidRequest`, which says in which line."""
        values: list[Any] = []
        for number, line in self.lines:
            try:
                value = decode_leniently(line)
            except InvalidRequest:
                decode_leniently(b"\n" * (number - 1) + line)  # raises again, with the line's own number
                raise
            values += value if isinstance(value, list) else (value,)
        return values


def event_lines(text: bytes) -> EventLines | None:
    """Part a text of several lines, each with an object or an array; None for any other text."""
    content = text.strip()
    if b"\n" not in content or not _is_whole(content[: content.index(b"\n")].rstrip()) or _is_json(content):
        return None
    numbered = ((number, line.strip()) for number, line in enumerate(text.split(b"\n"), 1))
    lines = [(number, line) for number, line in numbered if line]
    return EventLines(lines) if all(_is_whole(line) for _, line in lines) else None


def _is_whole(line: bytes) -> bool:
    return line[:1] + line[-1:] in (b"{}", b"[]") and len(line) > 1


def _is_json(text: bytes) -> bool:
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return False
    return True
