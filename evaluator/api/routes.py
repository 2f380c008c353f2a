"""Every route of the evaluator: what answers it, and what ``/openapi.json`` says of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from cube.model.environment import Scope
from cube.model.tier import TEN_SECONDS, TIERS
from cube.settings import EvaluatorLimits
from cube.web import Operation, Parameter, Route, Telemetry, with_standard_routes
from evaluator.api.boards import Boards
from evaluator.api.catalog import Catalog
from evaluator.api.catalog_routes import catalog_routes, types
from evaluator.api.pages import Pages
from evaluator.api.service import QueryServices
from evaluator.api.session import EventSocket, MetricSocket, QuerySession, SocketHandler, TypeSocket
from evaluator.api.status import status_route
from evaluator.boards.refresher import BoardRefresher
from evaluator.scheduling.scheduler import SendQueue

_TIME = {"type": ["string", "integer"], "description": "ISO 8601, or milliseconds since 1970."}
_SHOWN_TIME = {"type": "string", "format": "date-time"}
_EXPRESSION = Parameter("expression", "What is asked, in the expression language.", required=True)
_STEP = Parameter(
    "step",
    "The length of a bucket, in milliseconds.",
    {"type": "number", "enum": [*TIERS], "default": TEN_SECONDS.step},
)
_EVENT = {
    "id": {"type": ["string", "number"], "description": "Only where a client gave one."},
    "time": _SHOWN_TIME,
    "data": {"description": "The requested fields, nested as stored; absent where none is requested."},
}
_METRIC = {
    "time": _SHOWN_TIME,
    "value": {"type": "number", "description": "Absent where the bucket has no value."},
    "group": {"type": ["string", "number", "boolean"], "description": "Only of an expression with groups."},
}


_SOCKET = (
    "As a WebSocket: each message is a request, an object with the same keys and an id that is echoed on"
    ' every answer; {"id": ID, "cancel": true} ends it. '
)


def routes(
    services: QueryServices,
    limits: EvaluatorLimits,
    telemetry: Telemetry,
    ready: Callable[[], Awaitable[None]],
    refresher: BoardRefresher,
) -> tuple[Route, ...]:
    """Return all that the evaluator answers."""
    send_queue = SendQueue()

    def pair(name: str, get: Operation, handler: SocketHandler, summary: str) -> tuple[Route, Route]:
        talk = partial(QuerySession, handler, limits.requests, send_queue)
        path, summary = f"/1.0/{name}", _SOCKET + summary
        return Route(path, {"GET": get}), Route(
            f"{path}/get", {"GET": get}, socket=talk, socket_summary=summary
        )

    find = Operation(
        services.get_events,
        "Find events, ascending by time.",
        (
            _EXPRESSION,
            Parameter("start", "From this time on; 1970 unless given.", _TIME),
            Parameter("stop", "Before this time; now unless given.", _TIME),
            _limit("events", limits.rows),
        ),
        result=_array(_EVENT),
        scope=Scope.READ,
    )
    compute = Operation(
        services.get_metrics,
        "Compute a metric for each bucket of a span.",
        (
            _EXPRESSION,
            Parameter("start", "From the bucket of this time on; stop less limit steps unless given.", _TIME),
            Parameter("stop", "Before this time; the start of the open bucket unless given.", _TIME),
            _STEP,
            _limit("buckets", limits.rows),
        ),
        result=_array(_METRIC),
        scope=Scope.READ,
    )
    catalog = Catalog(services)
    table = (
        *Pages().routes(),
        *pair("event", find, EventSocket(services), "Without stop a stream of events."),
        *pair("metric", compute, MetricSocket(services), "Without stop metrics as they change."),
        *pair("types", types(catalog), TypeSocket(services), "Answered with an array."),
        *catalog_routes(catalog),
        *Boards(services, refresher).routes(),
        status_route(services),
    )
    return with_standard_routes("Cube evaluator", table, telemetry, ready)


def _limit(what: str, rows: int) -> Parameter:
    text = f"The latest so many {what}; more than {rows} counts as that."
    return Parameter("limit", text, {"type": "number", "minimum": 1, "default": rows})


def _array(properties: dict[str, Any]) -> dict[str, Any]:
    item = {"type": "object", "required": ["time"], "properties": properties}
    return {"type": "array", "items": item}
