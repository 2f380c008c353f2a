"""``GET /1.0/status``: what the daemons of the caller's environment tell of themselves."""

from __future__ import annotations

import asyncio
from typing import Any

from cube.model.environment import Scope
from cube.process.recent_counts import STEP_MS
from cube.web import Operation, Reply, Request, Route
from evaluator.api.reports import RATE_BUCKETS, SHOWN, Viewer, summary
from evaluator.api.service import QueryServices
from evaluator.context import SLOWEST

_COUNT = {"type": "integer", "minimum": 0}
_NUMBER = {"type": "number", "minimum": 0}
_TEXT = {"type": "string"}
_MAYBE_TEXT = {"type": ["string", "null"]}
_FLAG = {"type": "boolean"}
_TIME = {"type": "string", "format": "date-time"}


def status_route(services: QueryServices) -> Route:
    """Return the route."""

    async def answer(request: Request) -> Reply:
        service = services.of(request.admitted)
        context = service.context
        async with context.query():
            reports = await context.store.reports.all()
        viewer = Viewer.of(request.admitted.key)
        return Reply.json(await asyncio.to_thread(summary, reports, viewer, context.clock()))

    operation = Operation(
        answer,
        "Tell how things are: which daemons live, what came and was refused, what was slow and waits.",
        result=_STATUS,
        scope=Scope.READ,
    )
    return Route("/1.0/status", {"GET": operation})


def _object(optional: str = "", **properties: Any) -> dict[str, Any]:
    required = [name for name in properties if name not in optional.split()]
    return {"type": "object", "required": required, "properties": properties}


def _array(items: dict[str, Any], description: str = "") -> dict[str, Any]:
    described = {"description": description} if description else {}
    return {"type": "array", "items": items, **described}


_RATED: dict[str, Any] = {
    "rate": {**_NUMBER, "description": f"A second, in the last {RATE_BUCKETS * STEP_MS // 1000} s."},
    "counts": _array(_COUNT, f"In each of the {SHOWN} steps from the start on."),
}
_SPOOL = _object(
    away={**_FLAG, "description": "The store does not answer: events go to the spool."},
    events=_COUNT,
    bytes=_COUNT,
    oldest={"type": ["string", "null"], "format": "date-time"},
    quarantined={**_COUNT, "description": "Records that the store refuses, kept for a person."},
)
_DAEMON = _object(
    "host pid addresses memory_bytes cpu versions waiting rate counts spool kept_bytes",
    process=_TEXT,
    kind={"type": "string", "enum": ["collector", "evaluator"]},
    live=_FLAG,
    age_ms={**_COUNT, "description": "How long ago it told of itself, by the store's clock."},
    started=_TIME,
    host=_TEXT,
    pid=_COUNT,
    addresses={"type": "object", "additionalProperties": _TEXT},
    memory_bytes=_COUNT,
    cpu={**_NUMBER, "description": "Of one processor: 1 is all of it."},
    versions={"type": "object", "additionalProperties": _TEXT},
    waiting={"type": "object", "additionalProperties": _COUNT},
    spool=_SPOOL,
    kept_bytes={**_COUNT, "description": "What kept columns and answers take, about."},
    **_RATED,
)
_REFUSAL = _object(
    reason=_TEXT,
    events=_COUNT,
    last=_TIME,
    examples=_array(
        _object(type=_MAYBE_TEXT, message=_TEXT, events=_COUNT, last=_TIME), "The latest, without keys."
    ),
)
_SLOW = _object(
    kind={"type": "string", "enum": ["metric", "event"]},
    expression={**_TEXT, "description": "As it was written."},
    cut={**_FLAG, "description": "The expression was longer."},
    start=_TIME,
    stop=_TIME,
    step={"type": ["integer", "string", "null"]},
    key={**_MAYBE_TEXT, "description": "The id of the key that it was asked with."},
    seconds=_NUMBER,
    time=_TIME,
    error={**_MAYBE_TEXT, "description": "Why it was not answered."},
)
_STATUS = _object(
    time=_TIME,
    start=_TIME,
    step=_COUNT,
    restricted={**_FLAG, "description": "The key does not see all of it."},
    daemons=_array(_DAEMON, "Those that live first."),
    types=_array(_object(type=_MAYBE_TEXT, **_RATED), "Events that came; null is of all other types."),
    refusals=_array(_REFUSAL, "Since each daemon's start, by reason."),
    questions=_object(metric=_object(**_RATED), event=_object(**_RATED)),
    slow=_array(_SLOW, f"The {SLOWEST} slowest questions of the last hour, but for live ones."),
    cache={**_object(hit=_COUNT, miss=_COUNT), "description": "Buckets that questions needed."},
)
