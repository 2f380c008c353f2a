"""A daemon's HTTP side: its routes, its bounds, whom it lets in, and what is going on right now."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from cube.errors import NotFound, Unavailable
from cube.model.environment import Scope
from cube.process.threads import Condition
from cube.settings import HttpSettings
from cube.web.access import Authenticator, standard_credentials
from cube.web.body import BodyBudget
from cube.web.memory_budget import MemoryBudget
from cube.web.metrics import Telemetry
from cube.web.proxies import Proxies
from cube.web.reply import HeadTooLarge, MethodNotAllowed, UrlTooLong
from cube.web.request import Request
from cube.web.route import Operation, Route, RouteTable
from cube.web.websocket import Sockets


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
        self.bodies = BodyBudget(max(self.http.bodies_bytes, max_body_bytes))
        # A lone message may always come in, one that is refused for its length included.
        incoming = max(self.http.bodies_bytes, 2 * max_body_bytes + self.http.head_bytes)
        self.incoming = MemoryBudget(incoming, telemetry.cut.inc)
        self.answers = telemetry.answers(self.http.answers_bytes) if answers is None else answers
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

    def check_head(self, request: Request) -> None:
        """Raise `UrlTooLong` or `HeadTooLarge` for a head over the bounds."""
        if len(request.path) + len(request.query) >= self.http.url_bytes:
            raise UrlTooLong(f"The URL is over {self.http.url_bytes} bytes, which is the limit.")
        if len(request.headers) > self.http.headers:
            raise HeadTooLarge(f"Got {len(request.headers)} headers; accepted are {self.http.headers}.")

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
