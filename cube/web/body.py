"""Bodies as they arrive: counted, inflated, refused in time."""

from __future__ import annotations

import zlib

from tornado.httputil import HTTPHeaders

from cube.errors import InvalidRequest, TooLarge
from cube.web.request import UnsupportedEncoding

_GZIP_WINDOW = 16 + zlib.MAX_WBITS
_PLAIN = ("", "identity")
_GZIP = ("gzip", "x-gzip")


class Body:
    """The body of one request; no more than ``limit`` bytes of it, inflated, are ever held.

    Raises `TooLarge`, `UnsupportedEncoding` (from the head alone) and `InvalidRequest` (broken gzip).
    """

    __slots__ = ("_inflater", "_limit", "_parts", "_size")

    def __init__(self, headers: HTTPHeaders, limit: int) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0
        self._inflater: zlib._Decompress | None = None
        encoding = headers.get("Content-Encoding")
        if encoding is not None and encoding.strip().lower() not in _PLAIN:
            self._inflater = _inflater(encoding)
        elif announced_bytes(headers) > limit:
            raise _too_large(limit)

    def add(self, part: bytes) -> None:
        """Take the next part as it came over the wire."""
        if self._inflater is None:
            self._keep(part)
            return
        while part:
            if self._inflater.eof:  # a gzip body may have several members
                self._inflater = zlib.decompressobj(_GZIP_WINDOW)
            part = self._inflate(self._inflater, part)

    def complete(self) -> bytes:
        """Return the whole body."""
        if self._inflater is not None and self._parts and not self._inflater.eof:
            raise InvalidRequest("The gzip body ends before its end.")
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)

    def _keep(self, part: bytes) -> None:
        self._size += len(part)
        if self._size > self._limit:
            self._parts.clear()
            raise _too_large(self._limit)
        self._parts.append(part)

    def _inflate(self, inflater: zlib._Decompress, part: bytes) -> bytes:
        """Inflate a part and return what of it is still to be inflated."""
        try:
            # One byte over the limit is enough to know; a bomb is never inflated.
            self._keep(inflater.decompress(part, self._limit - self._size + 1))
        except zlib.error as error:
            raise InvalidRequest(f"The gzip body cannot be inflated: {error}.") from None
        return inflater.unconsumed_tail or inflater.unused_data


def announced_bytes(headers: HTTPHeaders) -> int:
    """Return the length of the body as the head gives it; 0 where it does not (or not as a number)."""
    length = headers.get("Content-Length", "")
    return int(length) if length.isascii() and length.isdigit() else 0


def _inflater(encoding: str) -> zlib._Decompress:
    if encoding.strip().lower() not in _GZIP:
        raise UnsupportedEncoding(f"Got the content encoding {encoding[:40]!r}; accepted is gzip, or none.")
    return zlib.decompressobj(_GZIP_WINDOW)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The body is over {limit} bytes (inflated), which is the limit.", limit=limit)
