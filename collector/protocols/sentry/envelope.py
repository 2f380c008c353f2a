"""Envelopes: a line of headers, then items, each a line of headers and what it holds. Pure.

Source: Sentry's developer documentation, "Envelopes": ``length`` counts bytes, and what an item holds may
have newlines then; without it the item ends with its line. The last newline may be missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from cube.errors import InvalidRequest, described
from cube.json_text import decode_leniently

_SHOWN: Final = 1024


@dataclass(frozen=True, slots=True)
class EnvelopeItem:
    """One item. ``wrong``: why its headers cannot be read; then ``content`` is their line."""

    headers: Mapping[str, Any]
    content: bytes
    wrong: str = ""

    @property
    def type(self) -> str:
        return str(self.headers.get("type", ""))

    def value(self) -> Mapping[str, Any]:
        """Return what it holds as an object. Raises `InvalidRequest`."""
        if self.wrong:
            raise InvalidRequest(self.wrong)
        found = decode_leniently(self.content)
        if not isinstance(found, dict):
            raise InvalidRequest(f"Got {described(found)} as an item; accepted is an object.")
        return found

    def shown(self) -> Any:
        """Return it as a dead letter shows it."""
        return {"headers": dict(self.headers), "content": self.content[:_SHOWN].decode(errors="replace")}


@dataclass(frozen=True, slots=True)
class SentryEnvelope:
    """An envelope, its items still to be read by `items`."""

    headers: Mapping[str, Any]
    rest: bytes = field(repr=False)

    @classmethod
    def parse(cls, body: bytes) -> SentryEnvelope:
        """Read the headers. Raises `InvalidRequest`."""
        line, _, rest = body.partition(b"\n")
        headers = decode_leniently(line)
        if not isinstance(headers, dict):
            raise InvalidRequest(f"Got {described(headers)} as an envelope's headers; accepted is an object.")
        return cls(headers, rest)

    def items(self) -> Iterator[EnvelopeItem]:
        """Yield the items; after headers that cannot be read it goes on with the next line."""
        body, place = self.rest, 0
        while place < len(body):
            line, place = _line(body, place)
            if not line.strip():
                continue
            try:
                headers = decode_leniently(line)
                length = _length(headers, len(body) - place)
            except InvalidRequest as error:
                yield EnvelopeItem({}, line, error.message)
                continue
            if length is None:
                content, place = _line(body, place)
            else:
                content = body[place : place + length]
                place += length + (body[place + length : place + length + 1] == b"\n")
            yield EnvelopeItem(headers, content)


def _line(body: bytes, place: int) -> tuple[bytes, int]:
    end = body.find(b"\n", place)
    end = len(body) if end < 0 else end
    return body[place:end], end + 1


def _length(headers: Any, left: int) -> int | None:
    """Return how many bytes an item holds, None where its line ends it. Raises `InvalidRequest`."""
    if not isinstance(headers, dict):
        raise InvalidRequest(f"Got {described(headers)} as an item's headers; accepted is an object.")
    length = headers.get("length")
    if length is None:
        return None
    if not isinstance(length, int) or isinstance(length, bool) or not 0 <= length <= left:
        raise InvalidRequest(f"Got the length {described(length)} of an item; {left} bytes are left.")
    return length
