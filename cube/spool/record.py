"""What one record of a spool file holds: an event as JSON text, with a checksum."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from cube.model.event import ABSENT, Event, EventId

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class Row(NamedTuple):
    """A record as the table ``records`` holds it.

    ``number``: ascends in order of arrival. ``at``: of its arrival, milliseconds since 1970. ``key``:
    see `key_of`. ``checksum``: CRC-32 of all that.
    """

    number: int
    at: int
    key: int | None
    event: bytes
    checksum: int

    @classmethod
    def of(cls, number: int, at: int, key: int | None, event: bytes) -> Row:
        return cls(number, at, key, event, _checksum(number, at, key, event))

    @property
    def is_sound(self) -> bool:
        """Whether it is as it was written, whatever types a damaged file now gives it."""
        try:
            return self.checksum == _checksum(self.number, self.at, self.key, self.event)
        except TypeError:  # the event is not bytes
            return False


@dataclass(frozen=True, slots=True)
class Record:
    """An event that waits, its place in its file, the bytes of its text, and when it came (as in `Row`)."""

    number: int
    event: Event
    size: int
    at: int

    @classmethod
    def of(cls, row: Row) -> Record:
        return cls(row.number, decode(row.event), len(row.event), row.at)


def encode(event: Event) -> bytes:
    """Return an event as JSON text, as a client would send it.

    An id that we made stands as hexadecimal digits under ``made``; an event whose time the client did
    not give has ``"timed": false``.
    """
    fields: dict[str, Any] = {"type": event.type, "time": event.time}
    if isinstance(event.id, bytes):
        fields["made"] = event.id.hex()
    else:
        fields["id"] = event.id
    if event.data is not ABSENT:
        fields["data"] = event.data
    if not event.timed:
        fields["timed"] = False
    return _encode(fields)


def decode(text: bytes) -> Event:
    """Return the event that `encode` wrote."""
    fields = _decode(text)
    made = fields.get("made")
    id_: EventId = fields["id"] if made is None else bytes.fromhex(made)
    return Event(fields["type"], fields["time"], id_, fields.get("data", ABSENT), fields.get("timed", True))


def key_of(event: Event) -> int | None:
    """Return 64 bits that events of equal type and id share; None for an id that we made.

    Others may share them once in a very long while: an event then waits behind a stranger. An event
    whose id we made is replaced by imports of an export alone, so nothing need wait behind it.
    """
    if isinstance(event.id, bytes):
        return None
    text = f"{event.type}\0{'text' if isinstance(event.id, str) else 'number'}\0{event.id}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big", signed=True)


def _checksum(number: int, at: int, key: int | None, event: bytes) -> int:
    return zlib.crc32(event, zlib.crc32(f"{number} {at} {key}".encode()))
