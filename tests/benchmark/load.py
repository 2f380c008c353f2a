"""A load generator: a process of its own, raw sockets, prepared requests.

``python -m tests.benchmark.load HOST PORT CONNECTIONS SECONDS EVENTS`` posts batches of EVENTS events
(1: a lone object) over keep-alive connections, one request at a time on each, and prints ``{"requests",
"events", "seconds", "failures"}`` as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

VARIANTS = 64
FIRST = 1_700_000_000_000

_SECOND = b"1234567890"  # stands for the second at which a request is sent


def event(number: int) -> dict[str, object]:
    """Return one ordinary event: seven fields, about 150 bytes of JSON."""
    return {
        "type": "request",
        "time": FIRST + number * 7,
        "data": {
            "path": f"/page/{number % 40}",
            "method": "GET" if number % 5 else "POST",
            "status": 500 if number % 50 == 0 else 200,
            "duration_ms": (number * 7919 % 10_000) / 10,
            "host": f"web{number % 12}",
            "user": number * 31 % 5000,
            "cached": number % 3 == 0,
        },
    }


def body(first: int, size: int) -> bytes:
    """Return the JSON of one request."""
    events = [event(first + offset) for offset in range(size)]
    return json.dumps(events[0] if size == 1 else events, separators=(",", ":")).encode()


def live(first: int, size: int) -> bytes:
    """Return the bytes of one POST whose events will happen when it is sent; see `at`."""
    events = [event(first + offset) for offset in range(size)]
    for offset, one in enumerate(events):
        one["time"] = int(_SECOND) * 1000 + offset % 1000
    content = json.dumps(events[0] if size == 1 else events, separators=(",", ":")).encode()
    return request(content)


def at(request: bytes, second: int) -> bytes:
    """Return a live request with its events in the given second since 1970."""
    return request.replace(_SECOND, b"%d" % second)


def request(content: bytes) -> bytes:
    """Return the bytes of one POST."""
    head = f"POST /1.0/event HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(content)}\r\n\r\n"
    return head.encode() + content


class Connection(asyncio.Protocol):
    """Sends the next request when the last one is answered, until the deadline."""

    def __init__(self, requests: list[bytes], deadline: float, done: asyncio.Future[None]) -> None:
        self.requests = requests
        self.deadline = deadline
        self.done = done
        self.sent = self.answered = self.failures = 0
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        """Count a complete answer and go on."""
        self.buffer += data
        head, separator, rest = self.buffer.partition(b"\r\n\r\n")
        if not separator or len(rest) < _content_length(head):
            return
        self.buffer = b""
        self.answered += 1
        self.failures += not head.startswith(b"HTTP/1.1 200")
        if time.monotonic() < self.deadline:
            self._send()
        else:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """End, however it came."""
        self.failures += self.sent - self.answered
        if not self.done.done():
            self.done.set_result(None)

    def _send(self) -> None:
        self.transport.write(at(self.requests[self.sent % len(self.requests)], int(time.time())))
        self.sent += 1


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


async def run(host: str, port: int, connections: int, seconds: float, events: int) -> dict[str, float]:
    """Offer the load and return what came of it."""
    loop = asyncio.get_running_loop()
    requests = [live(number * events, events) for number in range(VARIANTS)]
    start = time.monotonic()
    clients = []
    for number in range(connections):
        mine = requests[number % VARIANTS :] + requests[: number % VARIANTS]
        _, client = await loop.create_connection(
            lambda mine=mine: Connection(mine, start + seconds, loop.create_future()), host, port
        )
        clients.append(client)
    await asyncio.gather(*(client.done for client in clients))
    answered = sum(client.answered for client in clients)
    return {
        "requests": answered,
        "events": answered * events,
        "seconds": time.monotonic() - start,
        "failures": sum(client.failures for client in clients),
    }


if __name__ == "__main__":
    host, port, connections, seconds, events = sys.argv[1:]
    print(json.dumps(asyncio.run(run(host, int(port), int(connections), float(seconds), int(events)))))
