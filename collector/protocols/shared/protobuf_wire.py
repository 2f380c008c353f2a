"""Protobuf's wire format, a message at a time: for requests that are parted before anything is made of them.

Source: protobuf's "Encoding" page: a field is a varint (number << 3 | wire type), then its value.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from cube.errors import InvalidRequest, TooLarge

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED_SIZES: Final = {_FIXED64: 8, _FIXED32: 4}
_MAX_SHIFT: Final = 63


class Wire:
    """Parts the messages of one request; over ``most`` fields of them it raises `TooLarge`.

    ``what``: what those fields are, for that error.
    """

    def __init__(self, most: int, what: str) -> None:
        self._most = most
        self._what = what
        self._fields = 0

    def submessages(self, message: bytes) -> Iterator[tuple[int, bytes]]:
        """Return each field that holds bytes (text and messages do), by number, in order.

        Raises `InvalidRequest` where the message is malformed.
        """
        for number, value in self.fields(message):
            if isinstance(value, bytes):
                yield number, value

    def fields(self, message: bytes) -> Iterator[tuple[int, bytes | int]]:
        """Return each field of bytes or a varint (unsigned), by number, in order; fixed ones are left out.

        Raises `InvalidRequest` where the message is malformed.
        """
        place = 0
        while place < len(message):
            self._fields += 1
            if self._fields > self._most:
                raise TooLarge(f"Got more than {self._most} {self._what}; accepted are fewer.")
            tag, place = _varint(message, place)
            kind = tag & 7
            if kind == _VARINT:
                value, place = _varint(message, place)
                yield tag >> 3, value
                continue
            if kind == _BYTES:
                size, place = _varint(message, place)
            elif kind in _FIXED_SIZES:
                size = _FIXED_SIZES[kind]
            else:
                raise InvalidRequest(f"Got protobuf's wire type {kind}; accepted are 0, 1, 2 and 5.")
            if size > len(message) - place:
                raise InvalidRequest(f"The protobuf ends {size - len(message) + place} bytes before its end.")
            if kind == _BYTES:
                yield tag >> 3, message[place : place + size]
            place += size


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
