"""What the evaluator takes and gives, as JSON Schema: the parameters, headers and answers of its routes."""

from __future__ import annotations

from cube.model.grid import MONTHS, WEEKDAYS
from cube.model.tier import TEN_SECONDS, TIERS
from cube.web import Parameter
from evaluator.api.json_schema import (
    COUNT,
    FLAG,
    MAYBE_TEXT,
    MAYBE_TIME,
    TEXT,
    TIME,
    JsonSchema,
    annotated,
    array,
    maybe,
    record,
)

ASKED_TIME = {
    "type": ["string", "integer"],
    "description": "ISO 8601, milliseconds since 1970, or relative to now: -6h, now, now-1d.",
}
_SCALAR: JsonSchema = {"type": ["string", "number", "boolean", "null"]}
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
_EVENT = record(
    "id data",
    id={
        "type": ["string", "number", "object"],
        "required": ["$oid"],
        "properties": {"$oid": {"type": "string", "pattern": "^[0-9a-f]{24}$"}},
        "description": "Only where a client gave one, or with ids=all.",
    },
    time=TIME,
    data={"description": "The requested fields, nested as stored; absent where none is requested."},
)
_METRIC = record(
    "value group other",
    time=TIME,
    value={"type": "number", "description": "Absent where the bucket has no value."},
    group={
        "type": ["string", "number", "boolean", "array"],
        "items": {"type": ["string", "number", "boolean"]},
        "description": "Only of an expression with groups; of several parts an array.",
    },
    other=annotated(FLAG, "true: the group is all that a ranking leaves out."),
)
EVENTS = array(_EVENT)
METRICS = array(_METRIC)
_SAMPLE = annotated(
    record(events=COUNT, first=MAYBE_TIME, last=MAYBE_TIME, whole=FLAG),
    "The events that the answer was made of: the newest; whole where there are no others.",
)
_DETAILS = record(
    "counts events rate first last",
    type=TEXT,
    counts=record(start=MAYBE_TIME, step=COUNT, values=array({"type": ["integer", "null"]})),
    events=COUNT,
    rate={"type": "number", "description": "Events a second in the last minutes."},
    first=MAYBE_TIME,
    last=MAYBE_TIME,
)
TYPES = array({"oneOf": [TEXT, _DETAILS]})
_FIELD = record(
    field=annotated(TEXT, "As an expression has it."),
    kinds=array(TEXT),
    events=COUNT,
    share={"type": "number"},
    in_array=annotated(FLAG, "Met in objects in arrays: for filters, not for values."),
    examples=array(_SCALAR),
    distinct=COUNT,
    distinct_complete=annotated(FLAG, "Whether there are no more in the sample."),
)
FIELDS = record(type=TEXT, fields=array(_FIELD), complete=FLAG, sample=_SAMPLE)
VALUES = record(
    type=TEXT,
    field=TEXT,
    values=array(record(value=_SCALAR, events=COUNT)),
    distinct=COUNT,
    complete=FLAG,
    sample=_SAMPLE,
)
_PLACE: JsonSchema = {"type": ["integer", "null"]}
_BINS = record(
    value=annotated(TEXT, "What is rounded down, or its logarithm to the base."),
    is_field=FLAG,
    base={"type": ["integer", "null"]},
    step={"type": "number"},
    width={"type": "number"},
)
_REDUCTION = record(
    expression=TEXT,
    reduce=TEXT,
    type=TEXT,
    value=annotated(MAYBE_TEXT, "What is reduced; null where events are counted."),
    filters=array(TEXT),
    group=annotated(MAYBE_TEXT, "The field of the group, if it is one."),
    otherwise=annotated(MAYBE_TEXT, "The group of events that have none."),
    bins=annotated(
        maybe(_BINS),
        "Where groups are intervals of the value: g holds what is at least step * g and less than"
        " step * g + width; with a base, what is between its powers with these.",
    ),
    groups=annotated(
        array(
            record(
                text=TEXT,
                field=annotated(MAYBE_TEXT, "The field, if it is one, or an array's."),
                each=annotated(FLAG, "Whether elements of the array are groups."),
                otherwise=MAYBE_TEXT,
                bins={"type": ["object", "null"]},
            )
        ),
        "Each part of the groups, with its bins where it has some.",
    ),
    ranking=annotated(
        maybe(record(end={"type": "string", "enum": ["top", "bottom"]}, count=COUNT)),
        "Which groups are shown; the rest are one, the other.",
    ),
    events=annotated(TEXT, "The expression of the events, with all of their data."),
)
_READING = record(
    "reductions steps",
    kind={"type": "string", "enum": ["metric", "event"]},
    expression=TEXT,
    explanation=TEXT,
    reductions=annotated(array(_REDUCTION), "Those of a metric, each different one once."),
    steps=annotated(maybe(array(TEXT)), "Of a funnel: what its groups 1, 2, … are."),
)
READINGS = record(
    "completions",
    readings=array(_READING),
    error=maybe(record("line column position", error=TEXT, line=_PLACE, column=_PLACE, position=_PLACE)),
    has_names=annotated(FLAG, "Whether saved names are in it."),
    hints=annotated(array(TEXT), "What it may get wrong about the events that there are."),
    completions=record(start=_PLACE, stop=_PLACE, items=array(record(text=TEXT, kind=TEXT, detail=TEXT))),
)
