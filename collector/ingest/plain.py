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

from cube.errors import InvalidRequest
from cube.model import instant
from cube.model.event import ABSENT, MAX_DATA_DEPTH, MAX_ID_LENGTH, Event, EventId, is_type, make_ids

_DEPTH: Final = min(16, MAX_DATA_DEPTH)
"""Levels of a text, its arrays and the events' own included, up to which it is looked into."""

_EMPTY_NAME: Final = re.compile(rb'""[ \t\n\r]*:')
_LONG_NUMBER: Final = b"0" * 19  # fewer digits are within 64 bits
_AS_ZERO: Final = bytes(ord("0") if chr(byte).isdecimal() and byte < 128 else byte for byte in range(256))
_AS_BRACES: Final = bytes.maketrans(b"[]", b"{}")
_NEITHER: Final = bytes(byte for byte in range(256) if byte not in b'"[]{}')  # no quote, no bracket


class RawEvent(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """An event as it came, unchecked; one with other keys is unusual."""

    type: Any = ABSENT
    time: Any = ABSENT
    id: Any = ABSENT
    data: Any = ABSENT


_decode_list = msgspec.json.Decoder(list[RawEvent]).decode


def decode_plain(text: bytes) -> list[RawEvent] | None:
    """Decode an array of events; None where `Event.parse` has to look at every value."""
    try:
        found = _decode_list(text)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return None
    return found if _has_plain_values(text) else None


def plain_events(found: Sequence[RawEvent], now: int) -> list[Event] | None:
    """Make events of what `decode_plain` gave, arrived at `now`; None where one of them may be wrong."""
    types: set[str] = set()
    first, last = instant.EARLIEST_PLAUSIBLE, instant.LATEST
    events: list[Event] = []
    append = events.append
    for raw, made in zip(found, make_ids(len(found)), strict=True):
        type, time, id = raw.type, raw.time, raw.id
        if type.__class__ is not str or type not in types:
            if not isinstance(type, str) or not is_type(type):
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


def _has_plain_values(text: bytes) -> bool:
    """Tell whether a valid text surely has no empty name, no integer beyond 64 bits, and few levels."""
    if b'""' in text and _EMPTY_NAME.search(text):
        return False
    return _LONG_NUMBER not in text.translate(_AS_ZERO) and _is_shallow(text)


def _is_shallow(text: bytes) -> bool:
    """Tell whether a valid text surely has at most `_DEPTH` levels; not where a string has brackets."""
    if b"\\" in text:
        text = text.replace(b"\\\\", b"").replace(b'\\"', b"")  # each quote now begins or ends a string
    brackets = text.translate(_AS_BRACES, _NEITHER).replace(b'""', b"")
    if b'"' in brackets:
        return False
    for _ in range(_DEPTH):
        brackets = brackets.replace(b"{}", b"")  # the innermost level
        if not brackets:
            return True
    return False
