"""The routes that every daemon has: health, readiness, figures, and the description of all routes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from importlib.metadata import version
from typing import Any

from cube.web.request import Reply, Request
from cube.web.route import Operation, Parameter, Route
from cube.web.telemetry import Telemetry

_ERROR_SCHEMA = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {"type": "string", "description": "One sentence."},
        "request": {"type": "string", "description": "The id of the request, as in X-Request-Id."},
        "retry_after": {"type": "integer", "description": "Whole seconds until another try may succeed."},
        "index": {"type": "integer", "description": "Which event of a batch, from 0."},
        "field": {"type": "string", "description": "Where in it."},
        "line": {"type": "integer", "description": "Where in an expression, from 1."},
        "column": {"type": "integer", "description": "Where in the line, from 1."},
    },
}


def with_standard_routes(
    title: str, routes: Iterable[Route], telemetry: Telemetry, ready: Callable[[], Awaitable[None]]
) -> tuple[Route, ...]:
    """Add the standard routes to a daemon's own.

    ``ready`` returns if the daemon can do its work, and raises `Unavailable` or `Overloaded` if not.
    """

    async def healthz(_request: Request) -> Reply:
        return Reply()

    async def readyz(_request: Request) -> Reply:
        await ready()
        return Reply()

    async def openapi(_request: Request) -> Reply:
        return description

    table = (
        *routes,
        _get("/healthz", healthz, "Whether the process lives."),
        _get("/readyz", readyz, "Whether the daemon can do its work: 503 if not."),
        _get("/metrics", telemetry.expose, "Figures in Prometheus format.", "text/plain"),
        _get("/openapi.json", openapi, "This description."),
    )
    description = Reply.json(describe(title, table))
    return table


def describe(title: str, routes: Sequence[Route]) -> dict[str, Any]:
    """Describe a table of routes as an OpenAPI 3.1 document."""
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version("cube-events")},
        "paths": {route.path: _path(route) for route in routes},
        "components": {"schemas": {"Error": _ERROR_SCHEMA}},
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
        item[method.lower()] = _operation(operation)
        if method == "GET":
            item["head"] = _operation(operation)
    return item


def _operation(operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "summary": operation.summary,
        "parameters": [_parameter(parameter) for parameter in operation.parameters],
        "responses": {
            **{
                str(status): {"description": text, "content": {operation.content_type: {}}}
                for status, text in operation.replies.items()
            },
            "default": {
                "description": "An error.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
            },
        },
    }
    if operation.body is not None:
        content = {"application/json": {"schema": operation.body}}
        described["requestBody"] = {"required": True, "content": content}
    return described


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": "query",
        "description": parameter.description,
        "required": parameter.required,
        "schema": parameter.schema,
    }
