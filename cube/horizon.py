"""The horizon: how old, and how far ahead of its arrival, an event may be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cube import instant
from cube.errors import InvalidEvent
from cube.event import Event

TOO_OLD, TOO_NEW = "too_old", "too_new"


@dataclass(frozen=True, slots=True)
class Horizon:
    """``past_ms``, ``future_ms``: how far an event's time may be from its arrival; None: any far."""

    past_ms: int | None = None
    future_ms: int | None = None

    def accepts(self, event: Event, now: int) -> bool:
        """Tell whether an event that arrives at `now` is within; both bounds are."""
        return self._reason(event, now) is None

    def check(self, event: Event, now: int) -> None:
        """Raise `InvalidEvent` for an event that is not within; its ``reason`` is too_old or too_new."""
        reason = self._reason(event, now)
        if reason is not None:
            raise InvalidEvent(
                f"Got the time {instant.format(event.time)}; accepted are times {self._shown(now)}.",
                field="time",
                reason=reason,
                id=None if isinstance(event.id, bytes) else event.id,
            )

    def check_all(self, events: Sequence[Event], now: int) -> None:
        """Do what `check` does for all that arrive together; its error has the ``index`` of the first."""
        if self.past_ms is None and self.future_ms is None:
            return
        for index, event in enumerate(events):
            try:
                self.check(event, now)
            except InvalidEvent as error:
                raise error.at(index) from None

    def _reason(self, event: Event, now: int) -> str | None:
        if self.past_ms is not None and event.time < now - self.past_ms:
            return TOO_OLD
        if self.future_ms is not None and event.time > now + self.future_ms:
            return TOO_NEW
        return None

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
