"""Bodies as they arrive: counted, inflated, refused in time."""

from __future__ import annotations

import asyncio
import zlib

from tornado.httputil import HTTPHeaders

from cube.errors import InvalidRequest, Overloaded, TooLarge
from cube.shown import shown
from cube.web.request import UnsupportedEncoding

WIRE_BYTES = 64 * 1024
"""What cannot be compressed is longer so than it was."""

MEMBERS = 1_000
"""The members of a gzip body; one costs some microseconds, however little it holds."""

PART_BYTES = 64 * 1024
"""Parts of a body that are smaller are put together: each costs memory beside its bytes."""

_GZIP_WINDOW = 16 + zlib.MAX_WBITS
_PLAIN = ("", "identity")
_GZIP = ("gzip", "x-gzip")


class BodyMemory:
    """Bounds the bytes of all bodies and messages that are held at once, until they are answered.

    As many bytes again may wait for their turn.
    """

    def __init__(self, limit: int) -> None:
        self.held = 0
        self._waiting = 0
        self._limit = limit
        self._eased = asyncio.Event()

    def take(self, size: int) -> None:
        """Hold so many bytes more; raises `Overloaded` where they do not fit."""
        if self.held + size > self._limit:
            raise Overloaded(
                f"{self.held} bytes of requests are held, and no more than {self._limit} may be; send again"
                " later."
            )
        self.held += size

    async def take_in_turn(self, size: int) -> None:
        """Hold so many bytes more once they fit: for a message, whose client can be made to wait.

        Raises `Overloaded` where too many bytes wait already.
        """
        if self.held and self.held + size > self._limit:
            await self._turn(size)
        self.held += size

    def give_back(self, size: int) -> None:
        """Hold so many bytes no more."""
        self.held -= size
        self._eased.set()

    async def _turn(self, size: int) -> None:
        if self._waiting + size > self._limit:
            raise Overloaded(
                f"{self._waiting} bytes of messages wait for their turn, and no more than {self._limit} may;"
                " send again later."
            )
        self._waiting += size
        try:
            while self.held and self.held + size > self._limit:
                self._eased.clear()
                await self._eased.wait()
        finally:
            self._waiting -= size


class Body:
    """The body of one request; no more than ``limit`` bytes of it, inflated, are ever held.

    Of a gzip body no more than ``limit`` bytes are read from the wire either, but for `WIRE_BYTES`, and
    no more than `MEMBERS` members. Raises `TooLarge`, `UnsupportedEncoding` (from the head alone),
    `InvalidRequest` (broken gzip) and `Overloaded` (bodies hold too much together). `release` is to be
    called at the end.
    """

    __slots__ = ("_inflater", "_limit", "_members", "_memory", "_parts", "_size", "_wire")

    def __init__(self, headers: HTTPHeaders, limit: int, memory: BodyMemory) -> None:
        self._limit = limit
        self._memory = memory
        self._parts: list[bytes | bytearray] = []
        self._size = 0
        self._wire = 0
        self._members = 1
        self._inflater: zlib._Decompress | None = None
        encoding = headers.get("Content-Encoding")
        if encoding is not None and encoding.strip().lower() not in _PLAIN:
            self._inflater = _inflater(encoding)
        if announced_bytes(headers) > self._wire_limit:
            raise _too_large(limit)

    @property
    def _wire_limit(self) -> int:
        return self._limit if self._inflater is None else self._limit + WIRE_BYTES

    def add(self, part: bytes) -> None:
        """Take the next part as it came over the wire."""
        if self._inflater is None:
            self._keep(part)
            return
        self._wire += len(part)
        if self._wire > self._wire_limit:
            raise _too_large(self._limit)
        while part:
            if self._inflater.eof:  # a gzip body may have several members
                self._inflater = self._next_member()
            part = self._inflate(self._inflater, part)

    def complete(self) -> bytes:
        """Return the whole body."""
        if self._inflater is not None and self._wire and not self._inflater.eof:
            raise InvalidRequest("The gzip body ends before its end.")
        content = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        whole = content if isinstance(content, bytes) else bytes(content)
        self._parts = [whole]
        return whole

    def release(self) -> None:
        """Hold nothing any more; once is enough."""
        self._memory.give_back(self._size)
        self._size = 0
        self._parts.clear()

    def _keep(self, part: bytes) -> None:
        if self._size + len(part) > self._limit:
            raise _too_large(self._limit)
        self._memory.take(len(part))
        self._size += len(part)
        last = self._parts[-1] if self._parts else b""
        if isinstance(last, bytearray) and len(last) < PART_BYTES:
            last += part
        elif part:
            self._parts.append(part if len(part) >= PART_BYTES else bytearray(part))

    def _next_member(self) -> zlib._Decompress:
        self._members += 1
        if self._members > MEMBERS:
            raise InvalidRequest(f"The gzip body has more than {MEMBERS} members, which is the limit.")
        return zlib.decompressobj(_GZIP_WINDOW)

    def _inflate(self, inflater: zlib._Decompress, part: bytes) -> bytes:
        """Inflate a part and return what of it is still to be inflated."""
        try:
            # One byte over the limit is enough to know; a bomb is never inflated.
            self._keep(inflater.decompress(part, self._limit - self._size + 1))
        except zlib.error as error:
            raise InvalidRequest(f"The gzip body cannot be inflated: {error}.") from None
        return inflater.unconsumed_tail or inflater.unused_data


def announced_bytes(headers: HTTPHeaders) -> int:
    """Return the length of the body as the head gives it (see `cube.web.wire`); 0 where it does not."""
    return int(headers.get("Content-Length", "0"))


def _inflater(encoding: str) -> zlib._Decompress:
    if encoding.strip().lower() not in _GZIP:
        raise UnsupportedEncoding(f"Got the content encoding {shown(encoding)}; accepted is gzip, or none.")
    return zlib.decompressobj(_GZIP_WINDOW)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The body is over {limit} bytes (inflated), which is the limit.", limit=limit)
