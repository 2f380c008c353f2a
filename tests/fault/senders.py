"""Clients that send events until they are acknowledged, and remember which were."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

from cube.client import Emitter, SocketEmitter
from cube.errors import CubeError

START = 1_700_000_000_000
PATIENCE_SECONDS = 60.0


class Sender(Protocol):
    """Sends one batch, and tells whether it is known to be stored, not just acknowledged.

    Raises `OSError` or `CubeError` where it was not acknowledged.
    """

    def __call__(self, events: list[dict[str, Any]]) -> bool: ...


class Ledger:
    """What has been acknowledged, by all clients together.

    ``wanted``: so many events are handed out at least, and more until `enough` is set.
    """

    def __init__(self, wanted: int) -> None:
        self.wanted = wanted
        self.enough = False
        self.acknowledged: set[str] = set()
        self.stored: set[str] = set()
        self.failures = 0
        self.taken = 0
        self._lock = threading.Lock()

    def take(self, size: int, name: str) -> list[dict[str, Any]]:
        """Hand out new events; none once there were enough."""
        with self._lock:
            if self.enough and self.taken >= self.wanted:
                return []
            first, self.taken = self.taken, self.taken + size
        return [
            {"type": "kill", "time": START + number, "id": f"{name}-{number}", "data": {"n": number}}
            for number in range(first, first + size)
        ]

    def note(self, events: list[dict[str, Any]], *, is_stored: bool) -> None:
        """Remember acknowledged events; ``is_stored``: with 200, so that every later question counts them."""
        ids = {event["id"] for event in events}
        with self._lock:
            self.acknowledged |= ids
            if is_stored:
                self.stored |= ids


def run_client(
    make: Callable[[], AbstractContextManager[Sender]], name: str, ledger: Ledger, size: int
) -> None:
    """Send until nothing is left; every batch again and again until it is acknowledged."""
    with make() as send:
        while events := ledger.take(size, name):
            deadline = time.monotonic() + PATIENCE_SECONDS
            while not _try(send, events, ledger):
                if time.monotonic() > deadline:
                    return  # the ledger stays short, and the test says so
                time.sleep(0.02)


def _try(send: Sender, events: list[dict[str, Any]], ledger: Ledger) -> bool:
    try:
        is_stored = send(events)
    except (OSError, CubeError, http.client.HTTPException):
        ledger.failures += 1
        return False
    ledger.note(events, is_stored=is_stored)
    return True


@contextmanager
def plain_http(port: int) -> Iterator[Sender]:
    """A client without any care of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def send(events: list[dict[str, Any]]) -> bool:
        try:
            connection.request("POST", "/1.0/event", json.dumps(events))
            response = connection.getresponse()
            response.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            raise
        if response.status not in (200, 202):
            raise OSError(f"got the status {response.status}")
        return response.status == 200

    try:
        yield send
    finally:
        connection.close()


@contextmanager
def http_emitter(port: int) -> Iterator[Sender]:
    """The emitter of the Python client."""
    with Emitter(f"http://127.0.0.1:{port}") as emitter:

        def send(events: list[dict[str, Any]]) -> bool:
            emitter.send(events)
            return False

        yield send


@contextmanager
def socket_emitter(port: int) -> Iterator[Sender]:
    """The WebSocket emitter of the Python client."""
    with asyncio.Runner() as runner:
        emitter = SocketEmitter(f"http://127.0.0.1:{port}", ack_seconds=30)

        def send(events: list[dict[str, Any]]) -> bool:
            runner.run(emitter.send(events))
            return False

        try:
            yield send
        finally:
            runner.run(emitter.close())
