"""Every route of the evaluator: what answers it, and what ``/openapi.json`` says of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from cube.columns.arrow_stream import MEDIA_TYPE as ARROW
from cube.model.environment import Scope
from cube.settings import EvaluatorLimits
from cube.web import Operation, Parameter, Reply, Request, Route, Telemetry, with_standard_routes
from evaluator.api import schemas
from evaluator.api.boards import Boards
from evaluator.api.catalog import FIELDS, MOST_VALUES, SHOWN_VALUES, VALUES, Catalog
from evaluator.api.definitions import DefinitionRoutes
from evaluator.api.hints import HEADER
from evaluator.api.pages import Pages
from evaluator.api.service import QueryServices
from evaluator.api.session import EventSocket, MetricSocket, QuerySession, SocketHandler, TypeSocket
from evaluator.api.sql import SqlRoute
from evaluator.api.status import status_route
from evaluator.boards.refresher import BoardRefresher
from evaluator.prometheus.api import Prometheus
from evaluator.scheduling.send_queue import SendQueue
from evaluator.sql.service import SqlService

_WARNINGS = "What the question may get wrong about the events that there are: a JSON array of sentences."

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
    sql: SqlService | None = None,
) -> tuple[Route, ...]:
    """Return all that the evaluator answers."""
    send_queue = SendQueue()

    def pair(name: str, get: Operation, handler: SocketHandler, summary: str) -> tuple[Route, Route]:
        talk = partial(QuerySession, handler, limits.requests, send_queue)
        path, summary = f"/1.0/{name}", _SOCKET + summary
        return Route(path, {"GET": get}), Route(
            f"{path}/get", {"GET": get}, socket=talk, socket_summary=summary
        )

    find = _reading(
        services.get_events,
        "Find events, ascending by time.",
        schemas.EVENTS,
        schemas.EXPRESSION,
        Parameter("start", "From this time on; 1970 unless given.", schemas.ASKED_TIME),
        Parameter("stop", "Before this time; now unless given.", schemas.ASKED_TIME),
        _limit(f"The latest so many events; more than {limits.rows} counts as that.", limits.rows),
        schemas.AFTER,
        schemas.BEFORE,
        schemas.IDS,
        headers=schemas.PAGE_HEADERS,
        other_types=(ARROW,),
    )
    compute = _reading(
        services.get_metrics,
        "Compute a metric for each bucket of a span.",
        schemas.METRICS,
        schemas.EXPRESSION,
        Parameter(
            "start",
            "From the bucket of this time on; stop less limit steps unless given.",
            schemas.ASKED_TIME,
        ),
        Parameter("stop", "Before this time; the start of the open bucket unless given.", schemas.ASKED_TIME),
        schemas.STEP,
        schemas.ZONE,
        schemas.WEEK_START,
        _limit(f"The latest so many buckets; more than {limits.rows} counts as that.", limits.rows),
        headers=schemas.NEXT_HEADERS,
        other_types=(ARROW,),
    )
    catalog = Catalog(services)
    table = (
        *Pages().routes(),
        *pair("event", find, EventSocket(services), "Without stop a stream of events."),
        *pair("metric", compute, MetricSocket(services), "Without stop metrics as they change."),
        *pair("types", _types(catalog), TypeSocket(services), "Answered with an array."),
        *_catalog_routes(catalog),
        *Boards(services, refresher).routes(),
        *DefinitionRoutes(services).routes(),
        status_route(services),
        *Prometheus(services).routes(),
        SqlRoute(sql).route(),
    )
    return with_standard_routes("Cube evaluator", table, telemetry, ready)


def _reading(
    answer: Callable[[Request], Awaitable[Reply]],
    summary: str,
    result: Mapping[str, Any],
    *parameters: Parameter,
    headers: Mapping[str, str] = MappingProxyType({}),
    other_types: tuple[str, ...] = (),
) -> Operation:
    """Return an operation for all who may read."""
    told = {**headers, HEADER: _WARNINGS}
    return Operation(
        answer, summary, parameters, result=result, headers=told, other_types=other_types, scope=Scope.READ
    )


def _types(catalog: Catalog) -> Operation:
    details = Parameter(
        "details",
        "With true an object for each type: its events in each minute of the last hour (the open one last),"
        " its rate, its first and its last event.",
        {"type": "boolean", "default": False},
    )
    return _reading(catalog.get_types, "List the types of events.", schemas.TYPES, details)


def _catalog_routes(catalog: Catalog) -> tuple[Route, ...]:
    """Return the routes that tell of fields, of values and of an expression."""
    fields = _reading(
        catalog.get_fields,
        f"List the fields of a type, as at most {FIELDS.events} of its newest events show them.",
        schemas.FIELDS,
        schemas.TYPE,
    )
    values = _reading(
        catalog.get_values,
        f"List the most frequent values of a field in at most {VALUES.events} of the newest events.",
        schemas.VALUES,
        schemas.TYPE,
        Parameter("field", "The field, as an expression has it, without indexes.", required=True),
        Parameter("prefix", "What the values begin with, in capitals or not."),
        _limit(f"So many values; more than {MOST_VALUES} counts as that.", SHOWN_VALUES),
    )
    expression = _reading(
        catalog.get_expression,
        "Tell what an expression is: its canonical text, words, the place of its error, completions.",
        schemas.READINGS,
        Parameter("expression", "The text, as far as it is written.", required=True),
        Parameter(
            "at",
            "Where completions are wanted: so many characters (code points) stand before it.",
            {"type": "integer", "minimum": 0},
        ),
    )
    operations = {"fields": fields, "values": values, "expression": expression}
    return tuple(Route(f"/1.0/{name}", {"GET": each}) for name, each in operations.items())


def _limit(text: str, default: int) -> Parameter:
    return Parameter("limit", text, {"type": "number", "minimum": 1, "default": default})
