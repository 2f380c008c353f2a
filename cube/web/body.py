"""Bodies as they arrive: counted, inflated, refused in time."""

from __future__ import annotations

from collections.abc import Collection
from threading import Lock

from tornado.httputil import HTTPHeaders

from cube.errors import InvalidRequest, Overloaded, TooLarge, shown
from cube.process.threads import Condition
from cube.web.content_encoding import ENCODINGS, ERRORS, ContentDecoder, ContentEncoding
from cube.web.error_replies import UnsupportedEncoding

WIRE_BYTES = 64 * 1024
"""What cannot be compressed is longer so than it was."""

MEMBERS = 1_000
"""The members of a gzip body, or the frames of a zstd one; each costs some microseconds, even if empty."""

PART_BYTES = 64 * 1024
"""Parts of a body that are smaller are put together: each costs memory beside its bytes."""

_PLAIN = ("", "identity")
_GZIP_MAGIC = b"\x1f\x8b"  # RFC 1952, 2.3.1; no text begins so


class BodyBudget:
    """Bounds the bytes of all bodies and messages that are held at once, until they are answered.

    As many bytes again may wait for their turn. `take` may be called from any thread.
    """

    def __init__(self, limit: int) -> None:
        self.held = 0
        self._waiting = 0
        self._limit = limit
        self._eased = Condition()
        self._lock = Lock()

    def take(self, size: int) -> None:
        """Hold so many bytes more; raises `Overloaded` where they do not fit."""
        with self._lock:
            held = self.held
            if held + size <= self._limit:
                self.held = held + size
                return
        raise Overloaded(
            f"{held} bytes of requests are held, and no more than {self._limit} may be; send again later."
        )

    def take_at_once(self, size: int) -> bool:
        """Hold so many bytes more if they fit, and tell whether they do; see `take_in_turn`."""
        with self._lock:
            if self.held and self.held + size > self._limit:
                return False
            self.held += size
            return True

    async def take_in_turn(self, size: int) -> None:
        """Hold so many bytes more once they fit: for a message, whose client can be made to wait.

        Raises `Overloaded` where too many bytes wait already.
        """
        if not self.take_at_once(size):
            await self._turn(size)
            with self._lock:
                self.held += size

    def give_back(self, size: int) -> None:
        """Hold so many bytes less."""
        with self._lock:
            self.held -= size
        if self._waiting:
            self._eased.notify()

    async def _turn(self, size: int) -> None:
        if self._waiting + size > self._limit:
            raise Overloaded(
                f"{self._waiting} bytes of messages wait for their turn, and no more than {self._limit} may;"
                " send again later."
            )
        self._waiting += size
        try:
            await self._eased.wait_for(lambda: not self.held or self.held + size <= self._limit)
        finally:
            self._waiting -= size


class Body:
    """The body of one request; no more than ``limit`` bytes of it, inflated, are ever held.

    Of an encoded body no more than ``limit`` bytes are read from the wire either, but for `WIRE_BYTES`, and
    no more than `MEMBERS` members. Raises `TooLarge`, `UnsupportedEncoding` (from the head alone),
    `InvalidRequest` (one that cannot be decoded) and `Overloaded` (bodies hold too much together).
    `release` is to be called at the end. ``sniffed``: gzip is known by its first two bytes, where no
    header tells it. ``left``: encodings that are left to whoever reads the body, and `hold`.
    """

    def __init__(
        self,
        headers: HTTPHeaders,
        limit: int,
        budget: BodyBudget,
        *,
        sniffed: bool = False,
        left: Collection[str] = (),
    ) -> None:
        self._limit = limit
        self._budget = budget
        self._parts: list[bytes | bytearray] = []
        self._size = 0
        self._held = 0
        self._wire = 0
        self._members = 1
        self._lock = Lock()
        self._is_released = False
        self._encoding = _encoding(headers.get("Content-Encoding", ""), left)
        self._decoder = None if self._encoding is None else self._encoding.decoder(limit)
        self._unseen: bytes | None = b"" if sniffed and self._encoding is None else None
        if announced_bytes(headers) > self._wire_limit:
            raise _too_large(limit)

    @property
    def _wire_limit(self) -> int:
        return self._limit if self._encoding is None else self._limit + WIRE_BYTES

    def add(self, part: bytes) -> None:
        """Take the next part as it came over the wire."""
        if self._unseen is not None:
            part = self._unseen + part
            self._unseen = part if len(part) < len(_GZIP_MAGIC) else None
            if self._unseen is not None:
                return
            if part.startswith(_GZIP_MAGIC):
                self._encoding = ENCODINGS["gzip"]
                self._decoder = self._encoding.decoder(self._limit)
        if self._encoding is None or self._decoder is None:
            self._keep(part)
            return
        self._wire += len(part)
        if self._wire > self._wire_limit:
            raise _too_large(self._limit)
        while part:
            if self._decoder.eof:
                self._decoder = self._next_decoder(self._encoding)
            part = self._decode(self._encoding, self._decoder, part)

    def complete(self) -> bytes:
        if self._unseen:
            self._keep(self._unseen)
        if self._encoding is not None and self._decoder is not None and self._wire and not self._decoder.eof:
            raise InvalidRequest(f"The {self._encoding.name} body ends before its end.")
        self._decoder = None
        self._budget.give_back(self._held - self._size)
        self._held = self._size
        content = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        whole = content if isinstance(content, bytes) else bytes(content)
        self._parts = [whole]
        return whole

    def hold(self, size: int) -> None:
        """Hold so many bytes more, of what its reader unpacks of it, until `release`; from any thread.

        Raises `TooLarge` where a body may not be so long, `Overloaded` where bodies hold too much together.
        """
        if size > self._limit:
            raise _too_large(self._limit)
        with self._lock:
            if not self._is_released:  # else nobody waits for the answer any more
                self._budget.take(size)
                self._held += size

    def release(self) -> None:
        """Hold nothing any more; once is enough."""
        with self._lock:
            held, self._held, self._is_released = self._held, 0, True
        self._budget.give_back(held)
        self._size = 0
        self._decoder = None
        self._parts.clear()

    def _keep(self, part: bytes) -> None:
        if self._size + len(part) > self._limit:
            raise _too_large(self._limit)
        held = len(part) if self._encoding is None else len(part) * self._encoding.copies
        self._budget.take(held)
        self._held += held
        self._size += len(part)
        last = self._parts[-1] if self._parts else b""
        if isinstance(last, bytearray) and len(last) < PART_BYTES:
            last += part
        elif part:
            self._parts.append(part if len(part) >= PART_BYTES else bytearray(part))

    def _next_decoder(self, encoding: ContentEncoding) -> ContentDecoder:
        self._members += 1
        if not encoding.joined:
            raise InvalidRequest(f"The {encoding.name} body goes on behind its end.")
        if self._members > MEMBERS:
            raise InvalidRequest(
                f"The {encoding.name} body has more than {MEMBERS} members, which is the limit."
            )
        return encoding.decoder(self._limit)

    def _decode(self, encoding: ContentEncoding, decoder: ContentDecoder, part: bytes) -> bytes:
        """Decode a part and return what of it is still to be decoded."""
        try:
            # One byte over the limit is enough to know; a bomb is never inflated.
            self._keep(decoder.decompress(part, self._limit - self._size + 1))
        except ERRORS as error:
            raise InvalidRequest(f"The {encoding.name} body cannot be inflated: {error}.") from None
        return decoder.unused_data


def announced_bytes(headers: HTTPHeaders) -> int:
    """Return the length of the body as the head gives it (see `http1`); 0 where it does not."""
    return int(headers.get("Content-Length", "0"))


def _encoding(name: str, left: Collection[str]) -> ContentEncoding | None:
    name = name.strip().lower()
    if name not in _PLAIN and name not in ENCODINGS and name not in left:
        accepted = ", ".join(("gzip", "deflate", *left, "zstd"))
        raise UnsupportedEncoding(
            f"Got the content encoding {shown(name)}; accepted are {accepted}, or none."
        )
    return ENCODINGS.get(name)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The body is over {limit} bytes (inflated), which is the limit.", limit=limit)
