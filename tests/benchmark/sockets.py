"""Senders of prepared WebSocket messages and datagrams."""

from __future__ import annotations

import base64
import os
import socket
import struct
import time
from collections.abc import Sequence

import msgspec

from tests.benchmark import dataset
from tests.benchmark.processes import Address

TIMEOUT_SECONDS = 300
_ACK = b'"ack"'


def websocket_frames(type: str, events: Sequence[dataset.Event]) -> bytes:
    """Return the frames of one message an event; the last one asks for an acknowledgement."""
    *most, last = events
    asking = {"events": [msgspec.Raw(dataset.body(type, [last]))], "ack": "end"}
    texts = [dataset.body(type, [one]) for one in most] + [msgspec.json.encode(asking)]
    return b"".join(map(_frame, texts))


def send_websocket(address: Address, frames: bytes) -> float:
    """Send the frames; return the seconds until the last message is acknowledged as durable."""
    with socket.create_connection((address.host, address.port), TIMEOUT_SECONDS) as connection:
        key = base64.b64encode(os.urandom(16)).decode()
        connection.sendall(
            f"GET /1.0/event/put HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        _receive(connection, b"\r\n\r\n")
        start = time.perf_counter()
        connection.sendall(frames)
        answer = _receive(connection, _ACK)
        if b'"error"' in answer:
            raise RuntimeError(f"A message was refused: {answer!r}")
        return time.perf_counter() - start


def send_datagrams(address: Address, datagrams: Sequence[bytes], per_second: float | None) -> float:
    """Send datagrams, so many a second or as fast as they go; return the seconds it took."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect((address.host, address.port))
        start = time.perf_counter()
        for number, datagram in enumerate(datagrams):
            if per_second is not None and number % 10 == 0:
                time.sleep(max(0.0, start + number / per_second - time.perf_counter()))
            sender.send(datagram)
        return time.perf_counter() - start


def _frame(text: bytes) -> bytes:
    """Return a masked text frame (RFC 6455, 5.2); the mask is zero, which leaves the text as it is."""
    size = len(text)
    head = struct.pack("!BB", 0x81, 0x80 | size) if size < 126 else struct.pack("!BBH", 0x81, 0xFE, size)
    return head + b"\0\0\0\0" + text


def _receive(connection: socket.socket, until: bytes) -> bytes:
    found = b""
    while until not in found:
        piece = connection.recv(65536)
        if not piece:
            raise ConnectionError(f"The connection was closed after {found[-500:]!r}")
        found += piece
    return found
