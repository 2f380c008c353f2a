"""JSON in and out; every refusal is an `InvalidRequest` with a sentence."""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final

import msgspec

from cube.errors import InvalidRequest

THREAD_BYTES = 256 * 1024
"""Longer texts should be decoded in a thread: 16 MiB take about 0.2 s, too long for the event loop."""

MAX_DEPTH: Final = 500
"""Levels that are kept of a text that the strict decoder refuses; an event's data may have a tenth."""

_INDEX = re.compile(r"`\$\[([0-9]+)\]")
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
    """Read one JSON text (RFC 8259: UTF-8, no byte order mark, no NaN; of equal keys the last counts).

    Raises `InvalidRequest`; its ``index`` is the item of an outermost array that cannot be read, where
    the decoder knows it.
    """
    try:
        return msgspec.json.decode(text)
    except RecursionError:
        raise InvalidRequest("The JSON is nested too deeply to be read.") from None
    except UnicodeError:
        raise InvalidRequest("Got text that is not UTF-8; accepted is JSON in UTF-8.") from None
    except msgspec.DecodeError as error:
        raise _refused(error) from None


def decode_leniently(text: bytes | str) -> Any:
    """Read one JSON text with events; a value that JSON does not allow costs no other value.

    What `decode` takes comes out the same. Beside it are read, so that `cube.model.event.Event.parse` refuses
    the one event that has them and names their place: ``NaN`` and ``Infinity`` (floats), numbers that no
    double holds (`Unrepresentable`, a float), half a surrogate pair and bytes that are not UTF-8 (lone
    surrogates), and any nesting (deeper than `MAX_DEPTH`, ten times as deep as data may be,
    it is emptied). A byte order mark, and control characters in text, do no harm and are accepted.

    Raises `InvalidRequest`, with the line and column, for what does not have the form of JSON.
    """
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return _repaired(text)


def convert_leniently(text: bytes | str, kind: Any) -> Any:
    """Do what `decode_leniently` does, and return a value of a msgspec type.

    Raises `InvalidRequest`, and `msgspec.ValidationError` for a value of another type.
    """
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return convert(_repaired(text), kind)


def convert(value: Any, kind: Any) -> Any:
    """Return what `decode_leniently` read as a value of a msgspec type; raises `msgspec.ValidationError`."""
    try:
        return msgspec.convert(value, kind)
    except UnicodeEncodeError:  # a name, or text where something else is expected
        raise msgspec.ValidationError("Expected Unicode, got half a surrogate pair") from None


def encode(value: Any) -> bytes:
    """Write a value as compact JSON (datetimes come out with microseconds: make them text before).

    It takes whatever `decode_leniently` returns: NaN and infinities become null, an `Unrepresentable` its
    text, and a lone surrogate U+FFFD, as in `storable`.
    """
    return _encoded(_ENCODER, value)


def encode_ordered(value: Any) -> bytes:
    """Do what `encode` does, with the keys in order: equal values have equal texts."""
    return _encoded(_ORDERED, value)


def storable(text: str) -> str:
    """Return a text with U+FFFD for each lone surrogate, which no UTF-8 can have."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _repaired(text: bytes | str) -> Any:
    """Read what a strict decoder refuses as far as it has the form of JSON; takes several times as long.

    Python's own decoder reads what JSON writers get wrong most often; the rest is prepared for it here.
    """
    if not isinstance(text, str):
        # Bytes that are not UTF-8 become lone surrogates, as half a pair in an escape does.
        text = bytes(text).decode("utf-8", "surrogateescape")
    text = text.removeprefix(_MARK)
    try:
        try:
            return LENIENT_DECODER.decode(text)
        except RecursionError:
            return LENIENT_DECODER.decode(_shallow(text))
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


def _refused(error: msgspec.DecodeError) -> InvalidRequest:
    reason = str(error)
    found = _INDEX.search(reason)
    reason = reason.removeprefix("JSON is malformed: ")
    message = f"The text is not JSON that can be read: {reason[:1].lower()}{reason[1:]}."
    return InvalidRequest(message, index=int(found[1]) if found else None)


def _encoded(encoder: msgspec.json.Encoder, value: Any) -> bytes:
    try:
        return encoder.encode(value)
    except UnicodeEncodeError:
        return encoder.encode(_all_storable(msgspec.to_builtins(value, enc_hook=_text_of)))


def _all_storable(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, dict):
        return {_all_storable(name): _all_storable(item) for name, item in value.items()}
    return [_all_storable(item) for item in value] if isinstance(value, list) else value


def _text_of(value: Any) -> str:
    if isinstance(value, Unrepresentable):
        return value.text
    raise TypeError(f"{type(value).__name__} has no JSON form")


_ENCODER = msgspec.json.Encoder(enc_hook=_text_of)
_ORDERED = msgspec.json.Encoder(enc_hook=_text_of, order="deterministic")
LENIENT_DECODER = json.JSONDecoder(parse_int=_integer, parse_float=_float, strict=False)
"""Reads what `decode_leniently` does of texts that are not strict, but for depth."""
