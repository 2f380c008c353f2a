"""What ``/openapi.json`` says of the evaluator's questions: parameters, defaults and answers."""

from __future__ import annotations

from typing import Any

from cube.model.environment import Scope
from cube.model.tier import TEN_SECONDS, TIERS
from cube.web import Operation, Parameter
from cube.web.route import Answer

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


def operations(
    events: Answer, metrics: Answer, types: Answer, rows: int
) -> tuple[Operation, Operation, Operation]:
    """Describe what answers the three questions; ``rows``: the default and the largest limit."""
    return (
        Operation(
            events,
            "Find events, ascending by time.",
            (
                _EXPRESSION,
                Parameter("start", "From this time on; 1970 unless given.", _TIME),
                Parameter("stop", "Before this time; now unless given.", _TIME),
                _limit("events", rows),
            ),
            result=_array(_EVENT),
            scope=Scope.READ,
        ),
        Operation(
            metrics,
            "Compute a metric for each bucket of a span.",
            (
                _EXPRESSION,
                Parameter(
                    "start", "From the bucket of this time on; stop less limit steps unless given.", _TIME
                ),
                Parameter("stop", "Before this time; the start of the open bucket unless given.", _TIME),
                _STEP,
                _limit("buckets", rows),
            ),
            result=_array(_METRIC),
            scope=Scope.READ,
        ),
        Operation(
            types,
            "List the types of events.",
            result={"type": "array", "items": {"type": "string"}},
            scope=Scope.READ,
        ),
    )


def _limit(what: str, rows: int) -> Parameter:
    text = f"The latest so many {what}; more than {rows} counts as that."
    return Parameter("limit", text, {"type": "number", "minimum": 1, "default": rows})


def _array(properties: dict[str, Any]) -> dict[str, Any]:
    item = {"type": "object", "required": ["time"], "properties": properties}
    return {"type": "array", "items": item}
