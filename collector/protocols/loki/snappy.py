"""Snappy's block format, unpacked once there is room for it, by the library that Arrow brings along.

Source: snappy's "format_description.txt": the length once unpacked, as a varint, then literals and copies.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from cube.errors import InvalidRequest

_LENGTH_BYTES: Final = 5
_WRONG: Final = "Got a body that snappy cannot unpack; accepted is one in its block format."


def inflated(body: bytes, hold: Callable[[int], None]) -> bytes:
    """Unpack a body. Raises `InvalidRequest`.

    ``hold``: is told of its length before anything is unpacked, and raises where there is no room for it.
    """
    size = shift = 0
    for byte in body[:_LENGTH_BYTES]:
        size |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    else:
        raise InvalidRequest(_WRONG)
    hold(size)
    from pyarrow import Codec  # 27 MB that few collectors need

    try:
        return bytes(Codec("snappy").decompress(body, decompressed_size=size, asbytes=True))
    except OSError:
        raise InvalidRequest(_WRONG) from None
