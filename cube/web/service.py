"""A daemon's HTTP side: its routes, its bounds, whom it lets in, what is going on, its metrics and events."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from cube.errors import NotFound, Unavailable
from cube.model.environment import Scope
from cube.model.event import Event
from cube.model.made_id import make_id
from cube.process.counting import Count, CountFamily, Distribution, DistributionFamily
from cube.process.metrics import MultiprocessRegistry
from cube.process.threads import Condition
from cube.settings import HttpSettings
from cube.web.access import Authenticator, standard_credentials
from cube.web.body import BodyBudget
from cube.web.error_replies import HttpRefusal, MethodNotAllowed
from cube.web.gathering import Gathering
from cube.web.memory_budget import MemoryBudget
from cube.web.message import Reply, Request
from cube.web.proxies import Proxies
from cube.web.route import Operation, Route, RouteTable
from cube.web.websocket import Sockets

REQUEST: Final = "cube_request"
"""The type of the events that a daemon stores of what it is sent, where it stores its callers' own events."""

_log = logging.getLogger(__name__)

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_LAG_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Telemetry:
    """Counts what the HTTP side of a daemon does.

    Labels come from our route tables, never from the request, so their number is bounded.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        counter, gauge = partial(Counter, registry=registry), partial(Gauge, registry=registry)
        histogram = partial(Histogram, registry=registry)
        labels = ["route", "method", "status"]
        self._requests = CountFamily("cube_http_requests", "Requests answered.", labels, registry=registry)
        duration = "From the head of a request to its answer."
        self._seconds = DistributionFamily(
            "cube_http_request_seconds", duration, ["route"], buckets=_SECONDS, registry=registry
        )
        self.sockets = gauge("cube_websockets", "WebSockets that are open.")
        opened = "Connections that are open, WebSockets among them."
        self.connections = gauge("cube_connections", opened)
        cut = "Connections that took too long, or held too much, and were closed."
        self.cut = counter("cube_connections_cut", cut)
        turned_away = "Connections closed at once because as many as may were open."
        self.turned_away = counter("cube_connections_turned_away", turned_away)
        lag = "How late the event loop came to what was due."
        self.lag = histogram("cube_loop_lag_seconds", lag, buckets=_LAG_SECONDS)
        self._children: dict[tuple[str, str, int], tuple[Count, Distribution]] = {}

    def bound(self, limit: int) -> MemoryBudget:
        """Bound what is held to so many bytes; connections that are cut for it are counted."""
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
        if isinstance(self.registry, MultiprocessRegistry):
            text = await self.registry.text()
        else:
            text = generate_latest(self.registry)
        return Reply(text, content_type=CONTENT_TYPE_LATEST)


class Service:
    """Answers the requests of one daemon from a route table; a `Server` serves it.

    ``max_body_bytes`` bounds a body, inflated, and a WebSocket message. ``http``: the bounds of
    connections and heads. To be made in the event loop that serves it. ``on_request`` is told of each
    request to a path of the table when it is over, or has become a WebSocket: only then is its caller
    known everywhere. ``lenient``: two headers are read though they are written wrongly (see
    `cube.web.http1.put_right`). ``proxies``: whose word for a client's address and scheme counts; by default
    nobody's. ``answers``: bounds what is held of answers that are made or read; by default its own.
    """

    def __init__(
        self,
        routes: Iterable[Route],
        *,
        access: Authenticator,
        telemetry: Telemetry,
        max_body_bytes: int,
        max_sockets: int,
        http: HttpSettings | None = None,
        on_request: Callable[[Request], None] | None = None,
        lenient: bool = False,
        proxies: Proxies | None = None,
        answers: MemoryBudget | None = None,
    ) -> None:
        self.routes = RouteTable(routes)
        self.access = access
        self.telemetry = telemetry
        self.max_body_bytes = max_body_bytes
        self.lenient = lenient
        self.proxies = proxies if proxies is not None and proxies.networks else None
        self.http = HttpSettings() if http is None else http
        self.loop = asyncio.get_running_loop()
        self.gathering = Gathering(self.loop)
        self.bodies = BodyBudget(max(self.http.bodies_bytes, max_body_bytes))
        # A lone message may always come in, one that is refused for its length included.
        incoming = max(self.http.bodies_bytes, 2 * max_body_bytes + self.http.head_bytes)
        self.incoming = telemetry.bound(incoming)
        self.answers = telemetry.bound(self.http.answers_bytes) if answers is None else answers
        self.sockets = Sockets(
            most=max_sockets, message_bytes=max_body_bytes, bodies=self.bodies, answers=self.answers
        )
        self.leaving = False
        self.stopping = False
        self._on_request = on_request
        self._running: set[Request] = set()
        self._ended = Condition()
        telemetry.sockets.set_function(lambda: len(self.sockets.open))

    def began(self, request: Request) -> None:
        """Note a request that is not answered yet."""
        self._running.add(request)

    def ended(self, request: Request) -> None:
        """Note that a request has its answer, or needs none any more; once is enough."""
        if request not in self._running:
            return
        self._running.remove(request)
        if request.route and self._on_request is not None:
            self._on_request(request)
        if not self._running:
            self._ended.notify()

    def answered(self, request: Request, status: int, seconds: float) -> None:
        """Count and log an answer."""
        self.telemetry.answered(request.route, request.method, status, seconds)
        if _log.isEnabledFor(logging.DEBUG):
            text = "%s %s from %s was answered with %d in %.1f ms"
            path = request.route or "(elsewhere)"
            told = (request.method[:20], path, request.remote, status, 1000 * seconds)
            _log.debug(text, *told, extra={"request": request.id})

    def check_head(self, request: Request) -> None:
        """Raise `HttpRefusal` for a head over the bounds."""
        if len(request.path) + len(request.query) >= self.http.url_bytes:
            raise HttpRefusal(414, f"The URL is over {self.http.url_bytes} bytes, which is the limit.")
        if len(request.headers) > self.http.headers:
            raise HttpRefusal(431, f"Got {len(request.headers)} headers; accepted are {self.http.headers}.")

    def refuse_when_stopping(self) -> None:
        """Raise `Unavailable` once nothing new is accepted."""
        if self.stopping:
            raise Unavailable("The server is stopping; nothing new is accepted.")

    def admitted_operation(self, request: Request, route: Route | None) -> Operation | None:
        """Return what a request is for, once its head lets it go on; None is an OPTIONS without an operation.

        Raises `Unavailable`, `NotFound`, `MethodNotAllowed`, `Unauthenticated` and `AccessDenied`.
        """
        self.refuse_when_stopping()
        if route is None:
            raise NotFound(f"There is nothing at {request.path[:200]}; /openapi.json lists what is.")
        operation = route.operation(request.method)
        if operation is None and request.method != "OPTIONS":
            raise MethodNotAllowed(request.method, route.methods)
        if operation is not None and operation.scope is not None:
            self.admit(request, operation.scope)
        else:  # a dialect's caller is known, and checked again, once its body is read
            self.access.check_page(request.headers, None)
        if operation is not None and operation.admit is not None:
            operation.admit(request)
        return operation

    def admit(self, request: Request, scope: Scope) -> None:
        """Note who calls; raises `Unauthenticated` or `AccessDenied` for who, or whose page, may not."""
        credentials = standard_credentials(request.headers, request.query)
        request.caller = self.access.admit(credentials, scope)
        self.access.check_page(request.headers, request.caller, scope)

    def close_revoked(self) -> None:
        """End the WebSockets whose openers would not be admitted any more."""
        for socket in list(self.sockets.open):
            caller = socket.opening.caller
            if caller is not None and not self.access.admits(caller):
                socket.revoke()

    async def finish(self) -> None:
        """Accept nothing more, and return when all that was accepted is answered."""
        self.leaving = self.stopping = True
        await self.sockets.finish()
        await self._ended.wait_for(lambda: not self._running)


@dataclass(frozen=True, slots=True)
class RequestEvents:
    """Makes an event ``{ip, path, method}`` of each request that it is told of, as Square's Cube named them.

    ``path`` has the parts of a dialect's path in braces, for they may be keys; ``ip`` is left out where
    the sender asks to stay anonymous. ``store`` takes each with the name of its environment: that of the
    caller, or, where nobody was admitted, of callers without a key.
    """

    authenticator: Authenticator
    clock: Callable[[], int]
    store: Callable[[str, Event], None]
    is_anonymous: Callable[[Request], bool] = lambda request: False

    def __call__(self, request: Request) -> None:
        """Store what the request was."""
        environment = self.authenticator.keyless if request.caller is None else request.caller.environment
        if environment is None:
            return
        ip = {} if self.is_anonymous(request) else {"ip": request.remote}
        data = {**ip, "path": request.route, "method": "WebSocket" if request.is_socket else request.method}
        self.store(environment.name, Event(REQUEST, self.clock(), make_id(), data))
