"""What the collector counts, in the registry that `main` makes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_EVENTS = (1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000)


class IntakeFigures:
    """Figures of the intake and its commits."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._stored = Counter("cube_events_stored", "Events stored durably.", registry=registry)
        self._failed = Counter(
            "cube_events_failed", "Events accepted that could not be stored.", ["error"], registry=registry
        )
        self._seconds = Histogram(
            "cube_commit_seconds", "Time of one write to the store.", buckets=_SECONDS, registry=registry
        )
        self._sizes = Histogram(
            "cube_commit_events", "Events of one write to the store.", buckets=_EVENTS, registry=registry
        )
        self._watched: list[tuple[Callable[[], int], Callable[[], int]]] = []
        waiting_events = Gauge("cube_waiting_events", "Events not stored yet.", registry=registry)
        waiting_events.set_function(lambda: sum(events() for events, _ in self._watched))
        waiting_bytes = Gauge("cube_waiting_bytes", "Their JSON text.", registry=registry)
        waiting_bytes.set_function(lambda: sum(size() for _, size in self._watched))

    def watch(self, events: Callable[[], int], size: Callable[[], int]) -> None:
        """Add to what is shown as waiting, asked whenever the figures are."""
        self._watched.append((events, size))

    @contextmanager
    def commit(self, events: int) -> Iterator[None]:
        """Measure one write."""
        began = time.monotonic()
        try:
            yield
        finally:
            self._seconds.observe(time.monotonic() - began)
            self._sizes.observe(events)

    def settled(self, events: int, error: Exception | None) -> None:
        """Count events whose fate is known."""
        if error is None:
            self._stored.inc(events)
        else:
            self._failed.labels(type(error).__name__).inc(events)


class DatagramFigures:
    """Figures of the UDP side: nobody is answered there, so this is where losses show."""

    def __init__(self, registry: CollectorRegistry, prefix: str = "cube_udp") -> None:
        self.datagrams = Counter(f"{prefix}_datagrams", "Datagrams received.", registry=registry)
        dropped = Counter(
            f"{prefix}_dropped",
            "Events (or unreadable datagrams) that were not stored, by reason.",
            ["reason"],
            registry=registry,
        )
        self.invalid = dropped.labels("invalid")
        self.overloaded = dropped.labels("overloaded")
        self.failed = dropped.labels("failed")
        self.denied = dropped.labels("denied")


class DialectFigures:
    """Figures of the dialects: the events stored, and what was refused, by reason."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._stored = Counter(
            "cube_dialect_events", "Events of dialects stored durably.", ["dialect"], registry=registry
        )
        self._refused = Counter(
            "cube_dialect_refused",
            "Parts of requests of dialects that became no event, by reason.",
            ["dialect", "reason"],
            registry=registry,
        )
        self._failed = Counter(
            "cube_dialect_failed",
            "Requests of dialects of which nothing was stored, by error.",
            ["dialect", "error"],
            registry=registry,
        )

    def of(self, dialect: str) -> DialectCounts:
        """Return the figures of one dialect."""
        return DialectCounts(dialect, self._stored.labels(dialect), self._refused, self._failed)


class DialectCounts:
    """Figures of one dialect."""

    def __init__(self, dialect: str, stored: Counter, refused: Counter, failed: Counter) -> None:
        self._dialect = dialect
        self._stored = stored
        self._refused = refused
        self._failed = failed

    def stored(self, events: int) -> None:
        """Count events that are stored."""
        self._stored.inc(events)

    def refused(self, **counts: int) -> None:
        """Count refusals, by reason."""
        for reason, count in counts.items():
            if count:
                self._refused.labels(self._dialect, reason).inc(count)

    def failed(self, error: Exception) -> None:
        """Count a request that was answered with an error."""
        self._failed.labels(self._dialect, type(error).__name__).inc()
