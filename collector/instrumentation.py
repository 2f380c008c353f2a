"""What the collector counts, in the registry that `main` makes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge

from collector.ingest.quota import Quota
from cube.errors import AccessDenied, CubeError, InvalidEvent, InvalidRequest, TooLarge
from cube.process.counting import CountFamily, DistributionFamily
from cube.spool import Spool

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_EVENTS = (1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000)


REASONS: tuple[tuple[type[CubeError], str], ...] = (
    (InvalidEvent, "invalid"),
    (TooLarge, "too_large"),
    (InvalidRequest, "unreadable"),
    (AccessDenied, "denied"),
)
"""Why events are refused before the intake sees them: the first line that an error is an instance of."""


class IntakeCounters:
    """What is counted of the intake and its commits.

    ``refused``, by reason: ``overloaded``, ``stopping``, what the store says of events in the spool
    (``store``), what the horizon says (``too_old``, ``too_new``, ``expired``), or one of `REASONS`.
    """

    def __init__(self, registry: CollectorRegistry, quota: Quota) -> None:
        counter, count = partial(Counter, registry=registry), partial(CountFamily, registry=registry)
        distribution = partial(DistributionFamily, registry=registry)
        self.accepted = count("cube_events_accepted", "Events taken in, to be stored or spooled.").labels()
        self.stored = count("cube_events_stored", "Events stored durably.").labels()
        self.failed = counter("cube_events_failed", "Events accepted that could not be stored.", ["error"])
        self.refused = counter("cube_events_refused", "Events that were not accepted, by reason.", ["reason"])
        self.unknown = counter(
            "cube_events_unknown_keys",
            "Keys of accepted events that no event has, by the key that they may be meant for.",
            ["meant"],
        )
        self.spooled = count("cube_events_spooled", "Events accepted into the spool.").labels()
        seconds, sizes = "Time of one write to the store.", "Events handed to the store together."
        self.seconds = distribution("cube_commit_seconds", seconds, buckets=_SECONDS).labels()
        self.sizes = distribution("cube_commit_events", sizes, buckets=_EVENTS).labels()
        waiting = "Events in memory that are neither stored nor spooled yet."
        for name, help, ask in (
            ("cube_waiting_events", waiting, lambda: quota.events),
            ("cube_waiting_bytes", "Their JSON text.", lambda: quota.bytes),
        ):
            Gauge(name, help, registry=registry).set_function(ask)


class SpoolCounters:
    """What is counted of the spools of all environments together."""

    def __init__(self, registry: CollectorRegistry, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._spools: list[Spool] = []
        counter = partial(Counter, registry=registry)
        self.replayed = counter("cube_spool_drained", "Events that went from the spool to the store.")
        self.damaged = counter("cube_spool_damaged", "Damaged records of spool files, lost or quarantined.")
        for name, help, ask in (
            ("cube_spool_events", "Events in the spool.", lambda: sum(s.events for s in self._spools)),
            ("cube_spool_bytes", "The disk that they take.", lambda: sum(s.bytes for s in self._spools)),
            ("cube_spool_oldest_seconds", "How long the first of them has waited.", self._age),
        ):
            Gauge(name, help, registry=registry).set_function(ask)

    def watch(self, spool: Spool) -> None:
        """Add a spool to what is shown, asked whenever the counters are."""
        self._spools.append(spool)

    def _age(self) -> float:
        arrivals = [spool.oldest for spool in self._spools if spool.oldest is not None]
        return max(0, self._clock() - min(arrivals)) / 1000 if arrivals else 0.0


class RetentionCounters:
    """What is counted of what is deleted for its age, in all environments together."""

    def __init__(self, registry: CollectorRegistry) -> None:
        counter = partial(Counter, registry=registry)
        self.events = counter("cube_expired_events", "Events deleted because they had expired.")
        self.chunks = counter("cube_expired_chunks", "Chunks of cached metrics deleted for their age.")


class DatagramCounters:
    """What is counted of datagrams: nobody is answered there, so this is where losses show."""

    def __init__(self, registry: CollectorRegistry, prefix: str = "cube_udp") -> None:
        counter = partial(CountFamily, registry=registry)
        self.datagrams = counter(f"{prefix}_datagrams", "Datagrams received.").labels()
        why = "Events (or unreadable datagrams) that were not stored, by reason."
        dropped = counter(f"{prefix}_dropped", why, ["reason"])
        self.invalid = dropped.labels("invalid")
        self.overloaded = dropped.labels("overloaded")
        self.failed = dropped.labels("failed")
        self.denied = dropped.labels("denied")


class DialectCounters:
    """What is counted of the dialects: the events stored, and what was refused, by reason."""

    def __init__(self, registry: CollectorRegistry) -> None:
        counter = partial(Counter, registry=registry)
        self._stored = counter("cube_dialect_events", "Events of dialects stored durably.", ["dialect"])
        self._refused = counter(
            "cube_dialect_refused",
            "Parts of requests of dialects that became no event, by reason.",
            ["dialect", "reason"],
        )
        self._failed = counter(
            "cube_dialect_failed",
            "Requests of dialects of which nothing was stored, by error.",
            ["dialect", "error"],
        )

    def of(self, dialect: str) -> DialectCounter:
        return DialectCounter(dialect, self._stored.labels(dialect), self._refused, self._failed)


@dataclass(frozen=True, slots=True)
class DialectCounter:
    """The counters of one dialect: of the events that are stored, and of the others."""

    dialect: str
    stored: Counter
    refusals: Counter
    failures: Counter

    def refused(self, **counts: int) -> None:
        for reason, count in counts.items():
            if count:
                self.refusals.labels(self.dialect, reason).inc(count)

    def failed(self, error: Exception) -> None:
        """Count a request that was answered with an error."""
        self.failures.labels(self.dialect, type(error).__name__).inc()
