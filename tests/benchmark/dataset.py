"""The events that the benchmark asks about: the same ones in every run, for us and for every peer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

FIRST = 1_700_006_400_000
"""The time of the first event, in ms: an hour begins there."""
SPACING_MS = 108
"""Between two events: 200 000 of them take six hours."""

_METHODS = ("GET", "GET", "GET", "POST", "PUT")


@dataclass(frozen=True, slots=True)
class Event:
    """One request to a web server; without its time about 105 bytes of JSON."""

    time: int
    path: str
    method: str
    status: int
    duration_ms: float
    host: str
    user: str

    def data(self) -> dict[str, object]:
        """Return what is stored beside the time."""
        return {
            "path": self.path,
            "method": self.method,
            "status": self.status,
            "duration_ms": self.duration_ms,
            "host": self.host,
            "user": self.user,
        }


def event(number: int, time: int | None = None) -> Event:
    """Return the event of a number, at its own time unless another is given."""
    mixed = (number * 2_654_435_761 + 12_345) % 2**32
    return Event(
        time=FIRST + number * SPACING_MS if time is None else time,
        path=f"/page/{mixed // 7 % 50}",
        method=_METHODS[mixed // 11 % 5],
        status=500 if mixed % 50 == 0 else 404 if mixed % 50 < 4 else 200,
        duration_ms=mixed // 13 % 100_000 / 10,
        host=f"web{mixed // 17 % 20}",
        user=f"u{mixed // 19 % 5000}",
    )


def stop(events: int) -> int:
    """Return the end of the whole hours in which so many events lie."""
    return -(-(event(events - 1).time + 1) // 3_600_000) * 3_600_000


def body(type: str, events: list[Event]) -> bytes:
    """Return the JSON of one request to the collector; of a lone event without an array."""
    objects = [{"type": type, "time": one.time, "data": one.data()} for one in events]
    return msgspec.json.encode(objects[0] if len(objects) == 1 else objects)


def bodies(type: str, count: int, size: int = 5_000) -> Iterator[bytes]:
    """Return the requests that store the first `count` events."""
    for first in range(0, count, size):
        yield body(type, [event(number) for number in range(first, min(first + size, count))])


def write_rows(path: Path, count: int) -> None:
    """Write the first `count` events for peers: one flat JSON object a line, ``t`` the time in ms."""
    with path.open("wb") as file:
        for number in range(count):
            one = event(number)
            file.write(msgspec.json.encode({"t": one.time, **one.data()}) + b"\n")
