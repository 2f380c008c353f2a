"""Events over HTTP and UDP, and the ids that make sending them again harmless."""

from __future__ import annotations

import math
import socket
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec

from cube.client.connection import COLLECTOR_URL, Closing, HttpClient
from cube.errors import InvalidEvent, InvalidRequest, TooLarge, shown

RawEvent: TypeAlias = Mapping[str, Any]
"""``{type, time?, id?, data?}``; a time is ISO 8601, a datetime or milliseconds since 1970."""

BATCH_EVENTS = 1_000
BATCH_BYTES = 4 * 2**20
PACKED_BYTES = 1_400
"""Events are packed into datagrams up to this size, which no usual network has to split."""
MAX_BYTES = 65_507
"""The most that a UDP datagram over IPv4 can carry."""


def identified(event: RawEvent) -> RawEvent:
    """Return the event with an id, made here where it has none.

    The collector makes ids too, but a client that does not know them could store an event twice:
    when the answer is lost and it sends again. The price is that the answers of the evaluator show
    these ids, as they show every id that a client gave.
    """
    return event if "id" in event else {**event, "id": uuid.uuid4().hex}


def tell_warnings(answer: Mapping[str, Any], warn: Callable[[str], None]) -> None:
    """Tell the warnings in an answer."""
    for sentence in answer.get("warnings", ()):
        warn(sentence)


class Emitter(HttpClient):
    """Sends events to a collector over HTTP, as an `HttpClient`.

    `send` returns when the events are stored. Events are sent again, with the same
    ids, when the collector is overloaded, or absent for a moment: they are stored once all the same.
    ``warn``: is told each sentence in which the collector warns of a key that it did not store, such as
    ``timestamp``; by default it is logged.
    """

    default_url = COLLECTOR_URL

    def send(self, events: Iterable[RawEvent]) -> int:
        """Store events durably, in batches in their order, and return how many.

        Raises what the collector says; then the batches before the one at fault are stored, and of
        it nothing. ``index`` in an `InvalidEvent` counts from the first of `events`.
        """
        sent = 0
        for batch in batches(events):
            try:
                self.send_texts(batch)
            except InvalidEvent as error:
                raise error.at(sent + error.details["index"]) from None
            sent += len(batch)
        return sent

    def send_texts(self, texts: Sequence[bytes]) -> None:
        """Store events that are JSON texts, in one request; raises as `send` does, and then stores none."""
        try:
            answer = self._request("POST", "/1.0/event", b"[" + b",".join(texts) + b"]")
        except InvalidRequest as error:
            if not isinstance(error.details.get("index"), int):
                raise
            raise InvalidEvent(error.message, **error.details) from None
        tell_warnings(answer, self._warn)


class DatagramEmitter(Closing):
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
        for packed in batches(events, PACKED_BYTES, PACKED_BYTES - len("[]")):
            self._send_packed(packed)
            sent += len(packed)
        return sent

    def send_texts(self, texts: Sequence[bytes]) -> None:
        """Send events that are JSON texts; raises as `send` does."""
        for packed in grouped(texts, PACKED_BYTES, PACKED_BYTES - len("[]")):
            self._send_packed(packed)

    def _send_packed(self, packed: Sequence[bytes]) -> None:
        size = len(packed[0])
        if size + len("[]") > MAX_BYTES:
            raise TooLarge(f"The event has {size} bytes; a datagram carries {MAX_BYTES - 2} at most.")
        self._socket.sendto(b"[" + b",".join(packed) + b"]", self._address)

    def close(self) -> None:
        self._socket.close()


def encode(event: RawEvent) -> bytes:
    """Return the JSON text of an event with an id; raises `InvalidEvent` for what is not JSON."""
    try:
        text = msgspec.json.encode(identified(event))
        if b"null" in text:  # as which msgspec writes NaN and infinities: another event than was meant
            _check_finite(event, "")
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        if not isinstance(event, Mapping):
            raise InvalidEvent(
                f"Got {shown(event)} as an event; accepted is a mapping with a type."
            ) from None
        raise InvalidEvent(f"The event cannot be written as JSON: {error}.") from None
    return text


def _check_finite(value: object, path: str) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidEvent(f"Got {shown(value)} at {path}; accepted are finite numbers.", field=path)
    if isinstance(value, Mapping):
        for name, item in value.items():
            _check_finite(item, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            _check_finite(item, f"{path}[{index}]")


def batches(
    events: Iterable[RawEvent], most: int = BATCH_EVENTS, size_limit: int = BATCH_BYTES
) -> Iterator[Sequence[bytes]]:
    """Yield the JSON texts of events in batches of bounded number and size; a larger one stands alone."""
    return grouped(_encoded(events), most, size_limit)


def _encoded(events: Iterable[RawEvent]) -> Iterator[bytes]:
    if isinstance(events, Mapping):
        raise InvalidEvent(
            "Got one event where several are sent; accepted is a list of them, such as [event]."
        )
    for index, event in enumerate(events):
        try:
            yield encode(event)
        except InvalidEvent as error:
            raise error.at(index) from None


def grouped(texts: Iterable[bytes], most: int, size_limit: int) -> Iterator[Sequence[bytes]]:
    """Yield texts in batches of bounded number and size; a larger one stands alone."""
    batch: list[bytes] = []
    size = 0
    for text in texts:
        if batch and (len(batch) == most or size + len(text) > size_limit):
            yield batch
            batch, size = [], 0
        batch.append(text)
        size += len(text) + 1
    if batch:
        yield batch
