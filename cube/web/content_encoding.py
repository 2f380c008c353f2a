"""The content encodings of bodies: how each is taken apart, piece by piece, with no more out than asked for.

Source: RFC 9110, section 8.4.1 (gzip, deflate), and RFC 8878 (zstd).
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

SMALLEST_WINDOW_LOG: Final = 23
"""The 8 MiB that RFC 8878 asks decoders of zstd to support; a frame in one piece asks for its size."""

_GZIP = 16 + zlib.MAX_WBITS
_CHECK: Final = 31  # the head of the zlib format is a multiple of it


class NotDecodable(ValueError):
    """What came is not in the encoding."""


class ContentDecoder(Protocol):
    """Decodes one member (gzip), stream (deflate) or frame (zstd)."""

    @property
    def eof(self) -> bool:
        """Whether its end has been reached."""

    @property
    def unused_data(self) -> bytes:
        """What came behind the end."""

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Decode a piece, to at most so many bytes (then there is more); raises one of `ERRORS`."""


@dataclass(frozen=True, slots=True)
class ContentEncoding:
    """``decoder``: makes one for bodies of at most so many bytes. ``joined``: whether several may follow
    each other. ``copies``: how often the decoded bytes are held while they are decoded."""

    name: str
    decoder: Callable[[int], ContentDecoder]
    joined: bool
    copies: int = 1


class _Deflate:
    """The zlib format, which is meant by ``deflate``; or the bare stream, which some clients send."""

    def __init__(self, _: int) -> None:
        self._head = b""
        self._decoder: zlib._Decompress | None = None

    @property
    def eof(self) -> bool:
        return self._decoder is not None and self._decoder.eof

    @property
    def unused_data(self) -> bytes:
        return b"" if self._decoder is None else self._decoder.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        if self._decoder is None:
            self._head += data
            if len(self._head) < 2:
                return b""
            data, is_zlib = (
                self._head,
                self._head[0] & 15 == 8 and not int.from_bytes(self._head[:2]) % _CHECK,
            )
            self._decoder = zlib.decompressobj(zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS)
        return self._decoder.decompress(data, max_length)


class _ZstdFrame:
    def __init__(self, limit: int) -> None:
        self._zstd = zstd_library()
        window = min(max(SMALLEST_WINDOW_LOG, limit.bit_length()), 31)
        options = {int(self._zstd.DecompressionParameter.window_log_max): window}
        self._decoder = self._zstd.ZstdDecompressor(options=options)

    @property
    def eof(self) -> bool:
        done: bool = self._decoder.eof
        return done

    @property
    def unused_data(self) -> bytes:
        unused: bytes = self._decoder.unused_data
        return unused

    def decompress(self, data: bytes, max_length: int) -> bytes:
        try:
            decoded: bytes = self._decoder.decompress(data, max_length)
        except self._zstd.ZstdError as error:
            raise NotDecodable(str(error)) from None
        return decoded


def zstd_library() -> Any:
    """Return the library, loaded with the first body that needs it: it takes memory and time."""
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd


def _gzip(_: int) -> ContentDecoder:
    return zlib.decompressobj(_GZIP)


ERRORS: Final = (zlib.error, NotDecodable)

ENCODINGS: Final[Mapping[str, ContentEncoding]] = {
    "gzip": ContentEncoding("gzip", _gzip, joined=True),
    "x-gzip": ContentEncoding("gzip", _gzip, joined=True),
    "deflate": ContentEncoding("deflate", _Deflate, joined=False),
    "zstd": ContentEncoding("zstd", _ZstdFrame, joined=True, copies=2),  # the window beside what came out
}
"""By their names in ``Content-Encoding``."""
