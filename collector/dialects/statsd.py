"""StatsD: lines ``name:value|kind``, over UDP; nothing is answered and nothing carries an id.

Each line is an event, unaggregated, as it arrives.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from collector.dialects.dead_letters import dead_letters
from collector.dialects.dialect import Refusal
from collector.dialects.naming import named
from collector.dialects.numbers import decimal
from collector.dialects.redaction import Redaction
from cube.errors import InvalidRequest, Overloaded
from cube.event import Event

TYPE: Final = "statsd"

KINDS: Final[Mapping[str, str]] = {
    "c": "counter",
    "ms": "timer",
    "g": "gauge",
    "s": "set",
    "h": "histogram",
    "d": "distribution",
}
"""The last two, and tags, are DogStatsD's."""

_REDACTION = Redaction()


class StatsdReader:
    """Reads datagrams: the events in them, and what is wrong with the other lines.

    No more than ``per_second`` lines of one second become events: a client that goes wild does not fill
    the store. What is no line of StatsD becomes an event ``cube_rejected``, within the same bound.
    """

    def __init__(self, per_second: int, clock: Callable[[], int]) -> None:
        self._per_second = per_second
        self._clock = clock
        self._second = 0
        self._left = 0

    def __call__(self, datagram: bytes) -> tuple[list[Event], list[InvalidRequest | Overloaded]]:
        """Read one datagram."""
        now = self._clock()
        events: list[Event] = []
        errors: list[InvalidRequest | Overloaded] = []
        refusals: list[Refusal] = []
        for line in datagram.decode(errors="replace").splitlines():
            if not line.strip():
                continue
            if not self._may_take(now):
                errors.append(Overloaded(f"Over {self._per_second} lines a second, which is the limit."))
                continue
            try:
                events.append(Event.parse({"type": TYPE, "data": parse(line)}, now=now))
            except InvalidRequest as error:
                errors.append(error)
                refusals.append(Refusal(error.message, line))
        return events + dead_letters(TYPE, refusals, _REDACTION, now=now), errors

    def _may_take(self, now: int) -> bool:
        second = now // 1000
        if second != self._second:
            self._second, self._left = second, self._per_second
        self._left -= 1
        return self._left >= 0


def parse(line: str) -> dict[str, Any]:
    """Read one line as the data of its event. Raises `InvalidRequest`."""
    name, colon, rest = line.strip().partition(":")
    value, *parts = rest.split("|")
    kind = KINDS.get(parts[0]) if parts else None
    if not name or not colon or not value or kind is None:
        raise InvalidRequest(
            f"Got a line that is none of StatsD's; accepted is name:value|kind, the kind one of"
            f" {', '.join(KINDS)}."
        )
    data: dict[str, Any] = {"name": name, "kind": kind}
    if kind == "set":
        data["value"] = value
    else:
        data["value"] = _number(value)
    if kind == "gauge":
        data["delta"] = value[0] in "+-"
    _add_rest(data, parts[1:])
    return data


def _add_rest(data: dict[str, Any], parts: list[str]) -> None:
    for part in parts:
        if part.startswith("@"):
            data["rate"] = _rate(part[1:])
        elif part.startswith("#"):
            data["tags"] = _tags(part[1:])
    if data["kind"] == "counter":
        data["count"] = data["value"] / data["rate"] if "rate" in data else data["value"]


def _rate(text: str) -> float:
    rate = _number(text)
    if not 0 < rate <= 1:
        raise InvalidRequest(f"Got the rate {text[:40]!r}; accepted is a number over 0, up to 1.")
    return rate


def _tags(text: str) -> dict[str, Any]:
    pairs = (tag.partition(":") for tag in text.split(",") if tag)
    found: dict[str, Any] = named({name: value if colon else True for name, colon, value in pairs})
    return found


def _number(text: str) -> int | float:
    try:
        return decimal(text)
    except ValueError:
        raise InvalidRequest(f"Got the value {text[:40]!r}; accepted is a finite number.") from None
