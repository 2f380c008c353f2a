"""``GET /1.0/status``: what the daemons of the caller's environment tell of themselves."""

from __future__ import annotations

import asyncio

from cube.model.environment import Scope
from cube.process.recent_counts import STEP_MS
from cube.web import Operation, Reply, Request, Route
from evaluator.api.json_schema import (
    COUNT,
    FLAG,
    MAYBE_TEXT,
    MAYBE_TIME,
    NUMBER,
    TEXT,
    TIME,
    JsonSchema,
    annotated,
    array,
    record,
)
from evaluator.api.reports import RATE_BUCKETS, SHOWN, Viewer, summary
from evaluator.api.service import QueryServices
from evaluator.context import SLOWEST


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


_RATED: dict[str, JsonSchema] = {
    "rate": annotated(NUMBER, f"A second, in the last {RATE_BUCKETS * STEP_MS // 1000} s."),
    "counts": annotated(array(COUNT), f"In each of the {SHOWN} steps from the start on."),
}
_SPOOL = record(
    away=annotated(FLAG, "The store does not answer: events go to the spool."),
    events=COUNT,
    bytes=COUNT,
    oldest=MAYBE_TIME,
    quarantined=annotated(COUNT, "Records that the store refuses, kept for a person."),
)
_DAEMON = record(
    "host pid addresses memory_bytes cpu versions waiting rate counts spool kept_bytes",
    process=TEXT,
    kind={"type": "string", "enum": ["collector", "evaluator"]},
    live=FLAG,
    age_ms=annotated(COUNT, "How long ago it told of itself, by the store's clock."),
    started=TIME,
    host=TEXT,
    pid=COUNT,
    addresses={"type": "object", "additionalProperties": TEXT},
    memory_bytes=COUNT,
    cpu=annotated(NUMBER, "Of one processor: 1 is all of it."),
    versions={"type": "object", "additionalProperties": TEXT},
    waiting={"type": "object", "additionalProperties": COUNT},
    spool=_SPOOL,
    kept_bytes=annotated(COUNT, "What kept columns and answers take, about."),
    **_RATED,
)
_REFUSAL = record(
    reason=TEXT,
    events=COUNT,
    last=TIME,
    examples=annotated(
        array(record(type=MAYBE_TEXT, message=TEXT, events=COUNT, last=TIME)), "The latest, without keys."
    ),
)
_SLOW = record(
    kind={"type": "string", "enum": ["metric", "event"]},
    expression=annotated(TEXT, "As it was written."),
    cut=annotated(FLAG, "The expression was longer."),
    start=TIME,
    stop=TIME,
    step={"type": ["integer", "string", "null"]},
    key=annotated(MAYBE_TEXT, "The id of the key that it was asked with."),
    seconds=NUMBER,
    time=TIME,
    error=annotated(MAYBE_TEXT, "Why it was not answered."),
)
_STATUS = record(
    time=TIME,
    start=TIME,
    step=COUNT,
    restricted=annotated(FLAG, "The key does not see all of it."),
    daemons=annotated(array(_DAEMON), "Those that live first."),
    types=annotated(
        array(record(type=MAYBE_TEXT, **_RATED)), "Events that came; null is of all other types."
    ),
    refusals=annotated(array(_REFUSAL), "Since each daemon's start, by reason."),
    questions=record(metric=record(**_RATED), event=record(**_RATED)),
    slow=annotated(array(_SLOW), f"The {SLOWEST} slowest questions of the last hour, but for live ones."),
    cache=annotated(record(hit=COUNT, miss=COUNT), "Buckets that questions needed."),
)
