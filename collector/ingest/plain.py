"""The short way in, for batches that nothing is unusual about: what `Event.parse` would accept, in bulk.

Most of what `Event.parse` looks for in each value cannot be in JSON that the strict decoder takes: no number
is infinite, no text is half a surrogate pair. What remains, names that are empty, integers beyond 64 bits and
nesting, is ruled out here for the text as a whole. Whatever is not ruled out goes the usual way, which
also says what is wrong: this one accepts, or knows nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from cube.errors import InvalidRequest
from cube.model import instant
from cube.model.event import ABSENT, MAX_DATA_DEPTH, MAX_ID_LENGTH, Event, EventId, is_type
from cube.model.made_id import make_ids

_DEPTH: Final = min(16, MAX_DATA_DEPTH)
"""Levels of a text, its arrays and the events' own included, up to which it is looked into."""

_EMPTY_NAME: Final = re.compile(rb'""[ \t\n\r]*:')
_LONG_DIGITS: Final = 19  # fewer are within 64 bits
_UNUSUAL: Final = re.compile(rb"%s|[0-9]{%d}" % (_EMPTY_NAME.pattern, _LONG_DIGITS))
_AS_BRACES: Final = bytes.maketrans(b"[]", b"{}")
_QUOTE: Final = ord('"')
_ZERO: Final = np.uint8(ord("0"))
_NEITHER: Final = bytes(byte for byte in range(256) if byte not in b'"[]{}')  # no quote, no bracket


class RawEvent(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """An event as it came, unchecked; one with other keys, or without a type, is unusual."""

    type: str
    time: Any = ABSENT
    id: Any = ABSENT
    data: Any = ABSENT


_decode_one = msgspec.json.Decoder(RawEvent).decode
_decode_list = msgspec.json.Decoder(list[RawEvent]).decode
_decode_texts = msgspec.json.Decoder(list[msgspec.Raw]).decode


def decode_plain(text: bytes, event_bytes: int) -> list[RawEvent] | None:
    """Decode an array of events; None where `Event.parse` has to look at every value.

    None as well where one of the events may have a text longer than ``event_bytes``.
    """
    try:
        found = _decode_list(text)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return None
    return found if has_plain_values(text, len(found), event_bytes) else None


def decode_each(texts: Sequence[bytes], event_bytes: int) -> tuple[list[int], list[RawEvent]]:
    """Decode texts of one event each; return the places of those that are, and the events.

    Left out are those of which `Event.parse` has to look at every value.
    """
    places: list[int] = []
    found: list[RawEvent] = []
    for place, text in enumerate(texts):
        try:
            raw = _decode_one(text)
        except (msgspec.DecodeError, RecursionError, UnicodeError):
            continue
        if len(text) <= event_bytes:
            places.append(place)
            found.append(raw)
    valid = texts if len(places) == len(texts) else [texts[place] for place in places]
    text = b",".join(valid)  # what is looked for in it no joint can make, or hide
    if has_plain_values(text, len(found), len(text)):
        return places, found
    plain = [number for number, text in enumerate(valid) if _is_plain_event(text)]
    return [places[number] for number in plain], [found[number] for number in plain]


def plain_events(found: Sequence[RawEvent], now: int) -> list[Event] | None:
    """Make events of what `decode_plain` gave, arrived at `now`; None where one of them may be wrong."""
    types: set[str] = set()
    first, last = instant.EARLIEST_PLAUSIBLE, instant.LATEST
    events: list[Event] = []
    append = events.append
    for raw, made in zip(found, make_ids(len(found)), strict=True):
        type, time, id = raw.type, raw.time, raw.id
        if type not in types:
            if not is_type(type):
                return None
            types.add(type)
        if id is not ABSENT and not _is_plain_id(id):
            return None
        if time.__class__ is not int or not first <= time <= last:
            moment = _moment(time, now)
            if moment is None:
                return None
            append(Event(type, moment, made if id is ABSENT else id, raw.data, time is not ABSENT))
        else:
            append(Event(type, time, made if id is ABSENT else id, raw.data))
    return events


def _moment(time: object, now: int) -> int | None:
    if time is ABSENT:
        return now
    try:
        return instant.parse_plausible(time)
    except InvalidRequest:
        return None


def _is_plain_id(id: EventId) -> bool:
    return id.__class__ is int or (id.__class__ is str and 1 <= len(id) <= MAX_ID_LENGTH)


def _is_plain_event(text: bytes) -> bool:
    """Tell of the valid text of one event what `has_plain_values` does; for one this takes less time."""
    return text.count(b"{") + text.count(b"[") <= _DEPTH and _UNUSUAL.search(text) is None


def has_plain_values(text: bytes, events: int, event_bytes: int) -> bool:
    """Tell whether a valid text surely has no empty name, no long integer, few levels and short events."""
    signs = np.frombuffer(text, dtype=np.uint8)
    quotes = signs == _QUOTE
    if (quotes[1:] & quotes[:-1]).any() and _EMPTY_NAME.search(text):
        return False
    if _has_run((signs - _ZERO) < 10, _LONG_DIGITS):  # bytes below "0" wrap around
        return False
    brackets = _brackets(text)
    if brackets is None or not _is_shallow(brackets):
        return False
    return len(text) <= event_bytes or _are_short(text, brackets, events, event_bytes)


def _are_short(text: bytes, brackets: bytes, events: int, event_bytes: int) -> bool:
    """Tell whether no event of a valid text is longer; where data are flat, what parts events says it."""
    if brackets == b"{%s}" % (b"{{}}" * events) and has_all_within(text, b"},{", event_bytes):
        return True
    return are_all_short(text, event_bytes)


def are_all_short(text: bytes, event_bytes: int) -> bool:
    """Tell whether no event of a valid text is longer."""
    return all(len(memoryview(item)) <= event_bytes for item in _decode_texts(text))


def _has_run(marks: npt.NDArray[np.bool_], length: int) -> bool:
    """Tell whether so many marks stand one after the other."""
    covered = 1
    while covered < length and len(marks):
        step = min(covered, length - covered)
        marks = marks[step:] & marks[:-step]
        covered += step
    return bool(marks.any())


def has_all_within(text: bytes, mark: bytes, length: int) -> bool:
    """Tell whether what marks separate is never longer."""
    place = 0
    while len(text) - place > length:
        following = text.rfind(mark, place + 1, place + length)
        if following < 0:
            return False
        place = following
    return True


def _brackets(text: bytes) -> bytes | None:
    """Return the brackets of a valid text, all as braces; None where a string may have some."""
    if b"\\" in text:
        text = text.replace(b"\\\\", b"").replace(b'\\"', b"")  # each quote now begins or ends a string
    brackets = text.translate(_AS_BRACES, _NEITHER).replace(b'""', b"")
    return None if b'"' in brackets else brackets


def _is_shallow(brackets: bytes) -> bool:
    """Tell whether brackets have at most `_DEPTH` levels."""
    for _ in range(_DEPTH):
        brackets = brackets.replace(b"{}", b"")  # the innermost level
        if not brackets:
            return True
    return False
