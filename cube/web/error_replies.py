"""Errors as replies: the status, the body and the headers that tell each."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cube import json_text
from cube.errors import (
    AccessDenied,
    Conflict,
    CubeError,
    InUse,
    NotFound,
    Overloaded,
    TooLarge,
    Unauthenticated,
    Unavailable,
)
from cube.web.content_encoding import ENCODINGS
from cube.web.message import JSON_TYPE, Reply


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
