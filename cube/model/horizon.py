"""The horizon: how old, and how far ahead of its arrival, an event may be, and what has expired."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cube.errors import ExpiredEvent, InvalidEvent
from cube.model import instant
from cube.model.event import Event
from cube.model.event_run import times_of

TOO_OLD, TOO_NEW, EXPIRED = "too_old", "too_new", "expired"


@dataclass(frozen=True, slots=True)
class Horizon:
    """``past_ms``, ``future_ms``: how far an event's time may be from its arrival; None: any far.

    ``expired_before``: what is older would be deleted for its age as soon as it is stored; None: nothing.
    """

    past_ms: int | None = None
    future_ms: int | None = None
    expired_before: int | None = None

    def check(self, event: Event, now: int) -> None:
        """Raise `InvalidEvent` for an event, arriving at `now`, that is not within; all bounds are.

        The error's ``reason`` is one of the three above.
        """
        first, last = self._bounds(now)
        if not first <= event.time <= last:
            raise self._refusal(event, now)

    def check_all(self, events: Sequence[Event], now: int) -> None:
        """Do what `check` does for all that arrive together; its error has the ``index`` of the first."""
        if self == _BOUNDLESS:
            return
        first, last = self._bounds(now)
        for index, time in enumerate(times_of(events)):
            if not first <= time <= last:
                raise self._refusal(events[index], now).at(index)

    def _bounds(self, now: int) -> tuple[int, int]:
        first = instant.EARLIEST if self.past_ms is None else now - self.past_ms
        last = instant.LATEST if self.future_ms is None else now + self.future_ms
        return (first if self.expired_before is None else max(first, self.expired_before)), last

    def _refusal(self, event: Event, now: int) -> InvalidEvent:
        reason, accepted = self._reason(event.time, now)
        return InvalidEvent(
            f"Got the time {instant.format(event.time)}; {accepted}.",
            field="time",
            reason=reason,
            id=None if isinstance(event.id, bytes) else event.id,
        )

    def _reason(self, time: int, now: int) -> tuple[str, str]:
        if self.past_ms is not None and time < now - self.past_ms:
            return TOO_OLD, f"accepted are times {self._shown(now)}"
        if self.expired_before is not None and time < self.expired_before:
            before = instant.format(max(self.expired_before, instant.EARLIEST))
            return EXPIRED, f"events before {before} have expired (retention.event_days)"
        return TOO_NEW, f"accepted are times {self._shown(now)}"

    def _shown(self, now: int) -> str:
        bounds = [
            f"{word} {instant.format(min(max(time, instant.EARLIEST), instant.LATEST))}"
            for word, time in (
                ("from", None if self.past_ms is None else now - self.past_ms),
                ("to", None if self.future_ms is None else now + self.future_ms),
            )
            if time is not None
        ]
        return " ".join(bounds)


_BOUNDLESS = Horizon()


def refuse_expired(type: str, times: Iterable[int], expired_before: int | None) -> None:
    """Raise `ExpiredEvent`, with its ``index``, for the first of a type's times that has expired."""
    if expired_before is None:
        return
    for index, time in enumerate(times):
        if time < expired_before:
            reason = expired_reason(type, time, expired_before)
            raise ExpiredEvent(reason, before=expired_before, field="time", index=index)


def expired_reason(type: str, time: int, expired_before: int) -> str:
    """Say why a store refuses an event of a type with such a time."""
    return (
        f"Got the time {instant.format(time)}; events of type {type} before"
        f" {instant.format(expired_before)} have expired."
    )
