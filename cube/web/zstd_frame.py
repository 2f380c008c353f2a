"""Frames of zstd. Imported with the first body that needs it: the library takes memory and time to load."""

from __future__ import annotations

import sys
from typing import Final

from cube.web.content_encoding import NotDecodable

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

SMALLEST_WINDOW_LOG: Final = 23
"""The 8 MiB that RFC 8878 asks decoders of zstd to support; a frame in one piece asks for its size."""


class Frame:
    """A `cube.web.content_encoding.Decoder` of one frame, of a body of at most ``limit`` bytes."""

    def __init__(self, limit: int) -> None:
        window = min(max(SMALLEST_WINDOW_LOG, limit.bit_length()), 31)
        options = {int(zstd.DecompressionParameter.window_log_max): window}
        self._decoder = zstd.ZstdDecompressor(options=options)

    @property
    def eof(self) -> bool:
        """Whether its end has been reached."""
        done: bool = self._decoder.eof
        return done

    @property
    def unused_data(self) -> bytes:
        """What came behind the end."""
        unused: bytes = self._decoder.unused_data
        return unused

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Decode a piece, to at most so many bytes (then there is more)."""
        try:
            decoded: bytes = self._decoder.decompress(data, max_length)
        except zstd.ZstdError as error:
            raise NotDecodable(str(error)) from None
        return decoded
