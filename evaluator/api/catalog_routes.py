"""What ``/openapi.json`` says of the catalog's routes."""

from __future__ import annotations

from typing import Any

from cube.model.environment import Scope
from cube.web import Operation, Parameter, Route
from evaluator.api.catalog import FIELDS, VALUES, Catalog
from evaluator.catalog.queries import MOST_VALUES
from evaluator.catalog.queries import VALUES as SHOWN

_COUNT = {"type": "integer", "minimum": 0}
_TEXT = {"type": "string"}
_TIME = {"type": ["string", "null"], "format": "date-time"}
_SCALAR = {"type": ["string", "number", "boolean", "null"]}
_TYPE = Parameter("type", "The type of events.", required=True)


def _object(required: str = "", **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": required.split() or [*properties], "properties": properties}


def _array(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


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
    bins={
        **_BINS,
        "type": ["object", "null"],
        "description": "Where groups are intervals of the value: g holds what is at least step * g and"
        " less than step * g + width; with a base, what is between its powers with these.",
    },
    events={"type": "string", "description": "The expression of the events, with all of their data."},
)
_EXPRESSION = _object(
    "readings error",
    readings=_array(
        _object(
            "kind expression explanation",
            kind={"type": "string", "enum": ["metric", "event"]},
            expression=_TEXT,
            explanation=_TEXT,
            reductions={**_array(_REDUCTION), "description": "Those of a metric, each different one once."},
        )
    ),
    error={
        **_object("error", error=_TEXT, line=_PLACE, column=_PLACE, position=_PLACE),
        "type": ["object", "null"],
    },
    completions=_object(
        start=_PLACE, stop=_PLACE, items=_array(_object(text=_TEXT, kind=_TEXT, detail=_TEXT))
    ),
)


def types(catalog: Catalog) -> Operation:
    """Return what lists the types."""
    details = Parameter(
        "details",
        "With true an object for each type: its events in each minute of the last hour (the open one last),"
        " its rate, its first and its last event.",
        {"type": "boolean", "default": False},
    )
    return Operation(
        catalog.get_types,
        "List the types of events.",
        (details,),
        result=_array({"oneOf": [_TEXT, _DETAILS]}),
        scope=Scope.READ,
    )


def catalog_routes(catalog: Catalog) -> tuple[Route, ...]:
    """Return the routes that tell of fields, of values and of an expression."""
    fields = Operation(
        catalog.get_fields,
        f"List the fields of a type, as at most {FIELDS.events} of its newest events show them.",
        (_TYPE,),
        result=_FIELDS,
        scope=Scope.READ,
    )
    values = Operation(
        catalog.get_values,
        f"List the most frequent values of a field in at most {VALUES.events} of the newest events.",
        (
            _TYPE,
            Parameter("field", "The field, as an expression has it, without indexes.", required=True),
            Parameter("prefix", "What the values begin with, in capitals or not."),
            Parameter(
                "limit",
                f"So many values; more than {MOST_VALUES} counts as that.",
                {"type": "number", "minimum": 1, "default": SHOWN},
            ),
        ),
        result=_VALUES,
        scope=Scope.READ,
    )
    expression = Operation(
        catalog.get_expression,
        "Tell what an expression is: its canonical text, words, the place of its error, completions.",
        (
            Parameter("expression", "The text, as far as it is written.", required=True),
            Parameter(
                "at",
                "Where completions are wanted: so many characters (code points) stand before it.",
                {"type": "integer", "minimum": 0},
            ),
        ),
        result=_EXPRESSION,
        scope=Scope.READ,
    )
    operations = {"fields": fields, "values": values, "expression": expression}
    return tuple(Route(f"/1.0/{name}", {"GET": each}) for name, each in operations.items())
