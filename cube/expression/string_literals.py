"""String literals: how they are written, and what they stand for."""

from __future__ import annotations

import re

from cube.expression.printer import SURROGATE
from cube.expression.source import Source

STRING = r'"(?:[^"\\]++|\\(?s:.))*+"' + r"|'(?:[^'\\]++|\\(?s:.))*+'"
"""The pattern of one, with its quotes; it takes linear time."""

_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|(0)(?![0-9])|([^ux0-9]))", re.DOTALL)
_BACKSLASH_RUN = re.compile(r"[^\\]+")
_ESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def unquoted(source: Source, place: int, found: str) -> str:
    """Return what a string literal, which begins at a place, stands for; raises `InvalidExpression`."""
    return _unquote(source, place + 1, found[1:-1])


def _unquote(source: Source, place: int, inside: str) -> str:
    r"""Return what the text between two quotes, which begins at a place, stands for.

    Escapes: ``\b \f \n \r \t \v \0 \xHH \uHHHH``; before any other character but a digit, a
    backslash stands for that character. Two halves of a surrogate pair join; half a pair alone is refused.
    """
    if "\\" not in inside and not SURROGATE.search(inside):
        return inside
    parts: list[str] = []
    offset = 0
    while offset < len(inside):
        found = _ESCAPE.match(inside, offset) or _BACKSLASH_RUN.match(inside, offset)
        if found is None:
            raise source.refusal(place + offset, r"Expected an escape such as \n, \x41 or \u0041")
        parts.append(_unescape(found) if found.re is _ESCAPE else found[0])
        offset = found.end()
    try:
        return "".join(parts).encode("utf-16-le", "surrogatepass").decode("utf-16-le")
    except UnicodeDecodeError:
        raise source.refusal(place, "Got half a surrogate pair in the string") from None


def _unescape(found: re.Match[str]) -> str:
    unit, byte, null, other = found.groups()
    if null:
        return "\0"
    return _ESCAPED.get(other, other) if other else chr(int(unit or byte, 16))
