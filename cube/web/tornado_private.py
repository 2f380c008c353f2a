"""Reading requests where Tornado's own reading does not do: heads, and bodies in chunks.

It has no public place for either: `read_our_way` puts our functions into each connection.
`tests.integration.test_web_wire` shows that it holds.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from functools import partial
from typing import Protocol, cast

from tornado.http1connection import HTTP1Connection
from tornado.httputil import HTTPHeaders, HTTPInputError, HTTPMessageDelegate
from tornado.iostream import StreamClosedError

from cube.errors import CubeError, InvalidRequest
from cube.web.connection import Stream
from cube.web.http1 import checked, malformed
from cube.web.lenient import put_right

PART_BYTES = 64 * 1024
"""A body is handed over in parts of this size at most."""

LINE_BYTES = 4096
"""The line before a chunk, or of a trailer, with all that is ignored in it."""

IGNORED_BYTES = 64 * 1024
"""The extensions and trailers of one body together."""

_CHUNK_COST = 2048  # bytes whose reading takes about as long as the frame of a chunk
_YIELD_BYTES = 512 * 1024
_SIZE = re.compile(rb"[0-9A-Fa-f]{1,16}")
_TRAILER = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\x00\r\n]*")


class Reader(Protocol):
    """What takes the parts of a body, beside what Tornado asks of it."""

    def broken(self, error: InvalidRequest) -> None:
        """The body cannot be read on."""


def read_our_way(connection: HTTP1Connection, *, lenient: bool, refused: Callable[[CubeError], None]) -> None:
    """Have a connection read its next request with the functions of this module.

    ``lenient``: see `cube.web.lenient`. ``refused`` sends the reply to a head that cannot be read.
    """
    parse = partial(_parse, connection._parse_headers, lenient, refused)  # noqa: SLF001 - see above
    connection._parse_headers = parse  # type: ignore[method-assign]  # noqa: SLF001 - see above
    connection._read_chunked_body = partial(_read_chunks, connection)  # type: ignore[method-assign]  # noqa: SLF001 - see above


def _parse(
    parse: Callable[[bytes], tuple[str, HTTPHeaders]],
    lenient: bool,
    refused: Callable[[CubeError], None],
    head: bytes,
) -> tuple[str, HTTPHeaders]:
    try:
        line, headers = parse(put_right(head) if lenient else head)
        return checked(line, headers), headers
    except HTTPInputError as error:
        refused(malformed(error))
    except CubeError as error:
        refused(error)
    raise StreamClosedError


async def _read_chunks(connection: HTTP1Connection, delegate: HTTPMessageDelegate) -> None:
    try:
        await _Chunks(connection, delegate).read()
    except InvalidRequest as error:
        cast("Reader", delegate).broken(error)


class _Chunks:
    """The chunks of one body; extensions and trailers are read, and ignored."""

    def __init__(self, connection: HTTP1Connection, delegate: HTTPMessageDelegate) -> None:
        self._deliver = partial(connection._deliver_body, delegate)  # noqa: SLF001 - see above
        self._stream = cast("Stream", connection.stream)
        self._ignored = 0
        self._work = 0

    async def read(self) -> None:
        """Read to the end of the trailers; raises `InvalidRequest`."""
        while size := await self._size():
            await self._chunk(size)
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

    async def _chunk(self, size: int) -> None:
        while size:
            part = await self._stream.read_bytes(min(size, PART_BYTES), partial=True)
            size -= len(part)
            await self._deliver(part)
            await self._worked(len(part))

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
