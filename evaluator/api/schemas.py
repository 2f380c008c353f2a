"""What the evaluator takes and gives, as JSON Schema: the parameters, headers and answers of its routes."""

from __future__ import annotations

from typing import Any

from cube.model.grid import MONTHS, WEEKDAYS
from cube.model.tier import TEN_SECONDS, TIERS
from cube.web import Parameter


def _object(required: str = "", **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": required.split() or [*properties], "properties": properties}


def _array(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


_COUNT = {"type": "integer", "minimum": 0}
_TEXT = {"type": "string"}
_TIME = {"type": ["string", "null"], "format": "date-time"}
ASKED_TIME = {
    "type": ["string", "integer"],
    "description": "ISO 8601, milliseconds since 1970, or relative to now: -6h, now, now-1d.",
}
_SHOWN_TIME = {"type": "string", "format": "date-time"}
_SCALAR = {"type": ["string", "number", "boolean", "null"]}
TYPE = Parameter("type", "The type of events.", required=True)
EXPRESSION = Parameter("expression", "What is asked, in the expression language.", required=True)
STEP = Parameter(
    "step",
    "The length of a bucket: whole seconds in milliseconds, or words such as 15m, 1d, month or year.",
    {"type": ["number", "string"], "examples": [*TIERS, *MONTHS, "15m"], "default": TEN_SECONDS.step},
)
ZONE = Parameter(
    "timezone",
    "By whose clocks buckets begin: a name of IANA's.",
    {"type": "string", "examples": ["Europe/Berlin"], "default": "UTC"},
)
WEEK_START = Parameter(
    "week_start",
    "The weekday on which weeks begin.",
    {"type": "string", "enum": sorted(WEEKDAYS), "default": "monday"},
)
AFTER = Parameter(
    "after",
    "The first events behind a cursor, in place of the latest; empty: from the start. Beside it no before.",
)
BEFORE = Parameter("before", "The latest events before a cursor; empty: before the stop.")
IDS = Parameter(
    "ids",
    "all: those that Cube has made are shown, too, in JSON; given: those of clients.",
    {"type": "string", "enum": ["given", "all"], "default": "given"},
)
NEXT_HEADERS = {
    "Cube-Truncated": "Only where the answer was cut, or may have been: by limit, time or bytes.",
    "Link": 'With Cube-Truncated, unless it is too long: the next page, as <?…>; rel="next".',
}
PAGE_HEADERS = {
    "Cube-Cursor": "Where the page ended, for after or before; absent where nothing was passed.",
    **NEXT_HEADERS,
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
EVENTS = _array(_EVENT)
METRICS = _array(_METRIC)
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
TYPES = _array({"oneOf": [_TEXT, _DETAILS]})
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
FIELDS = _object(type=_TEXT, fields=_array(_FIELD), complete={"type": "boolean"}, sample=_SAMPLE)
VALUES = _object(
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
READINGS = _object(
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
