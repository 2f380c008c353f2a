"""Datagrams of StatsD: lines ``name:value|kind``; nothing is answered and nothing carries an id.

Each value is an event, unaggregated, at its own time or else as it arrives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple, TypeAlias

from collector.ingest.redaction import Redaction
from collector.protocols.shared.dead_letters import dead_letters
from collector.protocols.shared.dialect import Rejection
from collector.protocols.statsd.line import (
    CHECK_PREFIX,
    EVENT_PREFIX,
    MetricSample,
    parse,
    parse_check,
    parse_event,
)
from cube.errors import InvalidRequest, Overloaded
from cube.model.event import ABSENT, Event
from cube.model.horizon import Horizon

DATADOG: Final = "datadog"

_DIALECT = "statsd"
_REDACTION = Redaction()

Sample: TypeAlias = MetricSample | InvalidRequest
"""What one value of a line is, or what is wrong with it."""


class _Line(NamedTuple):
    """A line as it came, and its samples."""

    text: str
    samples: Sequence[Sample]


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
        lines = [self._line(line.strip()) for line in datagram.split(b"\n") if line.strip()]
        for text, samples in _merged(lines):
            if not self._may_take(now, len(samples)):
                errors.append(Overloaded(f"Over {self._per_second} values a second, which is the limit."))
                continue
            wrong: list[InvalidRequest] = []
            for sample in samples:
                try:
                    events.append(_event(sample, now, horizon))
                except InvalidRequest as error:
                    wrong.append(error)
            errors += wrong
            # As long as the line, so just one.
            rejections += [Rejection(error.message, text) for error in wrong[:1]]
        return events + dead_letters(_DIALECT, rejections, _REDACTION, now=now), errors

    def _line(self, line: bytes) -> _Line:
        text = line.decode(errors="replace")
        try:
            line.decode()
            if line.startswith(EVENT_PREFIX):
                return _Line(text, (parse_event(line),))
            if line.startswith(CHECK_PREFIX):
                return _Line(text, (parse_check(text),))
            return _Line(text, parse(text, has_changes=self._has_changes))
        except UnicodeDecodeError:
            return _Line(text, (InvalidRequest("Got a line that is not UTF-8; accepted is UTF-8."),))
        except InvalidRequest as error:
            return _Line(text, (error,))

    def _may_take(self, now: int, count: int) -> bool:
        second = now // 1000
        if second != self._second:
            self._second, self._left = second, self._per_second
        self._left -= count
        return self._left >= 0


def _merged(lines: Sequence[_Line]) -> Iterator[_Line]:
    """Yield the lines; one that sets a level to 0 and the decrease next to it as one."""
    held: _Line | None = None
    for line in lines:
        level = None if held is None else _level(held, line)
        if held is not None and level is not None:
            held = _Line(f"{held.text}\n{line.text}", (level,))
            continue
        if held is not None:
            yield held
        held = line
    if held is not None:
        yield held


def _level(first: _Line, second: _Line) -> MetricSample | None:
    """Return the level that two lines set together: ``g:0|g`` and ``g:-5|g``."""
    match first.samples, second.samples:
        case [MetricSample() as zero], [MetricSample() as decrease]:
            wanted = {**decrease.data, "value": 0, "delta": False}
            is_decrease = decrease.data.get("delta") and decrease.data["value"] < 0
            if is_decrease and zero.data == wanted and zero.time == decrease.time:
                return MetricSample({**zero.data, "value": decrease.data["value"]}, zero.time)
    return None


def _event(sample: Sample, now: int, horizon: Horizon) -> Event:
    if isinstance(sample, InvalidRequest):
        raise sample
    data = sample.data if sample.time is ABSENT else {**sample.data, "received": now}
    event = Event.parse({"type": sample.type, "time": sample.time, "data": data}, now=now, unit_known=True)
    horizon.check(event, now)
    return event
