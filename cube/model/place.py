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
from cube.model.tier import SECOND, TIERS

_FORMAT: Final = 1
_DATED_FORMAT: Final = 2
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


class Cursor(NamedTuple):
    """What a cursor says. ``asked``: when the walk was begun, which its relative times are relative to."""

    place: EventPlace
    asked: int | None = None


def cursor(place: EventPlace, asked: int | None = None) -> str:
    """Return a `Cursor` as a text for URLs and headers, which is nobody's to read."""
    content = (_FORMAT, *place) if asked is None else (_DATED_FORMAT, *place, asked)
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(content)).rstrip(b"=").decode()


def parse_cursor(text: object) -> Cursor:
    """Return what a cursor says; raises `InvalidRequest` for what `cursor` does not make."""
    if isinstance(text, str) and 0 < len(text) <= _MOST_CHARACTERS:
        try:
            padded = text.encode("ascii") + b"=" * (-len(text) % 4)
            read = _read(msgspec.msgpack.decode(base64.b64decode(padded, b"-_", validate=True)))
        except (UnicodeError, binascii.Error, msgspec.DecodeError):
            read = None
        if read is not None and cursor(*read) == text:
            return read
    raise InvalidRequest(f"Got the cursor {shown(text)}; accepted is one that an answer gave.")


def rough(time: int, since: int) -> int | None:
    """Return a time that is no event's own, and that a walk from ``since`` to ``time`` has passed.

    The edge of the longest tier that lies in the second half of the way, so that a walk that goes on from
    there has come far; None where there is not even that of a second.
    """
    for tier in reversed(TIERS.values()):
        edge = tier.floor(time) if time > since else tier.ceil(time)
        if 2 * abs(edge - time) <= abs(time - since):
            return edge
    edge = SECOND.floor(time) if time > since else SECOND.ceil(time)
    return edge if abs(edge - time) < abs(time - since) else None


def _read(unpacked: Any) -> Cursor | None:
    match unpacked:
        case [int(version), time, id] if version == _FORMAT:
            asked = None
        case [int(version), time, id, asked] if version == _DATED_FORMAT and _is_time(asked):
            pass
        case _:
            return None
    return Cursor(EventPlace(time, id), asked) if _is_time(time) and (id is None or _is_id(id)) else None


def _is_time(time: Any) -> bool:
    is_integer = isinstance(time, int) and not isinstance(time, bool)
    return is_integer and instant.EARLIEST <= time <= instant.LATEST


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
