"""A lean HTTP client: requests over kept connections, one at a time or many at once, timed."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Sequence
from typing import Self

from tests.benchmark.processes import Address
from tests.benchmark.questions import Answer, Question, meaningful

TIMEOUT_SECONDS = 900


class Refused(Exception):
    """A request was answered with another status than 200."""


class Connection:
    """One kept connection, blocking."""

    def __init__(self, address: Address) -> None:
        self._socket = socket.create_connection((address.host, address.port), TIMEOUT_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._socket.close()

    def get(self, path: str) -> bytes:
        """Return the body of an answer; raises `Refused`."""
        self._socket.sendall(request("GET", path))
        return self._answer()

    def post(self, path: str, body: bytes) -> bytes:
        """Post a body and return the answer's; raises `Refused`."""
        self._socket.sendall(request("POST", path, body))
        return self._answer()

    def milliseconds(self, path: str) -> float:
        """Return how long an answer takes."""
        start = time.perf_counter()
        self.get(path)
        return (time.perf_counter() - start) * 1000

    def _answer(self) -> bytes:
        status = self._file.readline()
        length = None
        while (line := self._file.readline()).strip():
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        if length is None:
            raise Refused(f"{status!r} came without a Content-Length")
        body = self._file.read(length)
        if b" 200 " not in status:
            raise Refused(f"{status.decode().strip()}: {body[:500].decode()}")
        return body


def request(method: str, path: str, body: bytes = b"") -> bytes:
    """Return the bytes of a request."""
    length = f"Content-Length: {len(body)}\r\n" if method == "POST" else ""
    return f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{length}\r\n".encode() + body


def ask(address: Address, question: Question, start: int, stop: int) -> Answer:
    """Ask an evaluator, and read its answer."""
    with Connection(address) as connection:
        return answer(connection.get(question.path(start, stop)))


def answer(body: bytes) -> Answer:
    """Read the answer to a metric query."""
    found: Answer = {}
    for row in json.loads(body):
        if row.get("value") is not None:
            found[milliseconds(row["time"]), str(row.get("group", ""))] = row["value"]
    return meaningful(found)


def milliseconds(time_text: str) -> int:
    """Read an ISO time as milliseconds since 1970."""
    from datetime import datetime

    return round(datetime.fromisoformat(time_text).timestamp() * 1000)


async def at_once(address: Address, paths: Sequence[str]) -> tuple[float, list[bytes]]:
    """Ask for all paths at once, each on a connection of its own; return the milliseconds and the bodies."""
    streams = [await asyncio.open_connection(address.host, address.port, limit=2**26) for _ in paths]
    try:
        start = time.perf_counter()
        bodies = await asyncio.gather(
            *(exchange(reader, writer, path) for (reader, writer), path in zip(streams, paths, strict=True))
        )
        return (time.perf_counter() - start) * 1000, bodies
    finally:
        for _, writer in streams:
            writer.close()


async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str) -> bytes:
    """Send one GET and return the body; raises `Refused`."""
    writer.write(request("GET", path))
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    length = next(
        int(line.partition(":")[2])
        for line in head.split("\r\n")
        if line.lower().startswith("content-length:")
    )
    body = await reader.readexactly(length)
    if " 200 " not in head.partition("\r\n")[0]:
        raise Refused(f"{head.partition(chr(13))[0]}: {body[:500].decode()}")
    return body
