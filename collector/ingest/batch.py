"""Batches: JSON text in, valid events out, all or none of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from collector.ingest.event_lines import event_lines
from collector.ingest.plain import decode_plain, plain_events
from collector.ingest.shapes import EventShapes
from cube import json_text
from cube.errors import InvalidEvent, InvalidRequest, TooLarge
from cube.model.environment import Caller
from cube.model.event import ABSENT, Event, left_out, meant
from cube.model.event_run import type_of

_MAX_KEYS = 100  # different unknown ones of one batch that are told apart
_MAX_TOLD = 10
_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """``event_bytes``: the JSON text of one event; ``events``: how many a batch may have."""

    event_bytes: int
    events: int


class UnknownKeys:
    """The keys of the events of one batch that no event has: counted and, where near to one, told."""

    def __init__(self) -> None:
        self._events: dict[str, int] = {}
        self._others = 0

    def __bool__(self) -> bool:
        return bool(self._events)

    def add(self, keys: Sequence[str]) -> None:
        """Note those of one event."""
        for key in keys:
            if key in self._events or len(self._events) < _MAX_KEYS:
                self._events[key] = self._events.get(key, 0) + 1
            else:
                self._others += 1

    def warnings(self) -> list[str]:
        """Return a sentence about each key that is nearly one of an event's."""
        told = (left_out(key, events) for key, events in self._events.items())
        return [sentence for sentence in told if sentence is not None][:_MAX_TOLD]

    def counts(self) -> Mapping[str, int]:
        """Return how many there were, by the key that they are near to; ``none`` for the others."""
        counts = Counter({"none": self._others} if self._others else {})
        for key, events in self._events.items():
            counts[meant(key) or "none"] += events
        return counts


@dataclass(frozen=True, slots=True)
class Batch:
    """Valid events in the order sent, and the length of the JSON text that they came in.

    ``unknown``: the keys in it that no event has; None where nobody looked for them.
    """

    events: Sequence[Event]
    size: int
    unknown: UnknownKeys | None = None

    @property
    def warnings(self) -> dict[str, list[str]]:
        """What an answer says of a batch that was taken: ``{"warnings": [sentence, …]}``, or nothing."""
        warnings = self.unknown.warnings() if self.unknown else []
        return {"warnings": warnings} if warnings else {}

    def check_types(self, caller: Caller) -> None:
        """Raise `AccessDenied` where the caller's key is not for the type of one of the events."""
        if self.events and caller.key is not None and caller.key.types is not None:
            for type in self.by_type():
                caller.check_type(type)

    def by_type(self) -> Mapping[str, Sequence[int]]:
        """Return the places of the events of each type, ascending; of a batch that has events."""
        first = type_of(self.events)
        if first is not None:
            return {first: range(len(self.events))}
        first = self.events[0].type
        if len(self.events) == 1 or all(event.type == first for event in self.events):
            return {first: range(len(self.events))}
        places: dict[str, list[int]] = {}
        for place, event in enumerate(self.events):
            places.setdefault(event.type, []).append(place)
        return places


class Message(NamedTuple):
    """One WebSocket message: a batch, and the token to acknowledge it with (`ABSENT`: silently)."""

    batch: Batch
    ack: Any = ABSENT


def read_batch(text: bytes, limits: BatchLimits, now: int, shapes: EventShapes | None = None) -> Batch:
    """Read an array of events, one event object, or lines of them, that arrived at `now`.

    ``shapes``: those that came before, for a store to which an `EventRun` is of use.
    Raises `InvalidRequest` for text that is not JSON, `TooLarge`, and `InvalidEvent` with the ``index``
    of the first event that is wrong (none for a lone object).
    """
    return (
        _lone_batch(text, limits, now)
        or _plain_batch(text, limits, now, shapes)
        or _lines_batch(text, limits, now, shapes)
        or _batch(json_text.decode_leniently(text), text, limits, now)
    )


def read_message(text: bytes, limits: BatchLimits, now: int, shapes: EventShapes | None = None) -> Message:
    """Read one WebSocket message: what `read_batch` reads, or ``{"events": …, "ack": TOKEN}``.

    Its errors carry the ``ack``.
    """
    read = _plain_batch(text, limits, now, shapes) or _lines_batch(text, limits, now, shapes)
    if read is not None:
        return Message(read)
    raw = json_text.decode_leniently(text)
    if not isinstance(raw, dict) or "events" not in raw or "type" in raw:
        return Message(_batch(raw, text, limits, now))
    ack = raw.get("ack", ABSENT)
    try:
        if len(text) > limits.event_bytes:
            text = _text_of_events(text)
        return Message(_batch(raw["events"], text, limits, now), ack)
    except InvalidRequest as error:
        if ack is not ABSENT:
            error.details["ack"] = ack
        raise


def read_each(
    text: bytes, *, now: int, note_unknown: Callable[[list[str]], None] | None = None
) -> tuple[list[Event], list[InvalidRequest]]:
    """Read a datagram: the events that are valid, and what is wrong with each other one."""
    events: list[Event] = []
    errors: list[InvalidRequest] = []
    try:
        lines = event_lines(text)
        raw = json_text.decode_leniently(text) if lines is None else lines.decoded()
    except InvalidRequest as error:
        return [], [error]
    for item in raw if isinstance(raw, list) else [raw]:
        try:
            events.append(Event.parse(item, now=now, note_unknown=note_unknown))
        except InvalidEvent as error:
            errors.append(error)
    return events, errors


def _text_of_events(message: bytes) -> bytes:
    try:
        return bytes(msgspec.json.decode(message, type=dict[str, msgspec.Raw])["events"])
    except (msgspec.DecodeError, RecursionError, UnicodeError):  # one that was read leniently
        return json_text.encode(json_text.decode_leniently(message)["events"])


def _lone_batch(text: bytes, limits: BatchLimits, now: int) -> Batch | None:
    """Read the text of one event, which is no lines; None is any other."""
    if text[:1] != b"{":
        return None
    try:
        raw = _decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return None
    return _batch(raw, text, limits, now)


def _plain_batch(text: bytes, limits: BatchLimits, now: int, shapes: EventShapes | None) -> Batch | None:
    """Read a batch that nothing is unusual about; None is any other, and one that is too large."""
    if text[:1] != b"[":
        return None
    if shapes is not None:
        runs = shapes.read(text, now, events=limits.events, event_bytes=limits.event_bytes)
        if runs is not None:
            return Batch(runs, len(text), UnknownKeys())
    found = decode_plain(text, limits.event_bytes)
    if found is None or len(found) > limits.events:
        return None
    events = plain_events(found, now)
    return None if events is None else Batch(events, len(text), UnknownKeys())


def _lines_batch(text: bytes, limits: BatchLimits, now: int, shapes: EventShapes | None) -> Batch | None:
    """Read lines of events, all or none of them, too; None is any other text."""
    lines = event_lines(text)
    if lines is None:
        return None
    array = lines.as_array()
    plain = _plain_batch(array, limits, now, shapes)
    if plain is not None and len(plain.events) == lines.count:
        return plain
    return _batch(lines.decoded(), array, limits, now)


def _batch(raw: Any, text: bytes, limits: BatchLimits, now: int) -> Batch:
    unknown = UnknownKeys()
    try:
        if isinstance(raw, list):
            _check_sizes(raw, text, limits)
            return Batch(_parse_all(raw, now, unknown), len(text), unknown)
        if len(text) > limits.event_bytes:
            raise _event_too_large(limits, None)
        return Batch((Event.parse(raw, now=now, note_unknown=unknown.add),), len(text), unknown)
    except InvalidRequest as error:
        error.events = len(raw) if isinstance(raw, list) else 1
        raise


def _parse_all(raw: list[Any], now: int, unknown: UnknownKeys) -> list[Event]:
    events: list[Event] = []
    parse, append, note = Event.parse, events.append, unknown.add
    try:
        for item in raw:
            append(parse(item, now=now, note_unknown=note))
    except InvalidEvent as error:
        raise error.at(len(events)) from None
    return events


def _check_sizes(raw: Sequence[Any], text: bytes, limits: BatchLimits) -> None:
    """Refuse an array of too many events, or with one that is too long."""
    if len(raw) > limits.events:
        raise TooLarge(
            f"Got {len(raw)} events; accepted are {limits.events} in one array.", limit=limits.events
        )
    if len(text) <= limits.event_bytes:
        return  # none in it can be too long
    try:
        sizes = [len(memoryview(item)) for item in msgspec.json.decode(text, type=list[msgspec.Raw])]
    except (msgspec.DecodeError, RecursionError, UnicodeError):  # a text that was read leniently
        sizes = [len(json_text.encode(item)) for item in json_text.decode_leniently(text)]
    for index, size in enumerate(sizes):
        if size > limits.event_bytes:
            raise _event_too_large(limits, index)


def _event_too_large(limits: BatchLimits, index: int | None) -> TooLarge:
    return TooLarge(
        f"An event is over {limits.event_bytes} bytes of JSON, which is the limit.",
        index=index,
        limit=limits.event_bytes,
    )
