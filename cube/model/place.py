"""Places in the order of events, which is by time and, at equal times, by id; and cursors, their texts."""

from __future__ import annotations

import base64
import binascii
import math
from typing import Any, Final, NamedTuple

import msgspec

from cube.errors import InvalidRequest, shown
from cube.model import instant
from cube.model.event import MAX_ID_LENGTH, MAX_INTEGER, MIN_INTEGER, EventId, id_key

_FORMAT: Final = 1
_MADE_BYTES: Final = 12
_MOST_CHARACTERS = 8 * MAX_ID_LENGTH  # a text id takes four bytes a character at most, in base64


class EventPlace(NamedTuple):
    """Where a walk through events is: behind the event with this time and id.

    ``id`` None: behind all that come before this time, in the direction of the walk, and before all at it.
    """

    time: int
    id: EventId | None

    def is_passed(self, id: EventId, *, downwards: bool) -> bool:
        """Tell whether a walk has passed the event of this time that has an ``id``."""
        if self.id is None:
            return False
        mine, other = id_key(self.id), id_key(id)
        return other >= mine if downwards else other <= mine


def cursor(place: EventPlace) -> str:
    """Return a place as a text for URLs and headers, which is nobody's to read."""
    packed = msgspec.msgpack.encode((_FORMAT, place.time, place.id))
    return base64.urlsafe_b64encode(packed).rstrip(b"=").decode()


def parse_cursor(text: object) -> EventPlace:
    """Return the place of a cursor; raises `InvalidRequest` for what `cursor` does not make."""
    if isinstance(text, str) and 0 < len(text) <= _MOST_CHARACTERS:
        try:
            padded = text.encode("ascii") + b"=" * (-len(text) % 4)
            place = _place(msgspec.msgpack.decode(base64.b64decode(padded, b"-_", validate=True)))
        except (UnicodeError, binascii.Error, msgspec.DecodeError):
            place = None
        if place is not None and cursor(place) == text:
            return place
    raise InvalidRequest(f"Got the cursor {shown(text)}; accepted is one that an answer gave.")


def _place(unpacked: Any) -> EventPlace | None:
    match unpacked:
        case [int(version), int(time), id] if version == _FORMAT and not isinstance(time, bool):
            is_time = instant.EARLIEST <= time <= instant.LATEST
            return EventPlace(time, id) if is_time and (id is None or _is_id(id)) else None
        case _:
            return None


def _is_id(id: Any) -> bool:
    """Tell whether an event may have an id; those of other tools have no bound but the cursor's."""
    match id:
        case bool():
            return False
        case int():
            return MIN_INTEGER <= id <= MAX_INTEGER
        case float():
            return math.isfinite(id)
        case bytes():
            return len(id) == _MADE_BYTES
        case _:
            return isinstance(id, str)
