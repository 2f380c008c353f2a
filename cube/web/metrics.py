"""Metrics of the HTTP side, in the registry that `main` makes; nothing here is global."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from cube.process.metrics import MultiprocessRegistry
from cube.web.memory_budget import MemoryBudget
from cube.web.reply import Reply
from cube.web.request import Request

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_LAG_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Telemetry:
    """Counts what the HTTP side of a daemon does.

    Labels come from our route tables, never from the request, so their number is bounded.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._requests = Counter(
            "cube_http_requests", "Requests answered.", ["route", "method", "status"], registry=registry
        )
        self._seconds = Histogram(
            "cube_http_request_seconds",
            "From the head of a request to its answer.",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.sockets = Gauge("cube_websockets", "WebSockets that are open.", registry=registry)
        self._connections = Gauge(
            "cube_connections", "Connections that are open, WebSockets among them.", registry=registry
        )
        self.cut = Counter(
            "cube_connections_cut",
            "Connections that took too long, or held too much, and were closed.",
            registry=registry,
        )
        self.turned_away = Counter(
            "cube_connections_turned_away",
            "Connections closed at once because as many as may were open.",
            registry=registry,
        )
        self.lag = Histogram(
            "cube_loop_lag_seconds",
            "How late the event loop came to what was due.",
            buckets=_LAG_SECONDS,
            registry=registry,
        )
        self._children: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def watch(self, connections: Callable[[], int]) -> Callable[[], None]:
        """Show how many connections are open; what is returned counts one that was cut."""
        self._connections.set_function(connections)
        return self.cut.inc

    def answers(self, limit: int) -> MemoryBudget:
        """Bound what answers hold; connections that are cut for it are counted."""
        return MemoryBudget(limit, self.cut.inc)

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count one answer; ``route`` is a path of the table, or "" for an unknown one."""
        # Looking up labels costs more than counting, so the children are kept.
        key = (route, method if method in _METHODS else "other", status)
        children = self._children.get(key)
        if children is None:
            children = (
                self._requests.labels(route or "other", key[1], status),
                self._seconds.labels(route or "other"),
            )
            self._children[key] = children
        children[0].inc()
        children[1].observe(seconds)

    async def expose(self, _request: Request) -> Reply:
        """Answer ``GET /metrics``."""
        if isinstance(self.registry, MultiprocessRegistry):
            text = await self.registry.text()
        else:
            text = generate_latest(self.registry)
        return Reply(text, content_type=CONTENT_TYPE_LATEST)
