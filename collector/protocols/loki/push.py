"""What is pushed to Loki: bytes in, lines of log out, one by one. Pure.

Source: Loki's HTTP API (``POST /loki/api/v1/push``) and its ``push.proto``: PushRequest {1: streams},
Stream {1: labels, 2: entries}, Entry {1: Timestamp {1: seconds, 2: nanos}, 2: line, 3: metadata {1: name,
2: value}}.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from collector.protocols.loki.snappy import inflated
from collector.protocols.shared.protobuf_wire import Wire
from cube.errors import InvalidRequest, TooLarge, described, shown
from cube.json_text import decode, decode_leniently
from cube.model import instant
from cube.model.event import MAX_DATA_DEPTH

MAX_FIELDS: Final = 300_000
"""As many fields as one request in protobuf may have at all levels."""

_LABEL = re.compile(r'\s*([A-Za-z_][A-Za-z0-9_.:]*)\s*=\s*("(?:[^"\\]|\\.)*"|`[^`]*`)\s*(,|$)')
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{3}|.)", re.DOTALL)
_ESCAPED: Final = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_NANOSECONDS: Final = re.compile(r"-?[0-9]{1,20}", re.ASCII)
_SECOND: Final = 10**9
_VARINT_SIGN: Final = 2**63
_EMPTY_NAME: Final = re.compile(r'""\s*:')
_DEPTH: Final = MAX_DATA_DEPTH - 10


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line. ``time``: nanoseconds since 1970."""

    labels: Mapping[str, Any]
    time: int
    line: str
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WrongLine:
    """One that cannot be read, or the labels of a whole stream: why, and what was sent."""

    reason: str
    source: Any


def from_json(body: bytes) -> Iterator[LogLine | WrongLine]:
    """Yield the lines of a body in JSON: ``values`` (version 1) or ``entries`` (before it).

    Raises `InvalidRequest` where it has no streams.
    """
    value = decode_leniently(body)
    streams = value.get("streams") if isinstance(value, dict) else None
    if not isinstance(streams, list):
        raise InvalidRequest(f"Got {described(streams)} as streams; accepted is an array of them.")
    for stream in streams:
        try:
            labels, entries = _stream(stream)
        except InvalidRequest as error:
            yield WrongLine(error.message, stream)
            continue
        for entry in entries:
            try:
                yield _entry(labels, entry)
            except InvalidRequest as error:
                yield WrongLine(error.message, {"stream": labels, "entry": entry})


def from_protobuf(body: bytes, hold: Callable[[int], None]) -> Iterator[LogLine | WrongLine]:
    """Yield the lines of a body in protobuf, packed by snappy. Raises `InvalidRequest`, `TooLarge`.

    ``hold``: see `inflated`.
    """
    wire = Wire(MAX_FIELDS, "fields in a push")
    for number, stream in wire.submessages(inflated(body, hold)):
        if number != 1:
            continue
        parts = list(wire.submessages(stream))
        text = b"".join(part for number, part in parts if number == 1).decode(errors="replace")
        try:
            labels = labels_of(text)
        except InvalidRequest as error:
            yield WrongLine(error.message, text)
            continue
        yield from (_packed_entry(labels, part, wire) for number, part in parts if number == 2)


def labels_of(text: str) -> dict[str, str]:
    """Read ``{app="shop", level="info"}``. Raises `InvalidRequest`."""
    inner = text.strip()
    if inner[:1] != "{" or inner[-1:] != "}":
        raise InvalidRequest(f'Got the labels {shown(text)}; accepted is {{name="value", …}}.')
    inner, place, labels = inner[1:-1].rstrip(), 0, {}
    while place < len(inner):
        found = _LABEL.match(inner, place)
        if found is None:
            raise InvalidRequest(f'Got the labels {shown(text)}; accepted is {{name="value", …}}.')
        quoted = found[2][1:-1]
        labels[found[1]] = quoted if found[2][0] == "`" else _ESCAPE.sub(_unescaped, quoted)
        place = found.end()
    return labels


def _unescaped(found: re.Match[str]) -> str:
    """Return what an escape of Go's stands for."""
    text = found[1]
    if text[0] in "xuU" and len(text) > 1:
        code = int(text[1:], 16)
        return chr(code) if code <= 0x10FFFF and not 0xD800 <= code < 0xE000 else "\ufffd"
    return chr(int(text, 8)) if len(text) == 3 else _ESCAPED.get(text, text)


def _stream(stream: Any) -> tuple[Mapping[str, Any], list[Any]]:
    if not isinstance(stream, dict):
        raise InvalidRequest(f"Got {described(stream)} as a stream; accepted is an object.")
    labels = stream.get("stream")
    if labels is None and isinstance(stream.get("labels"), str):
        labels = labels_of(stream["labels"])
    if not isinstance(labels, dict):
        raise InvalidRequest(f"Got {described(labels)} as the labels of a stream; accepted is an object.")
    entries = stream.get("values", stream.get("entries"))
    if not isinstance(entries, list):
        raise InvalidRequest(f"Got {described(entries)} as the values of a stream; accepted is an array.")
    return labels, entries


def _entry(labels: Mapping[str, Any], entry: Any) -> LogLine:
    if isinstance(entry, dict):  # before version 1
        time, line, metadata = entry.get("ts"), entry.get("line"), entry.get("structuredMetadata")
    elif isinstance(entry, list) and 2 <= len(entry) <= 3:
        time, line, metadata = (*entry, None)[:3]
    else:
        raise InvalidRequest(f"Got {described(entry)}; accepted is an array of nanoseconds and a line.")
    if not isinstance(line, str):
        raise InvalidRequest(f"Got {described(line)} as a line; accepted is text.")
    if metadata is not None and not isinstance(metadata, dict):
        raise InvalidRequest(f"Got {described(metadata)} as the metadata of a line; accepted is an object.")
    return LogLine(labels, _nanoseconds(time), line, metadata or {})


def _nanoseconds(given: Any) -> int:
    if isinstance(given, str) and _NANOSECONDS.fullmatch(given):
        return int(given)
    if isinstance(given, int) and not isinstance(given, bool):
        return given
    if isinstance(given, str) and given[:1].isdigit():
        return instant.parse(given) * 10**6
    raise InvalidRequest(f"Got the time {shown(given)}; accepted are nanoseconds since 1970 as text.")


def _packed_entry(labels: Mapping[str, Any], entry: bytes, wire: Wire) -> LogLine | WrongLine:
    time, line, metadata = 0, "", {}
    try:
        for number, part in wire.submessages(entry):
            if number == 1:
                time = _packed_time(part, wire)
            elif number == 2:
                line = part.decode(errors="replace")
            elif number == 3:
                pair = {n: text.decode(errors="replace") for n, text in wire.submessages(part)}
                metadata[pair.get(1, "")] = pair.get(2, "")
    except TooLarge:
        raise
    except InvalidRequest as error:
        return WrongLine(error.message, {"stream": labels, "entry": entry.decode(errors="replace")})
    return LogLine(labels, time, line, metadata)


def _packed_time(message: bytes, wire: Wire) -> int:
    parts = {number: value for number, value in wire.fields(message) if isinstance(value, int)}
    seconds = parts.get(1, 0)
    seconds -= 2 * _VARINT_SIGN if seconds >= _VARINT_SIGN else 0
    return seconds * _SECOND + parts.get(2, 0)


def as_object(line: str) -> dict[str, Any] | None:
    """Return the object that a line is in JSON; None for any other line, and for what no event may hold."""
    if not line.startswith("{") or not line.rstrip().endswith("}") or _EMPTY_NAME.search(line):
        return None
    if line.count("{") + line.count("[") > _DEPTH:
        return None
    try:
        value = decode(line.encode(errors="replace"))
    except InvalidRequest:
        return None
    return value if isinstance(value, dict) else None
