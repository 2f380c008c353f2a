"""Sending batches until they are stored or refused for good: repetition, and what is done about refusals."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from typing import Protocol
from urllib.parse import urlsplit

from cube.backoff import Backoff
from cube.client.connection import NO_RETRIES, Retries
from cube.client.drops import Drop, Drops
from cube.client.emitter import DatagramEmitter, Emitter
from cube.client.sockets import SocketEmitter
from cube.errors import (
    CubeError,
    InvalidEvent,
    InvalidRequest,
    InvalidSettings,
    NotFound,
    Overloaded,
    TooLarge,
    Unavailable,
    shown,
)

FAULTS = 8
"""A batch at which the collector fails so often (HTTP 500) is given up: others wait behind it."""

_log = logging.getLogger(__name__)


class Transport(Protocol):
    """What sends one batch, for one thread; returns when it is stored, or raises why not."""

    def send_texts(self, texts: Sequence[bytes]) -> None: ...

    def close(self) -> None: ...


class SocketTransport:
    """A `SocketEmitter` for a thread that has no event loop."""

    def __init__(self, url: str, key: str | None, timeout_seconds: float) -> None:
        self._runner = asyncio.Runner()
        retries = Retries(attempts=1, pause_seconds=0)  # a socket that broke while idle is opened again
        self._emitter = SocketEmitter(url, key=key, ack_seconds=timeout_seconds, retries=retries)

    def send_texts(self, texts: Sequence[bytes]) -> None:
        self._runner.run(self._emitter.send_texts(texts))

    def close(self) -> None:
        self._runner.run(self._emitter.close())
        self._runner.close()


def transport_to(url: str, key: str | None, timeout_seconds: float) -> Callable[[], Transport]:
    """Return what opens the way to a URL, which is checked now; raises `InvalidSettings`."""
    parts = urlsplit(url)
    if parts.hostname and parts.scheme in ("http", "https"):
        return lambda: Emitter(url, key=key, timeout_seconds=timeout_seconds, retries=NO_RETRIES)
    if parts.hostname and parts.scheme in ("ws", "wss"):
        return lambda: SocketTransport(url.replace("ws", "http", 1), key, timeout_seconds)
    host, port = parts.hostname, parts.port
    if parts.scheme == "udp" and host and port and key is None:
        return lambda: DatagramEmitter(host, port)
    raise InvalidSettings(
        f"Got the address {shown(url)}; accepted is http://HOST:PORT, https://…, ws://…, wss://…, or, without"
        " a key, udp://HOST:PORT."
    )


class Delivery:
    """Sends batches over a transport, each again and again with the same ids until it is settled.

    ``stored``: how many events were. Events that the collector refuses are dropped, and those beside them
    sent. Anything else, such as no
    answer, an overload, a key that is not allowed or an address where no collector is, is waited out.
    """

    def __init__(self, connect: Callable[[], Transport], backoff: Backoff, drops: Drops) -> None:
        self.stored = 0
        self._connect = connect
        self._backoff = backoff
        self._drops = drops
        self._stopping = threading.Event()
        self._transport: Transport | None = None

    def stop(self) -> None:
        """Try no more from now on."""
        self._stopping.set()

    def deliver(self, texts: Sequence[bytes]) -> Sequence[bytes]:
        """Return when events are stored or dropped; what is returned is neither, because of `stop`."""
        waiting, failures, faults = [texts], 0, 0
        while waiting:
            batch = waiting.pop()
            try:
                self._send(batch)
                failures = faults = 0
            except Exception as error:  # also what a transport may raise, such as an OSError
                if isinstance(error, InvalidRequest) and not isinstance(error, NotFound):
                    waiting += reversed(self._divided(batch, error))
                    continue
                faults += _is_fault(error)
                if faults >= FAULTS:
                    self._drop(batch, f"the collector fails at them ({error})")
                    faults = 0
                    continue
                waiting.append(batch)
                if failures == 0:
                    _log.warning("events wait to be sent: %s", error)
                failures += 1
                if self._stopping.wait(self._pause(failures - 1, error)):
                    break
        return [text for batch in reversed(waiting) for text in batch]

    def close(self) -> None:
        """Close the transport; the next delivery opens another."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()

    def _send(self, batch: Sequence[bytes]) -> None:
        self._transport = self._transport or self._connect()
        self._transport.send_texts(batch)
        self.stored += len(batch)

    def _divided(self, batch: Sequence[bytes], error: InvalidRequest) -> list[Sequence[bytes]]:
        """Drop what is refused for good, and return the rest in parts."""
        index = error.details.get("index")
        if isinstance(error, InvalidEvent) and isinstance(index, int) and 0 <= index < len(batch):
            self._drop(batch[index : index + 1], error.message)
            rest = (*batch[:index], *batch[index + 1 :])
            return [rest] if rest else []
        if isinstance(error, TooLarge) and len(batch) > 1:
            middle = len(batch) // 2
            return [batch[:middle], batch[middle:]]
        self._drop(batch, error.message)
        return []

    def _drop(self, texts: Sequence[bytes], message: str) -> None:
        self._drops.add(Drop("refused", message, tuple(texts), len(texts)))

    def _pause(self, failures: int, error: Exception) -> float:
        told = 0
        if isinstance(error, Overloaded | Unavailable) and error.details.get("answered"):
            told = error.retry_after_seconds
        return max(self._backoff.pause(failures), told)


def _is_fault(error: Exception) -> bool:
    """Tell whether the collector itself failed, and not a proxy before it."""
    return type(error) is CubeError and "request" in error.details
