"""What the collector answers: one table of routes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any, TypeAlias

from collector.ingest.batch import Limits
from collector.ingest.decoding import Decoding
from collector.ingest.intake import Intakes
from collector.protocols.native.handlers import EventFeed, PutEvents
from cube import json_text
from cube.model.environment import Scope
from cube.web import Operation, Route, Telemetry, with_standard_routes

Ready: TypeAlias = Callable[[], Awaitable[None]]

_FEED = (
    "As a WebSocket: an event, or an array, per message; answered only if it is wrong, or where"
    ' {"events": [...], "ack": TOKEN} asks for {"ack": TOKEN}, with "spooled": true where any'
    ' of it is only in the collector\'s spool, and "warnings" as over HTTP.'
)
_EVENT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["type"],
    "properties": {
        "type": {"type": "string", "pattern": "^[a-z_][a-zA-Z0-9_]{0,63}$"},
        "time": {
            "type": ["string", "number"],
            "description": "ISO 8601, or milliseconds since 1970; absent is now.",
        },
        "id": {
            "type": ["string", "number"],
            "minLength": 1,
            "maxLength": 512,
            "description": "An event with an id that is stored replaces it.",
        },
        "data": {"description": "Any JSON; a property may have any name that is not empty."},
    },
}


def routes(
    intakes: Intakes,
    limits: Limits,
    clock: Callable[[], int],
    telemetry: Telemetry,
    ready: Ready,
    foreign: Iterable[Route] = (),
    *,
    decoded_bytes: int,
    spooled_status: int = 202,
) -> tuple[Route, ...]:
    """Return all that the collector answers; ``foreign``: the routes of dialects.

    ``decoded_bytes``: the bound of a `Decoding`, one for requests and one for messages: those wait for
    the store with what they hold, these do not.
    """
    requests = Decoding(decoded_bytes, free=json_text.THREAD_BYTES)  # others are handed over at once
    put = Operation(
        PutEvents(intakes, limits, clock, requests, spooled_status=spooled_status),
        "Store an array of events, or one event: all of them or none.",
        body={"oneOf": [_EVENT_SCHEMA, _batch(limits)]},
        replies={
            200: "All are stored durably. Where an event had a key that no event has, but that is near to"
            " one (`timestamp`, `Data`), `warnings` is an array of sentences that say so.",
            202: "All are durable, but so many as `spooled` says are only in the collector's spool: they"
            " are stored once the store answers again.",
        },
        scope=Scope.WRITE,
    )
    table = (
        Route("/1.0/event", {"POST": put, "PUT": put}),
        Route(
            "/1.0/event/put",
            {"POST": put, "PUT": put},
            socket=partial(EventFeed, intakes, limits, clock, Decoding(decoded_bytes)),
            socket_summary=_FEED,
            socket_scope=Scope.WRITE,
        ),
    )
    return with_standard_routes("Cube collector", (*table, *foreign), telemetry, ready)


def _batch(limits: Limits) -> dict[str, Any]:
    return {"type": "array", "items": _EVENT_SCHEMA, "maxItems": limits.events}
