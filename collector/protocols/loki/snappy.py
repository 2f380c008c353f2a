"""Snappy's block format, unpacked within a bound, by the library that Arrow brings along.

Source: snappy's "format_description.txt": the length once unpacked, as a varint, then literals and copies.
"""

from __future__ import annotations

from typing import Final

from cube.errors import InvalidRequest, TooLarge

INFLATED_BYTES: Final = 32 * 2**20
"""As many bytes as a body may be once it is unpacked."""

_LENGTH_BYTES: Final = 5
_WRONG: Final = "Got a body that snappy cannot unpack; accepted is one in its block format."


def inflated(body: bytes) -> bytes:
    """Unpack a body. Raises `InvalidRequest`, and `TooLarge` before anything is unpacked."""
    size = shift = 0
    for byte in body[:_LENGTH_BYTES]:
        size |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    else:
        raise InvalidRequest(_WRONG)
    if size > INFLATED_BYTES:
        raise TooLarge(f"The body is over {INFLATED_BYTES} bytes (unpacked), which is the limit.")
    from pyarrow import Codec  # 27 MB that few collectors need

    try:
        return bytes(Codec("snappy").decompress(body, decompressed_size=size, asbytes=True))
    except OSError:
        raise InvalidRequest(_WRONG) from None
