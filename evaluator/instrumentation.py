"""Counters: what the evaluator did for its answers, and what it refused."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter

from evaluator.query.limits import reason_of


class QueryCounters:
    """Counts the work of all queries of a process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._refused = Counter(
            "cube_queries_refused",
            "Queries that were over a bound, by which.",
            ["reason"],
            registry=registry,
        )
        self._buckets = Counter(
            "cube_cache_buckets",
            "Buckets that queries needed, by whether the cache had them.",
            ["cached"],
            registry=registry,
        )
        self._hits, self._misses = self._buckets.labels("yes"), self._buckets.labels("no")
        self._scans = Counter("cube_scans", "Spans of events that were scanned.", registry=registry)
        self._rows = Counter("cube_scanned_events", "Events that scans have read.", registry=registry)

    def refused(self, error: BaseException) -> None:
        """Count an error, if it is a refusal."""
        reason = reason_of(error)
        if reason is not None:
            self._refused.labels(reason).inc()

    def looked_up(self, hits: int, misses: int) -> None:
        """Count buckets that the cache had, and had not."""
        self._hits.inc(hits)
        self._misses.inc(misses)

    def scanned(self) -> None:
        """Count a scan that begins."""
        self._scans.inc()

    def read(self, events: int) -> None:
        """Count events that a scan has read."""
        self._rows.inc(events)
