"""A small HTTP client over plain sockets: it sends exactly what it is told, and shows all that comes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from tornado.websocket import WebSocketClientConnection

TIMEOUT_SECONDS = 10.0

HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """One reply; header names in small letters."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Connection:
    """One connection, kept alive as far as the server does."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def ask(
        self,
        method: str,
        target: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        seconds: float = TIMEOUT_SECONDS,
    ) -> Answer:
        """Send a request with its length and read the reply, which may take so long."""
        lines = {"Host": "localhost", **(headers or {})}
        if body is not None:
            lines["Content-Length"] = str(len(body))
        self.send(head(method, target, lines) + (body or b""))
        return await self.answer(method, seconds=seconds)

    def send(self, content: bytes) -> None:
        self.writer.write(content)

    async def send_all(self, content: bytes) -> None:
        """Send much, bit by bit; raises `ConnectionError` if the server does not take it."""
        for place in range(0, len(content), 2**20):
            self.send(content[place : place + 2**20])
            await self.writer.drain()

    async def answer(self, method: str = "GET", *, seconds: float = TIMEOUT_SECONDS) -> Answer:
        """Read one reply."""
        text = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), seconds)).decode("latin-1")
        first, *lines = text.strip().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        if headers.get("transfer-encoding") == "chunked" and method != "HEAD":
            return Answer(int(first.split(" ")[1]), headers, await self._chunks())
        length = 0 if method == "HEAD" else int(headers.get("content-length", "0"))
        body = await asyncio.wait_for(self.reader.readexactly(length), TIMEOUT_SECONDS)
        return Answer(int(first.split(" ")[1]), headers, body)

    async def _chunks(self) -> bytes:
        """Read a body in chunks to its end."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            body = b""
            while size := int(await self.reader.readline(), 16):
                body += await self.reader.readexactly(size)
                await self.reader.readline()
            await self.reader.readline()
            return body

    async def ended(self) -> bool:
        """Tell whether the server closes the connection, with nothing more to say."""
        return await asyncio.wait_for(self.reader.read(1), TIMEOUT_SECONDS) == b""


def head(method: str, target: str, headers: Mapping[str, str], version: str = "HTTP/1.1") -> bytes:
    """Return the bytes of a request's head; it has a Host in any case."""
    headers = {"Host": "localhost", **headers}
    lines = [f"{method} {target} {version}", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


@asynccontextmanager
async def connection(port: int) -> AsyncIterator[Connection]:
    """Connect to a port of the loopback."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
    try:
        yield Connection(reader, writer)
    finally:
        writer.close()


async def ask(
    port: int, method: str, target: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> Answer:
    """Send one request on a connection of its own."""
    async with connection(port) as own:
        return await own.ask(method, target, body, headers)


async def close_socket(socket: WebSocketClientConnection) -> None:
    """Close a WebSocket, and return when it is closed: a loop that ends before that leaves it open."""
    socket.close()
    while await asyncio.wait_for(socket.read_message(), TIMEOUT_SECONDS) is not None:
        continue
