"""Spans of time."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Span:
    """The half-open interval ``[start, stop)`` of instants (milliseconds since 1970, UTC)."""

    start: int
    stop: int

    def __contains__(self, time: int) -> bool:
        return self.start <= time < self.stop

    def __bool__(self) -> bool:
        return self.start < self.stop

    @property
    def length(self) -> int:
        """Milliseconds in the span; 0 when it is empty."""
        return max(0, self.stop - self.start)

    def intersect(self, other: Span) -> Span:
        """Return the common part; an empty span when there is none."""
        return Span(max(self.start, other.start), min(self.stop, other.stop))
