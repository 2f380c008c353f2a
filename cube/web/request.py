"""What a handler gets and what it gives back: `Request` and `Reply`."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl

from tornado.httputil import HTTPHeaders

from cube import json_text
from cube.errors import (
    AccessDenied,
    CubeError,
    InvalidQuery,
    NotFound,
    Overloaded,
    TooLarge,
    Unauthenticated,
    Unavailable,
)
from cube.model.environment import Caller
from cube.web.content_encoding import ENCODINGS

JSON_TYPE = "application/json"
MAX_PARAMETERS = 100

_GIVEN_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}", re.ASCII)


class Request:
    """One HTTP request, its body read and inflated.

    ``path`` and ``query`` are as sent, without the question mark; bytes outside ASCII are percent-encoded.
    ``id`` is the caller's ``X-Request-Id`` where that is harmless, else made here; it stands in the reply
    and in the log. ``is_socket``: whether it has opened a WebSocket.
    ``captures``: the parts of the path that a route in braces matched, decoded. ``route``: the path with
    those parts in braces, "" where nothing is there; it and not ``path`` is for logs and figures, for a
    part may be a key. ``caller``: who was admitted; None before that, and where nobody asks. ``remote``,
    ``scheme``: the client's address, and http or https, as the connection or a trusted proxy tells.
    """

    __slots__ = (
        "body",
        "caller",
        "captures",
        "headers",
        "id",
        "is_socket",
        "method",
        "path",
        "query",
        "remote",
        "route",
        "scheme",
    )

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
        given = headers.get("X-Request-Id")
        self.id = given if given and _GIVEN_ID.fullmatch(given) else make_request_id()

    @property
    def admitted(self) -> Caller:
        """Who was admitted, for operations that have a scope."""
        if self.caller is None:
            raise TypeError(f"nobody was admitted to {self.path}: its operation has no scope")
        return self.caller

    def parameters(self) -> Mapping[str, str]:
        """Return the query's parameters; a repeated one or one that is not UTF-8 is an `InvalidQuery`."""
        try:
            pairs = parse_qsl(
                self.query, keep_blank_values=True, errors="strict", max_num_fields=MAX_PARAMETERS
            )
        except UnicodeDecodeError:
            raise InvalidQuery("Got a query that is not UTF-8.") from None
        except ValueError:
            raise InvalidQuery(f"Got more than {MAX_PARAMETERS} parameters.") from None
        parameters: dict[str, str] = {}
        for name, value in pairs:
            if name in parameters:
                raise InvalidQuery(f"Got the parameter {name[:80]} twice; accepted is one.", field=name[:80])
            parameters[name] = value
        return parameters


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to one request; the plumbing adds the headers that every reply has."""

    body: bytes = b"{}"
    status: int = 200
    content_type: str = JSON_TYPE
    headers: tuple[tuple[str, str], ...] = ()

    @classmethod
    def json(cls, value: Any, status: int = 200) -> Reply:
        """Make a reply of a JSON value."""
        return cls(json_text.encode(value), status)


def kind_of(request: Request) -> str:
    """Return how ``cube_request`` events name a request, as Square's do: by its method, or WebSocket."""
    return "WebSocket" if request.is_socket else request.method


class MethodNotAllowed(CubeError):
    """The path is there, the method is not; ``allowed`` are those that are."""

    def __init__(self, method: str, allowed: tuple[str, ...]) -> None:
        super().__init__(f"Got the method {method[:20]}; accepted are {', '.join(allowed)}.")
        self.allowed = allowed


class UrlTooLong(CubeError):
    """The path and the query are over their limit."""


class HeadTooLarge(CubeError):
    """There are more headers than are accepted."""


class UnsupportedEncoding(CubeError):
    """The body's content encoding is not one that can be read."""


class UnsupportedTransfer(CubeError):
    """The body's transfer coding is not one that can be read."""


STATUS: tuple[tuple[type[CubeError], int], ...] = (
    (TooLarge, 413),
    (NotFound, 404),
    (MethodNotAllowed, 405),
    (UnsupportedEncoding, 415),
    (UnsupportedTransfer, 501),
    (UrlTooLong, 414),
    (HeadTooLarge, 431),
    (Unauthenticated, 401),
    (AccessDenied, 403),
    (Overloaded, 503),
    (Unavailable, 503),
    (CubeError, 400),
)
"""The status of each error: the first line that it is an instance of."""


def refusal(error: Exception, request_id: str) -> Reply:
    """Turn an error into the reply that tells it; one that is not a `CubeError` keeps its reason."""
    status = next((status for kind, status in STATUS if isinstance(error, kind)), 500)
    headers = tuple(_extra_headers(error))
    return Reply(json_text.encode(described(error, request_id)), status, JSON_TYPE, headers)


def told(error: CubeError, request: Request, refuse: Callable[[CubeError, Request], Reply] | None) -> Reply:
    """Turn an error into the reply that `refuse` makes of it; headers that the error owes are added."""
    if refuse is None:
        return refusal(error, request.id)
    reply = refuse(error, request)
    given = {name.lower() for name, _ in reply.headers}
    owed = [header for header in _extra_headers(error) if header[0].lower() not in given]
    return replace(reply, headers=(*reply.headers, *owed))


def described(error: BaseException, request_id: str) -> dict[str, Any]:
    """Return an error as the JSON object of a reply or of a WebSocket message."""
    if isinstance(error, (Overloaded, Unavailable)):  # a WebSocket has no header to tell it
        return {
            "error": error.message,
            **error.details,
            "retry_after": error.retry_after_seconds,
            "request": request_id,
        }
    if isinstance(error, CubeError):
        return {"error": error.message, **error.details, "request": request_id}
    return {"error": "The server met a fault; its log says more.", "request": request_id}


def _extra_headers(error: Exception) -> list[tuple[str, str]]:
    match error:
        case Overloaded() | Unavailable():
            return [("Retry-After", str(max(1, error.retry_after_seconds)))]
        case Unauthenticated():
            return [("WWW-Authenticate", "Bearer")]
        case MethodNotAllowed():
            return [("Allow", ", ".join(error.allowed))]
        case UnsupportedEncoding():
            return [
                (
                    "Accept-Encoding",
                    ", ".join(dict.fromkeys(encoding.name for encoding in ENCODINGS.values())),
                )
            ]
        case _:
            return []


def _id_maker() -> Callable[[], str]:
    prefix, numbers = os.urandom(5).hex(), itertools.count(1)
    return lambda: f"{prefix}-{next(numbers):x}"


make_request_id = _id_maker()
"""Make an id that no other request has: random per process, then counted."""
