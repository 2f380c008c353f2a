"""Events over UDP: nothing is answered, nothing is sure, nothing is waited for."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from types import TracebackType

from cube.client.emitter import RawEvent, encode
from cube.errors import TooLarge

PACKED_BYTES = 1_400
"""Events are packed into datagrams up to this size, which no usual network has to split."""
MAX_BYTES = 65_507
"""The most that a UDP datagram over IPv4 can carry."""


class DatagramEmitter:
    """Sends events to a collector's UDP port; some may be lost on the way, without a word."""

    def __init__(self, host: str = "127.0.0.1", port: int = 1180) -> None:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        self._socket = socket.socket(family, kind, protocol)
        self._address = address

    def send(self, events: Iterable[RawEvent]) -> int:
        """Send events, several in a datagram where they fit, and return how many.

        Raises `TooLarge` for an event that no datagram can carry; those before it are sent.
        """
        sent = 0
        for packed in _packed(events):
            self._socket.sendto(b"[" + b",".join(packed) + b"]", self._address)
            sent += len(packed)
        return sent

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def __enter__(self) -> DatagramEmitter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _packed(events: Iterable[RawEvent]) -> Iterator[list[bytes]]:
    packed: list[bytes] = []
    size = 2
    for event in events:
        text = encode(event)
        if packed and size + len(text) > PACKED_BYTES:
            yield packed
            packed, size = [], 2
        if len(text) + 2 > MAX_BYTES:
            raise TooLarge(f"The event has {len(text)} bytes; a datagram carries {MAX_BYTES - 2} at most.")
        packed.append(text)
        size += len(text) + 1
    if packed:
        yield packed
