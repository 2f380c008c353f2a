"""Protobuf's wire format, as far as it takes to part a message without decoding what is in it.

Source: protobuf's "Encoding" page: a field is a varint (number << 3 | wire type), then its value.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from cube.errors import InvalidRequest, TooLarge

MAX_FIELDS: Final = 40_000
"""As many fields as one request may have at the levels parted here."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED_SIZES = {_FIXED64: 8, _FIXED32: 4}
_MAX_SHIFT = 63


class Wire:
    """Parts the messages of one request; over `MAX_FIELDS` of them it raises `TooLarge`."""

    def __init__(self) -> None:
        self._fields = 0

    def submessages(self, message: bytes) -> Iterator[tuple[int, bytes]]:
        """Return each field that holds bytes (text and messages do), by number, in order.

        Raises `InvalidRequest` where the message is malformed.
        """
        place = 0
        while place < len(message):
            self._count()
            tag, place = _varint(message, place)
            kind = tag & 7
            if kind == _VARINT:
                _, place = _varint(message, place)
                continue
            size, place = _varint(message, place) if kind == _BYTES else (_fixed_size(kind), place)
            if size > len(message) - place:
                raise InvalidRequest(f"The protobuf ends {size - len(message) + place} bytes before its end.")
            if kind == _BYTES:
                yield tag >> 3, message[place : place + size]
            place += size

    def _count(self) -> None:
        self._fields += 1
        if self._fields > MAX_FIELDS:
            raise TooLarge(f"Got more than {MAX_FIELDS} resources, scopes and records; accepted are fewer.")


def bytes_field(number: int, value: bytes) -> bytes:
    """Write one field that holds bytes."""
    return _to_varint(number << 3 | _BYTES) + _to_varint(len(value)) + value


def _varint(message: bytes, place: int) -> tuple[int, int]:
    """Return the number at a place, and the place behind it."""
    value = 0
    for shift in range(0, _MAX_SHIFT + 1, 7):
        if place >= len(message):
            raise InvalidRequest("The protobuf ends within a number.")
        byte = message[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise InvalidRequest("The protobuf has a number of more than 64 bits.")


def _fixed_size(kind: int) -> int:
    size = _FIXED_SIZES.get(kind)
    if size is None:
        raise InvalidRequest(f"Got protobuf's wire type {kind}; accepted are 0, 1, 2 and 5.")
    return size


def _to_varint(value: int) -> bytes:
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)
