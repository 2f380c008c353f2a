"""JSON values one after the other: lines, several in a line, values over many lines, an array of them.

What senders of logs make of "JSON lines": with or without newlines between, since ``curl -d @file`` takes
them out, and pretty-printers put more in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from cube.errors import InvalidRequest
from cube.json_text import LENIENT_DECODER, decode_leniently

MAX_WORK: Final = 8
"""So many times a text's length is looked at for values that end in a fault; then the rest is one fault."""

_PART: Final = 64 * 1024  # a fault costs the decoder a look at all that is before it, for the line's number
_ENDLESS: Final = "Unterminated string"  # told at its beginning, once all has been looked at

_BETWEEN = re.compile(r"[\s,\x1e\ufeff]*")  # commas, RFC 7464's record separators, byte order marks
_CONTAINERS = (b"{", b"[")


@dataclass(frozen=True, slots=True)
class NotJson:
    """A part of a text that is no JSON; ``reason``: one sentence."""

    text: str
    reason: str


def values_of(text: bytes) -> Iterator[Any]:
    """Yield the values of a text, and a `NotJson` for each line, or rest of one, that has none.

    They are read as `cube.json_text.decode_leniently` reads. An array that is the whole text is its items.
    """
    try:
        whole = decode_leniently(text) if text.lstrip()[:1] in _CONTAINERS else None
    except InvalidRequest:
        whole = None
    if isinstance(whole, list):
        yield from whole
    elif whole is not None:
        yield whole
    else:
        yield from _lines(text)


def _lines(text: bytes) -> Iterator[Any]:
    """Yield the value of each line; once a line is not one value, read the rest without regard to lines."""
    start = 0
    while start < len(text):
        end = text.find(b"\n", start)
        end = len(text) if end < 0 else end
        line = text[start:end].strip()
        try:
            if line:
                yield decode_leniently(line)
        except InvalidRequest:
            yield from _run(text[start:].decode(errors="surrogateescape"))
            return
        start = end + 1


def _run(text: str) -> Iterator[Any]:
    place, left = _after_blank(text, 0), MAX_WORK * len(text)
    while place < len(text):
        try:
            value, place = LENIENT_DECODER.raw_decode(text, place)
            yield value
        except (json.JSONDecodeError, RecursionError) as error:
            left -= _reached(error, len(text)) - place
            end = text.find("\n", place) if left > 0 else -1
            end = len(text) if end < 0 else end
            yield NotJson(text[place:end].rstrip(), _reason(error))
            text, place = (text[end:], 0) if end > _PART else (text, end)
        place = _after_blank(text, place)


def _reached(error: json.JSONDecodeError | RecursionError, length: int) -> int:
    """Return how far the decoder has looked."""
    if isinstance(error, RecursionError) or error.msg.startswith(_ENDLESS):
        return length
    return error.pos


def _after_blank(text: str, place: int) -> int:
    found = _BETWEEN.match(text, place)
    return place if found is None else found.end()


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "The JSON is nested too deeply to be read."
    said = str(getattr(error, "msg", error))
    return f"Got text that is not JSON: {said[:1].lower()}{said[1:]}; accepted are JSON values one by one."
