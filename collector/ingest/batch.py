"""Batches: JSON text in, valid events out, all or none of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from collector.ingest.unknown_keys import UnknownKeys
from cube import json_text
from cube.errors import InvalidEvent, InvalidRequest, TooLarge
from cube.model.environment import Caller
from cube.model.event import ABSENT, Event


@dataclass(frozen=True, slots=True)
class Limits:
    """``event_bytes``: the JSON text of one event; ``events``: how many a batch may have."""

    event_bytes: int
    events: int


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
        """Return the places of the events of each type."""
        first = self.events[0].type
        if all(event.type == first for event in self.events):
            return {first: range(len(self.events))}
        places: dict[str, list[int]] = {}
        for place, event in enumerate(self.events):
            places.setdefault(event.type, []).append(place)
        return places


@dataclass(frozen=True, slots=True)
class Message:
    """One WebSocket message: a batch, and the token to acknowledge it with (`ABSENT`: silently)."""

    batch: Batch
    ack: Any = ABSENT


def read_batch(text: bytes, limits: Limits, *, now: int) -> Batch:
    """Read an array of events, or one event object, that arrived at `now`.

    Raises `InvalidRequest` for text that is not JSON, `TooLarge`, and `InvalidEvent` with the ``index``
    of the first event that is wrong (none for a lone object).
    """
    return _batch(json_text.decode_leniently(text), text, limits, now)


async def read_batch_aside(text: bytes, limits: Limits, *, now: int) -> Batch:
    """Do what `read_batch` does, in a thread where it could block the event loop for long."""
    if len(text) <= json_text.THREAD_BYTES:
        return read_batch(text, limits, now=now)
    return await asyncio.to_thread(read_batch, text, limits, now=now)


def read_message(text: bytes, limits: Limits, *, now: int) -> Message:
    """Read one WebSocket message: what `read_batch` reads, or ``{"events": …, "ack": TOKEN}``.

    Its errors carry the ``ack``.
    """
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


async def read_message_aside(text: bytes, limits: Limits, *, now: int) -> Message:
    """Do what `read_message` does, in a thread where it could block the event loop for long."""
    if len(text) <= json_text.THREAD_BYTES:
        return read_message(text, limits, now=now)
    return await asyncio.to_thread(read_message, text, limits, now=now)


def read_each(
    text: bytes, limits: Limits, *, now: int, note_unknown: Callable[[list[str]], None] | None = None
) -> tuple[list[Event], list[InvalidRequest]]:
    """Read a datagram: the events that are valid, and what is wrong with each other one."""
    events: list[Event] = []
    errors: list[InvalidRequest] = []
    try:
        raw = json_text.decode_leniently(text)
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


def _batch(raw: Any, text: bytes, limits: Limits, now: int) -> Batch:
    try:
        return _checked(raw, text, limits, now)
    except InvalidRequest as error:
        error.events = len(raw) if isinstance(raw, list) else 1
        raise


def _checked(raw: Any, text: bytes, limits: Limits, now: int) -> Batch:
    if not isinstance(raw, list):
        if len(text) > limits.event_bytes:
            raise _event_too_large(limits, None)
        alone = UnknownKeys()
        return Batch((Event.parse(raw, now=now, note_unknown=alone.add),), len(text), alone)
    if len(raw) > limits.events:
        raise TooLarge(
            f"Got {len(raw)} events; accepted are {limits.events} in one array.", limit=limits.events
        )
    if len(text) > limits.event_bytes:
        _check_sizes(text, limits)
    unknown = UnknownKeys()
    return Batch(_parse_all(raw, now, unknown), len(text), unknown)


def _parse_all(raw: list[Any], now: int, unknown: UnknownKeys) -> list[Event]:
    events: list[Event] = []
    parse, append, note = Event.parse, events.append, unknown.add
    try:
        for item in raw:
            append(parse(item, now=now, note_unknown=note))
    except InvalidEvent as error:
        raise error.at(len(events)) from None
    return events


def _check_sizes(text: bytes, limits: Limits) -> None:
    """Refuse an array with an event that is too long (no text within the bound of one has any)."""
    for index, size in enumerate(_sizes(text)):
        if size > limits.event_bytes:
            raise _event_too_large(limits, index)


def _sizes(text: bytes) -> list[int]:
    try:
        return [len(memoryview(item)) for item in msgspec.json.decode(text, type=list[msgspec.Raw])]
    except (msgspec.DecodeError, RecursionError, UnicodeError):  # a text that was read leniently
        return [len(json_text.encode(item)) for item in json_text.decode_leniently(text)]


def _event_too_large(limits: Limits, index: int | None) -> TooLarge:
    return TooLarge(
        f"An event is over {limits.event_bytes} bytes of JSON, which is the limit.",
        index=index,
        limit=limits.event_bytes,
    )
