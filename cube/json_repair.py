"""JSON that a strict decoder refuses, read as far as it has the form of JSON.

Python's own decoder reads what JSON writers get wrong most often; the rest is prepared for it here. It
takes several times as long as the strict decoder, which has refused the text before.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final

from cube.errors import InvalidRequest

MAX_DEPTH: Final = 500
"""Levels that are kept; an event's data may have a tenth of them."""

_MAX_DIGITS: Final = 4_300  # as many as Python reads, for it takes quadratic time
_MARK: Final = "\ufeff"
_TOKENS = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[{]+|[\]}]', re.DOTALL)


class Unrepresentable(float):
    """A number beyond the range of a double: infinite, with the text that it was given as."""

    __slots__ = ("text",)

    def __new__(cls, text: str) -> Unrepresentable:
        """Make it of a JSON number."""
        number = super().__new__(cls, "-inf" if text.startswith("-") else "inf")
        number.text = text[:80]
        return number

    text: str

    def __repr__(self) -> str:
        """Return the number as it was given."""
        return self.text


def decode(text: bytes | str) -> Any:
    """Read a text as `cube.json_text.decode_leniently` says. Raises `InvalidRequest`."""
    if not isinstance(text, str):
        # Bytes that are not UTF-8 become lone surrogates, as half a pair in an escape does.
        text = bytes(text).decode("utf-8", "surrogateescape")
    text = text.removeprefix(_MARK)
    try:
        try:
            return _DECODER.decode(text)
        except RecursionError:
            return _DECODER.decode(_shallow(text))
    except RecursionError:
        raise InvalidRequest("The JSON is nested too deeply to be read.") from None
    except json.JSONDecodeError as error:
        reason = f"{error.msg[:1].lower()}{error.msg[1:]}"
        raise InvalidRequest(
            f"The text is not JSON that can be read: {reason} at line {error.lineno}, column {error.colno}."
        ) from None


def _shallow(text: str) -> str:
    """Return a text whose arrays and objects at `MAX_DEPTH` are empty; what is above them is as it was."""
    kept: list[str] = []
    depth = start = 0
    for token in _TOKENS.finditer(text):
        mark = token[0]
        if mark[0] in "[{":
            if depth < MAX_DEPTH <= depth + len(mark):
                kept.append(text[start : token.start() + MAX_DEPTH - depth])
            depth += len(mark)
        elif mark[0] in "]}":
            if depth == MAX_DEPTH:
                start = token.start()
            depth -= 1
    if depth < MAX_DEPTH:
        kept.append(text[start:])
    return "".join(kept)


def _integer(text: str) -> int | float:
    return int(text) if len(text) <= _MAX_DIGITS else Unrepresentable(text)


def _float(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else Unrepresentable(text)


_DECODER = json.JSONDecoder(parse_int=_integer, parse_float=_float, strict=False)
