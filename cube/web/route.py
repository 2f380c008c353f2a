"""Routes as data: what the service answers, what ``/openapi.json`` says of it, and which a path is of."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import unquote

from cube.errors import CubeError, InvalidSettings, TooLarge
from cube.model.environment import Scope
from cube.web.message import Reply, Request
from cube.web.websocket import SessionFactory

Answer: TypeAlias = Callable[[Request], Awaitable[Reply]]
Begin: TypeAlias = "Callable[[Sequence[Request]], Iterable[Begun]]"

_CAPTURE = re.compile(r"\{([a-z_]+)\}")
_SLASHES = re.compile("/{2,}")
_NOTHING: Mapping[str, str] = {}
_NONE: Mapping[int, CubeError] = {}


class Begun(NamedTuple):
    """Requests that were begun together; ``places``: where they stand among those that were given.

    ``promise``: what they wait for. ``reply`` makes the reply to each of them of what it is kept with.
    ``refused``: those of them that it is not for, once it is settled: why, by where they stand in ``places``.
    """

    places: Sequence[int]
    promise: asyncio.Future[Any]
    reply: Callable[[Any], Reply]
    refused: Mapping[int, CubeError] = _NONE


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a query string, as OpenAPI tells it; with ``place`` "header" a header."""

    name: str
    description: str
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "string"})
    required: bool = False
    place: str = "query"


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path.

    ``replies``: what a reply of each status holds, beside the errors that any operation can give.
    ``body``: the JSON schema of the request's body; None for no body (then none is read).
    ``result``: the JSON schema of what a reply that is not an error holds; None: an object, or a text where
    ``content_type`` is not JSON; ``headers``: those that it may have, each with what it says;
    ``other_types``: the media types that it has where a client accepts them, as bytes.
    ``scope``: what a caller must be allowed, by a key where the request has one; None: nobody is asked for
    one here. ``admit``: asked in its place, before the body is read; raises for who cannot be admitted
    whatever the body says.
    ``on_too_large``: answers in place of an error where a request is too large; its body may not be there.
    ``sniffs_gzip``: a body that begins as gzip does is one, whatever its headers say. ``unpacks``: content
    encodings that ``answer`` itself takes apart, see `Request.hold`.
    ``credentials``: pages of any origin that may call may send cookies, where no origins are configured.
    ``begin``: does what ``answer`` does for requests that are short and came together, each of them in one
    `Begun`, without a task; what is wrong with one is told in its promise.
    """

    answer: Answer
    summary: str
    parameters: tuple[Parameter, ...] = ()
    body: Mapping[str, Any] | None = None
    replies: Mapping[int, str] = field(default_factory=lambda: {200: "The answer."})
    content_type: str = "application/json"
    result: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    other_types: tuple[str, ...] = ()
    scope: Scope | None = None
    admit: Callable[[Request], None] | None = None
    credentials: bool = False
    sniffs_gzip: bool = False
    unpacks: tuple[str, ...] = ()
    on_too_large: Callable[[Request, TooLarge], Awaitable[Reply]] | None = None
    begin: Begin | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """One path with its operations by method (in capitals), and its WebSocket.

    A part of ``path`` in braces matches one part of a request's path (see `RouteTable`).
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


class RouteTable:
    """Routes by path; those without braces come first, whatever their order.

    ``{name}`` matches one part of a path, at least one character and no slash. A slash too many or too
    few, as addresses put together by hand have them (``//a``, ``/a/``), reaches the same route; nothing
    is redirected. Raises `InvalidSettings` where two routes have one path: some paths come from the
    settings.
    """

    def __init__(self, routes: Iterable[Route]) -> None:
        self._exact: dict[str, Route] = {}
        self._plain: dict[str, Route] = {}
        self._patterns: list[tuple[re.Pattern[str], Route]] = []
        paths: set[str] = set()
        for route in routes:
            if route.path in paths:
                raise InvalidSettings(f"Got the path {route.path} for two things; accepted is one.")
            paths.add(route.path)
            if captures(route.path):
                parts = enumerate(_CAPTURE.split(_plain(route.path)))  # text and names in turn
                made = (f"(?P<{part}>[^/]+)" if place % 2 else re.escape(part) for place, part in parts)
                self._patterns.append((re.compile("".join(made)), route))
            else:
                self._exact[route.path] = route
                self._plain.setdefault(_plain(route.path), route)

    def find(self, path: str) -> tuple[Route | None, Mapping[str, str]]:
        """Return the route of a path, and the parts that its braces matched, percent-decoded."""
        route = self._exact.get(path)
        if route is not None:
            return route, _NOTHING
        path = _plain(path)
        route = self._plain.get(path)
        if route is not None:
            return route, _NOTHING
        for pattern, route in self._patterns:
            found = pattern.fullmatch(path)
            if found is not None:
                return route, {name: unquote(text) for name, text in found.groupdict().items()}
        return None, _NOTHING


def captures(path: str) -> list[str]:
    """Return the names in braces of a route's path, in order."""
    return _CAPTURE.findall(path)


def _plain(path: str) -> str:
    """Return a path with single slashes, and none at its end."""
    return _SLASHES.sub("/", path).rstrip("/") or "/"
