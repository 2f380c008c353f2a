"""The routes that every daemon has: health, readiness, metrics, and the description of all routes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

from prometheus_client.exposition import CONTENT_TYPE_LATEST

from cube.errors import CubeError
from cube.web.access import KEY_PARAMETER
from cube.web.message import Reply, Request
from cube.web.route import Operation, Parameter, Route, captures
from cube.web.service import Telemetry

_ERROR_SCHEMA = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {"type": "string", "description": "One sentence."},
        "request": {"type": "string", "description": "The id of the request, as in X-Request-Id."},
        "retry_after": {"type": "integer", "description": "Whole seconds until another try may succeed."},
        "index": {"type": "integer", "description": "Which event of a batch, from 0."},
        "field": {"type": "string", "description": "Where in it, or which parameter."},
        "id": {"description": "The id of that event."},
        "line": {"type": "integer", "description": "Where in an expression, from 1."},
        "column": {"type": "integer", "description": "Where in the line, from 1."},
    },
}


_SECURITY = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "basic": {"type": "http", "scheme": "basic", "description": "The key is the user name."},
    "header": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
    "parameter": {"type": "apiKey", "in": "query", "name": KEY_PARAMETER},
}
_REFUSALS = {
    400: "The request is wrong; sent again unchanged it cannot succeed.",
    413: "The body is over its limit.",
    415: "The body's content encoding is not one that can be read.",
    500: "A fault of the server, logged there.",
    503: "Overloaded, stopping, or the store does not answer.",
}
_ACCESS_REFUSALS = {
    401: "A key is needed, or the one that was sent is not known.",
    403: "The key does not allow this.",
}
ASKED: Mapping[str, str] = {
    "Accept": "The media type of the answer, where there are several.",
    "Authorization": "The key, as `Bearer KEY`, or with `Basic` as the user name.",
    "Content-Encoding": "gzip, deflate or zstd, of the body.",
    "Forwarded": "Of a trusted proxy: the client's address and scheme, as `X-Forwarded-For` and `-Proto`.",
    "Origin": "The page that asks: it has to be one of the origins that may.",
    "X-Api-Key": "The key.",
    "X-Request-Id": "1 to 64 letters, digits, `.`, `_`, `:` and `-`: the request's id, else one is made.",
}
"""What is heeded in the head of any request."""

OWED: Mapping[str, str] = {
    "Access-Control-Allow-Origin": "The page's origin, where it may ask; others of CORS beside it.",
    "Allow": "With 405, and to OPTIONS: the methods of the path.",
    "Cache-Control": "`no-store`; of the page's files how long they may be kept.",
    "Content-Security-Policy": "Of pages: what they may load, which is their own files.",
    "Cross-Origin-Opener-Policy": "Of pages: `same-origin`.",
    "Referrer-Policy": "Of pages: `no-referrer`.",
    "Retry-After": "With 429 and 503: whole seconds until another try may succeed.",
    "Vary": "The headers of the request on which the answer depends.",
    "WWW-Authenticate": "With 401: `Bearer`.",
    "X-Content-Type-Options": "Of pages: `nosniff`.",
    "X-Request-Id": "The id of the request, which errors and the log have as well.",
}
"""What any answer may have in its head."""

_SENT = {"X-Request-Id": {"schema": {"type": "string"}, "description": OWED["X-Request-Id"]}}

_FOREIGN = {
    "204": {
        "description": "Done, in protocols that have no content to tell it by.",
        "headers": _SENT,
    },
    "default": {
        "description": "What clients of the protocol expect.",
        "headers": _SENT,
        "content": {"*/*": {}},
    },
}
_RETRY_AFTER = {"schema": {"type": "integer", "minimum": 1}, "description": OWED["Retry-After"]}
_log = logging.getLogger(__name__)


def with_standard_routes(
    title: str, routes: Iterable[Route], telemetry: Telemetry, ready: Callable[[], Awaitable[None]]
) -> tuple[Route, ...]:
    """Add the standard routes to a daemon's own.

    ``ready`` returns if the daemon can do its work, and raises `Unavailable` or `Overloaded` if not.
    """

    async def healthz(_request: Request) -> Reply:
        return Reply()

    async def openapi(_request: Request) -> Reply:
        return description

    table = (
        *routes,
        _get("/healthz", healthz, "Whether the process lives."),
        _get("/readyz", Readiness(ready).answer, "Whether the daemon can do its work: 503 if not."),
        _get("/metrics", telemetry.expose, "Metrics in the format of Prometheus.", CONTENT_TYPE_LATEST),
        _get("/openapi.json", openapi, "This description."),
    )
    description = Reply.json(describe(title, table))
    return table


class Readiness:
    """Looks whether a daemon can do its work, one look at a time: it may cost a write, and anybody may ask.

    ``look`` returns if the daemon can do its work, and raises `Unavailable` or `Overloaded` if not. Who
    asks while it looks gets what that look finds.
    """

    def __init__(self, look: Callable[[], Awaitable[None]]) -> None:
        self._look = look
        self._looking: asyncio.Task[CubeError | None] | None = None
        self._told = ""

    async def answer(self, _request: Request) -> Reply:
        """Answer ``GET /readyz``; raises the error that says why the daemon cannot do its work."""
        if self._looking is None:
            self._looking = asyncio.create_task(self._find())
        error = await asyncio.shield(self._looking)
        if error is not None:
            raise error
        return Reply()

    async def _find(self) -> CubeError | None:
        try:
            await self._look()
        except CubeError as error:
            self._log_change(error.message)
            return error
        finally:
            self._looking = None
        self._log_change("")
        return None

    def _log_change(self, reason: str) -> None:
        if reason != self._told:
            self._told = reason
            if reason:
                _log.warning("not ready: %s", reason)
            else:
                _log.info("ready again")


def describe(title: str, routes: Sequence[Route]) -> dict[str, Any]:
    """Describe a table of routes as an OpenAPI 3.1 document."""
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version("cube-events")},
        "paths": {route.path: _path(route) for route in routes},
        "components": {"schemas": {"Error": _ERROR_SCHEMA}, "securitySchemes": _SECURITY},
    }


def _get(
    path: str,
    answer: Callable[[Request], Awaitable[Reply]],
    summary: str,
    content_type: str = "application/json",
) -> Route:
    return Route(path, {"GET": Operation(answer, summary, content_type=content_type)})


def _path(route: Route) -> dict[str, Any]:
    item: dict[str, Any] = {"description": route.socket_summary} if route.socket else {}
    for method, operation in route.operations.items():
        item[method.lower()] = _operation(route, operation)
        if method == "GET":
            item["head"] = _operation(route, operation)
    return item


def _operation(route: Route, operation: Operation) -> dict[str, Any]:
    text = {"type": "string", "minLength": 1}
    described: dict[str, Any] = {
        "summary": operation.summary,
        "parameters": [
            *(
                {"name": name, "in": "path", "required": True, "schema": text}
                for name in captures(route.path)
            ),
            *map(_parameter, operation.parameters),
        ],
        "responses": _FOREIGN if route.foreign else _responses(operation),
    }
    if operation.scope is not None or route.foreign:  # no key is needed where none are configured
        described["security"] = [{}, *({scheme: []} for scheme in _SECURITY)]
    if operation.body is not None:
        accepted = "*/*" if route.foreign else "application/json"
        content = {accepted: {"schema": operation.body}}
        described["requestBody"] = {"required": not route.foreign, "content": content}
    return described


def _parameter(parameter: Parameter) -> dict[str, Any]:
    told = asdict(parameter)
    return {"in": told.pop("place"), **told}


def _responses(operation: Operation) -> dict[str, Any]:
    loose = {"type": "object" if operation.content_type == "application/json" else "string"}
    content: dict[str, Any] = {operation.content_type: {"schema": operation.result or loose}}
    for other in operation.other_types:
        content[other] = {"schema": {"type": "string", "format": "binary"}}
    headers = _SENT | {
        name: {"description": text, "schema": {"type": "string"}} for name, text in operation.headers.items()
    }
    refusals = _REFUSALS if operation.scope is None else {**_REFUSALS, **_ACCESS_REFUSALS}
    return {
        **{
            str(status): _refusal(status, text) if status >= 400 else _answer(status, text, headers, content)
            for status, text in operation.replies.items()
        },
        **{str(status): _refusal(status, text) for status, text in sorted(refusals.items())},
        "default": _refusal(None, "An error."),
    }


def _answer(status: int, text: str, headers: Mapping[str, Any], content: Mapping[str, Any]) -> dict[str, Any]:
    is_empty = status in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)
    return {"description": text, "headers": headers} | ({} if is_empty else {"content": content})


def _refusal(status: int | None, text: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    headers = {**_SENT, "Retry-After": _RETRY_AFTER} if status == 503 else _SENT
    return {"description": text, "headers": headers, "content": content}
