"""Messages: what a handler gets (`Request`, its query, its form) and gives back (`Reply`); and heads.

Heads are made here, because Tornado's own making of one takes a sixth of a small request's time.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import parse_qsl

from tornado.httputil import HTTPHeaders, HTTPInputError, parse_body_arguments

from cube import json_text
from cube.errors import (
    AccessDenied,
    Conflict,
    CubeError,
    InUse,
    InvalidQuery,
    InvalidRequest,
    NotFound,
    Overloaded,
    TooLarge,
    Unauthenticated,
    Unavailable,
)
from cube.model.environment import Caller
from cube.web.access import Authenticator
from cube.web.content_encoding import ENCODINGS

MAX_PARAMETERS = 100
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"

_GIVEN_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}", re.ASCII)
_WEIGHTLESS = re.compile(r"[ \t]*q[ \t]*=[ \t]*0(?:\.0*)?[ \t]*")
JSON_TYPE = "application/json"

_PREFLIGHT_SECONDS = "86400"
_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}
_WITHOUT_CONTENT = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)  # RFC 9110, 8.6: nor a length of it
_EXPOSED = (
    "Access-Control-Expose-Headers: X-Request-Id, Retry-After, ETag, Link, Cube-Cursor, Cube-Truncated,"
    " Cube-Warnings, Cube-Columns\r\n"
)
_PROCESS = os.urandom(5).hex()
_NUMBERS = itertools.count(1)


class Request:
    """One HTTP request, its body read and inflated.

    ``path`` and ``query`` are as sent, without the question mark; bytes outside ASCII are percent-encoded.
    ``id`` is the caller's ``X-Request-Id`` where that is harmless, else made here; it stands in the reply
    and in the log. ``is_socket``: whether it has opened a WebSocket.
    ``captures``: the parts of the path that a route in braces matched, decoded. ``route``: the path with
    those parts in braces, "" where nothing is there; it and not ``path`` is for logs and metrics, for a
    part may be a key. ``caller``: who was admitted; None before that, and where nobody asks. ``remote``,
    ``scheme``: the client's address, and http or https, as the connection or a trusted proxy tells.
    ``hold``: to be told of so many bytes that the body takes once its reader has unpacked it, before it does;
    raises `TooLarge` and `Overloaded`, see `cube.web.body.Body.hold`.
    """

    def __init__(self, method: str, target: str, headers: HTTPHeaders, remote: str) -> None:
        self.method = method
        self.path, _, self.query = target.partition("?")
        self.headers = headers
        self.remote = remote
        self.body = b""
        self.caller: Caller | None = None
        self.captures: Mapping[str, str] = {}
        self.route = ""
        self.is_socket = False
        self.scheme = "http"
        self.hold: Callable[[int], None] = lambda size: None
        given = headers.get("X-Request-Id")
        self.id = given if given and _GIVEN_ID.fullmatch(given) else make_request_id()

    @property
    def admitted(self) -> Caller:
        """Who was admitted, for operations that have a scope."""
        if self.caller is None:
            raise TypeError(f"nobody was admitted to {self.path}: its operation has no scope")
        return self.caller

    @property
    def asks_for_socket(self) -> bool:
        """Whether it would become a WebSocket."""
        return (
            self.method == "GET"
            and self.headers.get("Upgrade", "").lower() == "websocket"
            and "upgrade" in self.headers.get("Connection", "").lower()
        )

    def accepts(self, media_type: str) -> bool:
        """Tell whether it names a media type itself among what it accepts, with a weight above 0."""
        for accepted in self.headers.get("Accept", "").split(","):
            name, *parameters = accepted.split(";")
            if name.strip(" \t").lower() == media_type:
                return not any(map(_WEIGHTLESS.fullmatch, parameters))
        return False

    def parameters(self) -> Mapping[str, str]:
        """Return the query's parameters; a repeated one or one that is not UTF-8 is an `InvalidQuery`."""
        parameters: dict[str, str] = {}
        for name, value in self.pairs("strict"):
            if name in parameters:
                raise InvalidQuery(f"Got the parameter {name[:80]} twice; accepted is one.", field=name[:80])
            parameters[name] = value
        return parameters

    def pairs(self, errors: str = "surrogateescape", most: int = MAX_PARAMETERS) -> list[tuple[str, str]]:
        """Return the query's names and values, in order; more than ``most`` are an `InvalidQuery`.

        ``errors``: what becomes of what is not UTF-8, lone surrogates or (``strict``) an `InvalidQuery`, too.
        """
        try:
            return parse_qsl(self.query, keep_blank_values=True, errors=errors, max_num_fields=most)
        except UnicodeDecodeError:
            raise InvalidQuery("Got a query that is not UTF-8.") from None
        except ValueError:
            raise InvalidQuery(f"Got more than {most} parameters in a query.") from None


class Parts(Protocol):
    """A body as it is made; `aclose` is awaited at its end, whoever brings that about."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...
    async def __anext__(self) -> bytes: ...
    async def aclose(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to one request; the plumbing adds the headers that every reply has.

    ``parts``: what is sent in place of the body, as it is made; its client's reading holds it back, and a
    client that goes away closes it. Where it raises, the connection is cut, which tells the client.
    """

    body: bytes = b"{}"
    status: int = 200
    content_type: str = JSON_TYPE
    headers: tuple[tuple[str, str], ...] = ()
    parts: Parts | None = None

    @classmethod
    def json(cls, value: Any, status: int = 200) -> Reply:
        return cls(json_text.encode(value), status)


class MethodNotAllowed(CubeError):
    """The path is there, the method is not; ``allowed`` are those that are."""

    def __init__(self, method: str, allowed: tuple[str, ...]) -> None:
        super().__init__(f"Got the method {method[:20]}; accepted are {', '.join(allowed)}.")
        self.allowed = allowed


class HttpRefusal(CubeError):
    """What is wrong with a request has a ``status`` of its own in HTTP."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class UnsupportedEncoding(CubeError):
    """The body's content encoding is not one that can be read."""


STATUS: tuple[tuple[type[CubeError], int], ...] = (
    (TooLarge, 413),
    (NotFound, 404),
    (Conflict, 412),
    (InUse, 409),
    (MethodNotAllowed, 405),
    (UnsupportedEncoding, 415),
    (Unauthenticated, 401),
    (AccessDenied, 403),
    (Overloaded, 503),
    (Unavailable, 503),
    (CubeError, 400),
)
"""The status of each error that is no `HttpRefusal`: the first line that it is an instance of."""


def make_request_id() -> str:
    """Make an id that no other request has: random per process, then counted."""
    return f"{_PROCESS}-{next(_NUMBERS):x}"


def media_type(request: Request) -> str:
    """Return a body's media type in small letters, without parameters; "" where it has none."""
    return request.headers.get("Content-Type", "").partition(";")[0].strip().lower()


def form(request: Request) -> Mapping[str, str]:
    """Return the fields of a form's body; of a repeated one the last counts, and files are left out.

    Raises `InvalidRequest` for a body that is not a form, or not in UTF-8.
    """
    fields: dict[str, list[bytes]] = {}
    kind, semicolon, parameters = request.headers.get("Content-Type", "").partition(";")
    try:
        parse_body_arguments(f"{kind.strip().lower()}{semicolon}{parameters}", request.body, fields, {})
        return {name: values[-1].decode() for name, values in fields.items()}
    except HTTPInputError as error:
        raise InvalidRequest(f"The form cannot be read: {error}.") from None
    except UnicodeDecodeError:
        raise InvalidRequest("Got a form that is not UTF-8.") from None


def error_reply(error: Exception, request_id: str) -> Reply:
    """Turn an error into the reply that tells it; one that is not a `CubeError` keeps its reason."""
    known = next((status for kind, status in STATUS if isinstance(error, kind)), 500)
    status = error.status if isinstance(error, HttpRefusal) else known
    body = json_text.encode(error_body(error, request_id))
    return Reply(body, status, JSON_TYPE, tuple(_owed_headers(error)))


def with_owed_headers(reply: Reply, error: CubeError) -> Reply:
    """Add the headers that an error owes to a reply that tells it in a dialect's way."""
    given = {name.lower() for name, _ in reply.headers}
    owed = [header for header in _owed_headers(error) if header[0].lower() not in given]
    return replace(reply, headers=(*reply.headers, *owed))


def error_body(error: BaseException, request_id: str) -> dict[str, Any]:
    """Return an error as the JSON object of a reply or of a WebSocket message."""
    if not isinstance(error, CubeError):
        return {"error": "The server met a fault; its log says more.", "request": request_id}
    body = {"error": error.message, **error.details, "request": request_id}
    if isinstance(error, (Overloaded, Unavailable)):  # a WebSocket has no header to tell it
        body["retry_after"] = error.retry_after_seconds
    return body


def reply_head(reply: Reply, request: Request, cors: str, connection: str) -> bytes:
    """Return all lines before the body; ``cors``, ``connection``: what the functions below make."""
    lines = [_STATUS_LINES[reply.status]]
    if reply.parts is not None:
        lines.append(f"Content-Type: {reply.content_type}\r\n")  # how it ends, the connection's line says
    elif reply.status not in _WITHOUT_CONTENT:
        lines.append(f"Content-Type: {reply.content_type}\r\nContent-Length: {len(reply.body)}\r\n")
    lines += (f"X-Request-Id: {request.id}\r\nVary: Origin\r\n", cors)
    if not any(name == "Cache-Control" for name, _ in reply.headers):
        lines.append("Cache-Control: no-store\r\n")  # nobody on the way may keep events and metrics
    lines += (f"{name}: {value}\r\n" for name, value in reply.headers)
    return "".join((*lines, connection, "\r\n")).encode("latin-1")


def last_reply(reply: Reply, request_id: str) -> bytes:
    """Return the whole of a reply to a request whose head cannot be read; nothing follows it."""
    body, length = reply.body, len(reply.body)
    lines = f"{_STATUS_LINES[reply.status]}Content-Type: {reply.content_type}\r\nContent-Length: {length}\r\n"
    return f"{lines}X-Request-Id: {request_id}\r\nConnection: close\r\n\r\n".encode("latin-1") + body


def cors_lines(authenticator: Authenticator, request: Request, *, credentials: bool) -> str:
    """Return what lets a page of the request's origin read the reply; nothing if it may not.

    ``credentials``: whether it may send cookies where no origins are configured.
    """
    origin = request.headers.get("Origin")
    if origin is None or not authenticator.allows_origin(request.headers, request.caller):
        return ""
    allowed = f"Access-Control-Allow-Origin: {origin}\r\n{_EXPOSED}"
    if credentials or authenticator.names_origin(origin, request.caller):
        return f"{allowed}Access-Control-Allow-Credentials: true\r\n"
    return allowed


def connection_line(request: Request, version: str, *, last: bool) -> str:
    """Return the header that says what becomes of the connection, where it needs saying."""
    wanted = request.headers.get("Connection")
    if last or (wanted is not None and wanted.lower() == "close"):
        return "Connection: close\r\n"
    if version == "HTTP/1.0" and wanted is not None and wanted.lower() == "keep-alive":
        return "Connection: keep-alive\r\n"
    return ""


def preflight(request: Request, methods: tuple[str, ...]) -> Reply:
    """Answer an OPTIONS on a path that accepts these methods."""
    listed = ", ".join(methods)
    wanted = request.headers.get("Access-Control-Request-Headers", "Content-Type")
    return Reply(
        b"",
        HTTPStatus.NO_CONTENT,
        headers=(
            ("Allow", listed),
            ("Access-Control-Allow-Methods", listed),
            ("Access-Control-Allow-Headers", wanted),
            ("Access-Control-Max-Age", _PREFLIGHT_SECONDS),
        ),
    )


def _owed_headers(error: Exception) -> list[tuple[str, str]]:
    match error:
        case Overloaded() | Unavailable():
            return [("Retry-After", str(max(1, error.retry_after_seconds)))]
        case Unauthenticated():
            return [("WWW-Authenticate", "Bearer")]
        case MethodNotAllowed():
            return [("Allow", ", ".join(error.allowed))]
        case UnsupportedEncoding():
            names = dict.fromkeys(encoding.name for encoding in ENCODINGS.values())
            return [("Accept-Encoding", ", ".join(names))]
        case _:
            return []
