"""Datagrams of StatsD: lines ``name:value|kind``; nothing is answered and nothing carries an id.

Each value is an event, unaggregated, at its own time or else as it arrives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple, TypeAlias

from collector.protocols.shared.dead_letters import Redaction, dead_letters
from collector.protocols.shared.dialect import Rejection
from collector.protocols.statsd.dogstatsd import CHECK_PREFIX, EVENT_PREFIX, parse_check, parse_event
from collector.protocols.statsd.line import Reading, parse
from cube.errors import InvalidRequest, Overloaded
from cube.model.event import ABSENT, Event
from cube.model.horizon import Horizon

DATADOG: Final = "datadog"

_DIALECT = "statsd"
_REDACTION = Redaction()


Held: TypeAlias = Reading | InvalidRequest


class _Line(NamedTuple):
    """A line as it came, and for each of its values the reading, or what is wrong with it."""

    text: str
    held: Sequence[Held]


class StatsdReader:
    """Reads datagrams: the events in them, and what is wrong with the other lines.

    No more than ``per_second`` values of one second become events: a client that goes wild does not fill
    the store. What is not a line of StatsD becomes an event ``cube_rejected``, within the same bound.
    ``flavour``: of ``datadog`` a gauge with a sign is a level; else it is a change, and a 0 just before a
    decrease, which is how a level below 0 is set, is one level with it. ``horizon``: how far from their
    arrival times may be.
    """

    def __init__(
        self,
        per_second: int,
        clock: Callable[[], int],
        flavour: str = "statsd",
        horizon: Callable[[], Horizon] = Horizon,
    ) -> None:
        self._per_second = per_second
        self._clock = clock
        self._horizon = horizon
        self._has_changes = flavour != DATADOG
        self._second = 0
        self._left = 0

    def __call__(self, datagram: bytes) -> tuple[list[Event], list[InvalidRequest | Overloaded]]:
        """Read one datagram."""
        now, horizon = self._clock(), self._horizon()
        events: list[Event] = []
        errors: list[InvalidRequest | Overloaded] = []
        rejections: list[Rejection] = []
        for text, held in _merged([self._line(line) for line in _lines(datagram)]):
            if not self._may_take(now, len(held)):
                errors.append(Overloaded(f"Over {self._per_second} values a second, which is the limit."))
                continue
            wrong: list[InvalidRequest] = []
            for one in held:
                try:
                    events.append(_event(one, now, horizon))
                except InvalidRequest as error:
                    wrong.append(error)
            errors += wrong
            rejections += [
                Rejection(error.message, text) for error in wrong[:1]
            ]  # as long as the line, so just one
        return events + dead_letters(_DIALECT, rejections, _REDACTION, now=now), errors

    def _line(self, line: bytes) -> _Line:
        text = line.decode(errors="replace")
        try:
            return _Line(text, self._held(line))
        except InvalidRequest as error:
            return _Line(text, (error,))

    def _held(self, line: bytes) -> Sequence[Held]:
        try:
            text = line.decode()
        except UnicodeDecodeError:
            raise InvalidRequest("Got a line that is not UTF-8; accepted is UTF-8.") from None
        if line.startswith(EVENT_PREFIX):
            return (parse_event(line),)
        if line.startswith(CHECK_PREFIX):
            return (parse_check(text),)
        return parse(text, has_changes=self._has_changes)

    def _may_take(self, now: int, count: int) -> bool:
        second = now // 1000
        if second != self._second:
            self._second, self._left = second, self._per_second
        self._left -= count
        return self._left >= 0


def _lines(datagram: bytes) -> Iterator[bytes]:
    return (line.strip() for line in datagram.split(b"\n") if line.strip())


def _merged(lines: Sequence[_Line]) -> Iterator[_Line]:
    """Yield the lines; one that sets a level to 0 and the decrease next to it as one."""
    held: _Line | None = None
    for line in lines:
        if held is not None:
            level = _level(held, line)
            if level is not None:
                held = _Line(f"{held.text}\n{line.text}", (level,))
                continue
            yield held
        held = line
    if held is not None:
        yield held


def _level(first: _Line, second: _Line) -> Reading | None:
    """Return the level that two lines set together: ``g:0|g`` and ``g:-5|g``."""
    if len(first.held) != 1 or len(second.held) != 1:
        return None
    zero, decrease = first.held[0], second.held[0]
    if isinstance(zero, InvalidRequest) or isinstance(decrease, InvalidRequest):
        return None
    if not decrease.data.get("delta") or decrease.data["value"] >= 0:
        return None
    wanted = {**decrease.data, "value": 0, "delta": False}
    if zero.data != wanted or zero.time != decrease.time:
        return None
    return Reading({**zero.data, "value": decrease.data["value"]}, zero.time)


def _event(held: Held, now: int, horizon: Horizon) -> Event:
    if isinstance(held, InvalidRequest):
        raise held
    is_timed = held.time is not ABSENT
    data = {**held.data, "received": now} if is_timed else held.data
    raw = {"type": held.type, "time": held.time, "data": data}
    event = Event.parse(raw, now=now, unit_known=True)
    horizon.check(event, now)
    return event
