"""A lean HTTP client: requests over kept connections, one at a time or many at once, timed."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Self

from tests.benchmark.processes import Address
from tests.benchmark.questions import Answer, Question, meaningful

TIMEOUT_SECONDS = 900
IDLE_SECONDS = 20.0
"""A server closes connections that nothing comes on for longer."""


class Refused(Exception):
    """A request was answered with another status than 200."""


class Connection:
    """One kept connection, blocking; another where nothing came on it for `IDLE_SECONDS`.

    `ConnectionError` is raised where the server closes it in an answer.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self._open()

    def _open(self) -> None:
        self._socket = socket.create_connection((self._address.host, self._address.port), TIMEOUT_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb")
        self._used = time.monotonic()

    def _send(self, request: bytes) -> None:
        if time.monotonic() - self._used > IDLE_SECONDS:
            self.__exit__()
            self._open()
        self._socket.sendall(request)
        self._used = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._socket.close()

    def get(self, path: str) -> bytes:
        """Return the body of an answer; raises `Refused`."""
        self._send(request("GET", path))
        return self._answer()

    def post(self, path: str, body: bytes) -> bytes:
        """Post a body and return the answer's; raises `Refused`."""
        self._send(request("POST", path, body))
        return self._answer()

    def milliseconds(self, path: str) -> float:
        """Return how long an answer takes."""
        start = time.perf_counter()
        self.get(path)
        return (time.perf_counter() - start) * 1000

    def _answer(self) -> bytes:
        status = self._line().decode()
        headers = header_values(iter(self._line, b"\r\n"))
        return accepted(status, self._chunks() if is_chunked(headers) else self._sized(status, headers))

    def _sized(self, status: str, headers: Mapping[str, str]) -> bytes:
        if "content-length" not in headers:
            raise Refused(f"{status.strip()!r} came without a Content-Length, and not in chunks")
        return self._file.read(int(headers["content-length"]))

    def _chunks(self) -> bytes:
        parts = []
        while size := int(self._line(), 16):
            parts.append(self._file.read(size))
            self._line()
        self._line()
        return b"".join(parts)

    def _line(self) -> bytes:
        line = self._file.readline()
        if not line:
            raise ConnectionError("the server closed the connection before its answer was whole")
        return line


def header_values(lines: Iterable[bytes]) -> dict[str, str]:
    """Read the headers of an answer, by name in lower case."""
    pairs = (line.decode("latin-1").partition(":") for line in lines)
    return {name.lower(): value.strip() for name, _, value in pairs}


def is_chunked(headers: Mapping[str, str]) -> bool:
    """Tell whether an answer comes in chunks, as long ones do, whose length nobody knew at their head."""
    return headers.get("transfer-encoding", "").lower() == "chunked"


def accepted(status: str, body: bytes) -> bytes:
    """Return the body of an answer; raises `Refused` where its status is another than 200."""
    if " 200 " not in status:
        raise Refused(f"{status.strip()}: {body[:500].decode()}")
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
    status, *lines = (await reader.readuntil(b"\r\n\r\n"))[:-4].split(b"\r\n")
    headers = header_values(lines)
    if not is_chunked(headers):
        return accepted(status.decode(), await reader.readexactly(int(headers["content-length"])))
    parts = []
    while size := int(await reader.readline(), 16):
        parts.append(await reader.readexactly(size))
        await reader.readline()
    await reader.readline()
    return accepted(status.decode(), b"".join(parts))
