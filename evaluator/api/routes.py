"""Every route of the evaluator: what answers it, and what ``/openapi.json`` says of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from cube.columns.arrow_stream import MEDIA_TYPE as ARROW
from cube.model.environment import Scope
from cube.model.grid import MONTHS, WEEKDAYS
from cube.model.tier import TEN_SECONDS, TIERS
from cube.settings import EvaluatorLimits
from cube.web import Operation, Parameter, Reply, Request, Route, Telemetry, with_standard_routes
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
from evaluator.scheduling.scheduler import SendQueue
from evaluator.sql.service import SqlService


def _object(required: str = "", **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": required.split() or [*properties], "properties": properties}


def _array(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


_COUNT = {"type": "integer", "minimum": 0}
_TEXT = {"type": "string"}
_TIME = {"type": ["string", "null"], "format": "date-time"}
_ASKED_TIME = {
    "type": ["string", "integer"],
    "description": "ISO 8601, milliseconds since 1970, or relative to now: -6h, now, now-1d.",
}
_SHOWN_TIME = {"type": "string", "format": "date-time"}
_SCALAR = {"type": ["string", "number", "boolean", "null"]}
_TYPE = Parameter("type", "The type of events.", required=True)
_EXPRESSION = Parameter("expression", "What is asked, in the expression language.", required=True)
_STEP = Parameter(
    "step",
    "The length of a bucket: whole seconds in milliseconds, or words such as 15m, 1d, month or year.",
    {"type": ["number", "string"], "examples": [*TIERS, *MONTHS, "15m"], "default": TEN_SECONDS.step},
)
_ZONE = Parameter(
    "timezone",
    "By whose clocks buckets begin: a name of IANA's.",
    {"type": "string", "examples": ["Europe/Berlin"], "default": "UTC"},
)
_WEEK_START = Parameter(
    "week_start",
    "The weekday on which weeks begin.",
    {"type": "string", "enum": sorted(WEEKDAYS), "default": "monday"},
)
_AFTER = Parameter(
    "after",
    "The first events behind a cursor, in place of the latest; empty: from the start. Beside it no before.",
)
_BEFORE = Parameter("before", "The latest events before a cursor; empty: before the stop.")
_IDS = Parameter(
    "ids",
    "all: those that Cube has made are shown, too, in JSON; given: those of clients.",
    {"type": "string", "enum": ["given", "all"], "default": "given"},
)
_NEXT = {
    "Cube-Truncated": "Only where the answer was cut, or may have been: by limit, time or bytes.",
    "Link": 'With Cube-Truncated, unless it is too long: the next page, as <?…>; rel="next".',
}
_PAGE = {
    "Cube-Cursor": "Where the page ended, for after or before; absent where nothing was passed.",
    **_NEXT,
}
_EVENT = _object(
    "time",
    id={
        "type": ["string", "number", "object"],
        "required": ["$oid"],
        "properties": {"$oid": {"type": "string", "pattern": "^[0-9a-f]{24}$"}},
        "description": "Only where a client gave one, or with ids=all.",
    },
    time=_SHOWN_TIME,
    data={"description": "The requested fields, nested as stored; absent where none is requested."},
)
_METRIC = _object(
    "time",
    time=_SHOWN_TIME,
    value={"type": "number", "description": "Absent where the bucket has no value."},
    group={
        "type": ["string", "number", "boolean", "array"],
        "items": {"type": ["string", "number", "boolean"]},
        "description": "Only of an expression with groups; of several parts an array.",
    },
    other={"type": "boolean", "description": "true: the group is all that a ranking leaves out."},
)
_SAMPLE = {
    **_object(events=_COUNT, first=_TIME, last=_TIME, whole={"type": "boolean"}),
    "description": "The events that the answer was made of: the newest; whole where there are no others.",
}
_DETAILS = _object(
    "type",
    type=_TEXT,
    counts=_object(start=_TIME, step=_COUNT, values=_array({"type": ["integer", "null"]})),
    events=_COUNT,
    rate={"type": "number", "description": "Events a second in the last minutes."},
    first=_TIME,
    last=_TIME,
)
_FIELD = _object(
    field={"type": "string", "description": "As an expression has it."},
    kinds=_array(_TEXT),
    events=_COUNT,
    share={"type": "number"},
    in_array={"type": "boolean", "description": "Met in objects in arrays: for filters, not for values."},
    examples=_array(_SCALAR),
    distinct=_COUNT,
    distinct_complete={"type": "boolean", "description": "Whether there are no more in the sample."},
)
_FIELDS = _object(type=_TEXT, fields=_array(_FIELD), complete={"type": "boolean"}, sample=_SAMPLE)
_VALUES = _object(
    type=_TEXT,
    field=_TEXT,
    values=_array(_object(value=_SCALAR, events=_COUNT)),
    distinct=_COUNT,
    complete={"type": "boolean"},
    sample=_SAMPLE,
)
_PLACE = {"type": ["integer", "null"]}
_BINS = _object(
    value={"type": "string", "description": "What is rounded down, or its logarithm to the base."},
    is_field={"type": "boolean"},
    base={"type": ["integer", "null"]},
    step={"type": "number"},
    width={"type": "number"},
)
_REDUCTION = _object(
    expression=_TEXT,
    reduce=_TEXT,
    type=_TEXT,
    value={"type": ["string", "null"], "description": "What is reduced; null where events are counted."},
    filters=_array(_TEXT),
    group={"type": ["string", "null"], "description": "The field of the group, if it is one."},
    otherwise={"type": ["string", "null"], "description": "The group of events that have none."},
    bins={
        **_BINS,
        "type": ["object", "null"],
        "description": "Where groups are intervals of the value: g holds what is at least step * g and"
        " less than step * g + width; with a base, what is between its powers with these.",
    },
    groups={
        **_array(
            _object(
                text=_TEXT,
                field={"type": ["string", "null"], "description": "The field, if it is one, or an array's."},
                each={"type": "boolean", "description": "Whether elements of the array are groups."},
                otherwise={"type": ["string", "null"]},
                bins={"type": ["object", "null"]},
            )
        ),
        "description": "Each part of the groups, with its bins where it has some.",
    },
    ranking={
        **_object(end={"type": "string", "enum": ["top", "bottom"]}, count=_COUNT),
        "type": ["object", "null"],
        "description": "Which groups are shown; the rest are one, the other.",
    },
    events={"type": "string", "description": "The expression of the events, with all of their data."},
)
_READINGS = _object(
    "readings error has_names hints",
    readings=_array(
        _object(
            "kind expression explanation",
            kind={"type": "string", "enum": ["metric", "event"]},
            expression=_TEXT,
            explanation=_TEXT,
            reductions={**_array(_REDUCTION), "description": "Those of a metric, each different one once."},
            steps={
                **_array(_TEXT),
                "type": ["array", "null"],
                "description": "Of a funnel: what its groups 1, 2, … are.",
            },
        )
    ),
    error={
        **_object("error", error=_TEXT, line=_PLACE, column=_PLACE, position=_PLACE),
        "type": ["object", "null"],
    },
    has_names={"type": "boolean", "description": "Whether saved names are in it."},
    hints={**_array(_TEXT), "description": "What it may get wrong about the events that there are."},
    completions=_object(
        start=_PLACE, stop=_PLACE, items=_array(_object(text=_TEXT, kind=_TEXT, detail=_TEXT))
    ),
)

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
        _array(_EVENT),
        _EXPRESSION,
        Parameter("start", "From this time on; 1970 unless given.", _ASKED_TIME),
        Parameter("stop", "Before this time; now unless given.", _ASKED_TIME),
        _limit(f"The latest so many events; more than {limits.rows} counts as that.", limits.rows),
        _AFTER,
        _BEFORE,
        _IDS,
        headers=_PAGE,
        other_types=(ARROW,),
    )
    compute = _reading(
        services.get_metrics,
        "Compute a metric for each bucket of a span.",
        _array(_METRIC),
        _EXPRESSION,
        Parameter(
            "start", "From the bucket of this time on; stop less limit steps unless given.", _ASKED_TIME
        ),
        Parameter("stop", "Before this time; the start of the open bucket unless given.", _ASKED_TIME),
        _STEP,
        _ZONE,
        _WEEK_START,
        _limit(f"The latest so many buckets; more than {limits.rows} counts as that.", limits.rows),
        headers=_NEXT,
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
    result = _array({"oneOf": [_TEXT, _DETAILS]})
    return _reading(catalog.get_types, "List the types of events.", result, details)


def _catalog_routes(catalog: Catalog) -> tuple[Route, ...]:
    """Return the routes that tell of fields, of values and of an expression."""
    fields = _reading(
        catalog.get_fields,
        f"List the fields of a type, as at most {FIELDS.events} of its newest events show them.",
        _FIELDS,
        _TYPE,
    )
    values = _reading(
        catalog.get_values,
        f"List the most frequent values of a field in at most {VALUES.events} of the newest events.",
        _VALUES,
        _TYPE,
        Parameter("field", "The field, as an expression has it, without indexes.", required=True),
        Parameter("prefix", "What the values begin with, in capitals or not."),
        _limit(f"So many values; more than {MOST_VALUES} counts as that.", SHOWN_VALUES),
    )
    expression = _reading(
        catalog.get_expression,
        "Tell what an expression is: its canonical text, words, the place of its error, completions.",
        _READINGS,
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
