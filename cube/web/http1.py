"""Requests as they stand on the wire: what RFC 9112 has servers refuse, and Tornado lets through.

Tornado closes a connection with a bare status line on a head that it cannot read, and raises from its own
coroutine, behind our back, on a framing that it cannot read. Both are settled here before it looks. The
chunks of a body are read here as well, with their extensions and trailers.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import NoReturn

from tornado.http1connection import HTTP1Connection
from tornado.httputil import (
    HTTPHeaders,
    HTTPInputError,
    HTTPMessageDelegate,
    RequestStartLine,
    parse_request_start_line,
)
from tornado.iostream import StreamClosedError

from cube.errors import CubeError, InvalidRequest, TooLarge, shown
from cube.web.error_replies import HttpRefusal
from cube.web.tornado_private import Head, deliver

PART_BYTES = 64 * 1024
"""A body is handed over in parts of this size at most."""

LINE_BYTES = 4096
"""The line before a chunk, or of a trailer, with all that is ignored in it."""

IGNORED_BYTES = 64 * 1024
"""The extensions and trailers of one body together."""

LENGTH_DIGITS = 18
"""A length with more digits than these is over every limit."""

_ABSOLUTE = re.compile(r"https?://([^/?#]*)([^#]*)", re.IGNORECASE)
# RFC 3986's host and port without a comma, which is what two Host lines become on their way.
_HOST = re.compile(r"(\[[0-9A-Za-z:.%_~-]+\]|[A-Za-z0-9._~%!$&'()*+;=-]*)(:[0-9]*)?")
_OUTSIDE_ASCII = re.compile(r"[\x80-\xff]")
_CHUNK_COST = 2048  # bytes whose reading takes about as long as the frame of a chunk
_YIELD_BYTES = 512 * 1024
_SIZE = re.compile(rb"[0-9A-Fa-f]{1,16}")
_TRAILER = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\x00\r\n]*")

# Two headers that Datacoral's client writes with a blank before the colon. No framing depends on them.
_NAME = rb"^(x-api-key|x-datacoral-environment)"
_ANY = re.compile(rb"(?im)" + _NAME + rb"[ \t]*:")
# Not where the next line continues this one: how far a header goes is then a matter of opinion.
_BLANK = re.compile(rb"(?im)" + _NAME + rb"[ \t]+:(?=[^\r\n]*\r?\n(?![ \t]))")


def parse_head(
    lenient: bool, refused: Callable[[CubeError], None], parse: Callable[[bytes], Head], head: bytes
) -> Head:
    """Return a head as Tornado shall see it; see `cube.web.tornado_private.read_with`.

    ``lenient``: see `put_right`. ``refused`` sends the reply to a head that cannot be read.
    """
    try:
        line, headers = parse(put_right(head) if lenient else head)
        return checked(line, headers), headers
    except HTTPInputError as error:
        refused(malformed(error))
    except CubeError as error:
        refused(error)
    raise StreamClosedError


def put_right(head: bytes) -> bytes:
    """Return a head without the blanks before the colons of two headers that Datacoral's client writes so.

    RFC 9112, section 5.1, has servers refuse such lines: where a proxy in front reads a header and the
    server does not, a request can be hidden in another. So this holds for two names alone, and only where
    it leaves nothing to interpret: a head where one occurs twice is left as it is.
    """
    if b" :" not in head and b"\t:" not in head:  # nearly every head
        return head
    names = [found.lower() for found in _ANY.findall(head)]
    if len(names) != len(set(names)):
        return head
    return _BLANK.sub(rb"\1:", head)


def checked(line: str, headers: HTTPHeaders) -> str:
    """Return the line of a request as Tornado shall read it, whose framing and host are beyond doubt.

    ``line``: decoded as Latin-1. Bytes outside ASCII come out percent-encoded, so that they count as
    UTF-8 like those that a client encoded itself; an absolute target comes out as its path, and its host
    in ``headers``, as RFC 9112, section 3.2.2, has it. Raises `InvalidRequest`, `TooLarge` and
    `HttpRefusal`.
    """
    if not line.isascii():
        line = _OUTSIDE_ASCII.sub(lambda found: f"%{ord(found[0]):02X}", line)
    try:
        start = parse_request_start_line(line)
    except HTTPInputError as error:
        raise malformed(error) from None
    _check_host(start, headers)
    _check_framing(start, headers)
    if not start.path.startswith("/"):
        start = _originated(start, headers)
    return f"{start.method} {start.path} {start.version}"


def malformed(error: HTTPInputError) -> InvalidRequest:
    """Say that Tornado cannot read a head; its own words may quote a key."""
    named = str(error).partition(" '")[0].partition(' "')[0].rstrip(":")
    return InvalidRequest(f"The request's head cannot be read ({named}); accepted is HTTP/1.1 (RFC 9112).")


def _check_host(start: RequestStartLine, headers: HTTPHeaders) -> None:
    hosts = headers.get_list("Host")
    if len(hosts) > 1:
        raise InvalidRequest(f"Got {len(hosts)} Host headers; accepted is one.")
    if not hosts and start.version != "HTTP/1.0":  # which did not know it; probes of balancers send that
        raise InvalidRequest("Got no Host header; accepted is one.")
    if hosts and not _HOST.fullmatch(hosts[0]):
        _refuse_host(hosts[0])


def _refuse_host(host: str) -> NoReturn:
    raise InvalidRequest(f"Got the Host {shown(host)}; accepted is a name or an address, with a port or not.")


def _originated(start: RequestStartLine, headers: HTTPHeaders) -> RequestStartLine:
    found = _ABSOLUTE.fullmatch(start.path)
    if found is None:  # "*", or a CONNECT's host and port: nothing is there
        return start
    host, rest = found.groups()
    if not host or not _HOST.fullmatch(host):
        _refuse_host(host)
    headers["Host"] = host
    return start._replace(path=rest if rest.startswith("/") else f"/{rest}")


def _check_framing(start: RequestStartLine, headers: HTTPHeaders) -> None:
    lengths = {part.strip() for line in headers.get_list("Content-Length") for part in line.split(",")}
    coding = headers.get("Transfer-Encoding")
    if coding is not None and (lengths or start.version == "HTTP/1.0"):
        other = "a Content-Length" if lengths else "HTTP/1.0"
        raise InvalidRequest(f"Got a Transfer-Encoding with {other}; accepted is one way to frame a body.")
    if coding is not None and coding.strip().lower() != "chunked":
        raise HttpRefusal(501, f"Got the transfer coding {shown(coding)}; accepted is chunked.")
    if lengths:
        headers["Content-Length"] = _length(lengths)


def _length(lengths: set[str]) -> str:
    length = next(iter(lengths))
    if len(lengths) > 1 or not (length.isascii() and length.isdigit()):
        # What was got may be a key that strayed here, and this is logged.
        raise InvalidRequest("Got a Content-Length that is not one whole number; accepted are digits alone.")
    length = length.lstrip("0") or "0"
    if len(length) > LENGTH_DIGITS:
        raise TooLarge(f"Got a Content-Length of {len(length)} digits, which is over every limit.")
    return length


class ChunkedBody:
    """A body in chunks, whose parts are handed to a delegate; extensions and trailers are ignored."""

    def __init__(self, connection: HTTP1Connection, delegate: HTTPMessageDelegate) -> None:
        self._connection = connection
        self._delegate = delegate
        self._stream = connection.stream
        self._ignored = 0
        self._work = 0

    async def read(self) -> None:
        """Read to the end of the trailers; raises `InvalidRequest`."""
        while size := await self._size():
            while size:
                part = await self._stream.read_bytes(min(size, PART_BYTES), partial=True)
                size -= len(part)
                await deliver(self._connection, self._delegate, part)
                await self._worked(len(part))
            if await self._stream.read_bytes(2) != b"\r\n":
                raise InvalidRequest("A chunk of the body is longer than it says.")
        while line := await self._line():
            self._ignore(len(line))
            if not _TRAILER.fullmatch(line):
                raise InvalidRequest("A trailer of the body is not a header.")

    async def _size(self) -> int:
        line = await self._line()
        size, semicolon, extension = line.partition(b";")
        size = size.rstrip(b" \t") if semicolon else size
        if not _SIZE.fullmatch(size):
            raise InvalidRequest("The size of a chunk is not a hexadecimal number.")
        self._ignore(len(extension))
        await self._worked(_CHUNK_COST)
        return int(size, 16)

    async def _line(self) -> bytes:
        line = (await self._stream.read_until(b"\r\n", max_bytes=LINE_BYTES))[:-2]
        if b"\r" in line or b"\n" in line:  # a proxy may have taken it for the end of the line
            raise InvalidRequest("A line between the chunks of the body has half a line end in it.")
        return line

    def _ignore(self, size: int) -> None:
        self._ignored += size
        if self._ignored > IGNORED_BYTES:
            raise InvalidRequest(f"The extensions and trailers of the body are over {IGNORED_BYTES} bytes.")

    async def _worked(self, size: int) -> None:
        """Let others have their turn now and then: what has arrived is read without waiting."""
        self._work += size
        if self._work >= _YIELD_BYTES:
            self._work = 0
            await asyncio.sleep(0)
