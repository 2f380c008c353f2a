"""Routes as data: what the service answers, and what ``/openapi.json`` says about it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from cube.errors import CubeError, TooLarge
from cube.model.environment import Scope
from cube.web.request import Reply, Request
from cube.web.websocket import SessionFactory

Answer: TypeAlias = Callable[[Request], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a query string, as OpenAPI tells it."""

    name: str
    description: str
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "string"})
    required: bool = False


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path.

    ``replies``: what a reply of each status holds, beside the errors that any operation can give.
    ``body``: the JSON schema of the request's body; None for no body (then none is read).
    ``result``: the JSON schema of what a reply that is not an error holds. ``scope``: what a caller must be
    allowed, by a key where the request has one; None: nobody is asked for one here. ``admit``: asked in
    its place, before the body is read; raises for who cannot be admitted whatever the body says.
    ``bury``: answers in place of an error where a request is too large; its body may not be there.
    ``credentials``: pages of any origin that may call may send cookies, where no origins are configured.
    """

    answer: Answer
    summary: str
    parameters: tuple[Parameter, ...] = ()
    body: Mapping[str, Any] | None = None
    replies: Mapping[int, str] = field(default_factory=lambda: {200: "The answer."})
    content_type: str = "application/json"
    result: Mapping[str, Any] = field(default_factory=lambda: {"type": "object"})
    scope: Scope | None = None
    admit: Callable[[Request], None] | None = None
    credentials: bool = False
    bury: Callable[[Request, TooLarge], Awaitable[Reply]] | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """One path with its operations by method (in capitals), and its WebSocket.

    A part of ``path`` in braces matches one part of a request's path (see `cube.web.routing`).
    HEAD and OPTIONS are not listed: the service answers them wherever they make sense. ``options``:
    answers an OPTIONS that is not a CORS preflight, or gives None. ``refuse``: makes the replies that tell
    errors, where they have another form than the native one. ``foreign``: the protocol is not ours, so
    bodies and replies are described loosely.
    ``socket_scope``: what the opener of a WebSocket must be allowed.
    """

    path: str
    operations: Mapping[str, Operation] = field(default_factory=dict)
    socket: SessionFactory | None = None
    socket_summary: str = ""
    options: Callable[[Request], Reply | None] | None = None
    refuse: Callable[[CubeError, Request], Reply] | None = None
    foreign: bool = False
    socket_scope: Scope = Scope.READ

    def operation(self, method: str) -> Operation | None:
        """Return what answers `method`; HEAD is answered like GET."""
        return self.operations.get("GET" if method == "HEAD" else method)

    @property
    def credentials(self) -> bool:
        """Whether any of its operations takes cookies from pages, for preflights."""
        return any(operation.credentials for operation in self.operations.values())

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods that the path accepts, for ``Allow``."""
        read = ("GET", "HEAD") if "GET" in self.operations else ()
        written = tuple(method for method in self.operations if method != "GET")
        return (*read, *written, "OPTIONS")
