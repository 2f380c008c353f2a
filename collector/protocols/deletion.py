"""``DELETE`` of events by an expression.

The collector's, not the evaluator's: all that changes events goes through those that write them, with their
notes, sweeps and spools, and an evaluator's user of the database need not be let write.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any, Final

from collector.ingest.context import IngestContext
from cube.columns import check
from cube.columns.key_filter import Restriction
from cube.errors import AccessDenied, InvalidQuery, shown
from cube.expression import parse_event
from cube.expression.nodes import EventExpression
from cube.model import instant
from cube.model.environment import Caller, Scope
from cube.model.relative import read_time
from cube.model.tier import Span
from cube.process.threads import run_in_thread
from cube.store.deletion import EVER, Erasure, refuse_unbounded
from cube.web import Operation, Parameter, Reply, Request

REQUEST_SECONDS: Final = 5.0
"""One request begins no slice after so long; the next one goes on."""

_TIME: Final = {"type": ["string", "integer"], "description": "ISO 8601, relative (-6h), or milliseconds."}
_FLAG: Final = {"type": "boolean", "default": False}
_COUNT: Final = {"type": "integer", "minimum": 0}
_FOLLOWING: Final = {
    "type": "string",
    "format": "date-time",
    "description": "Where the next request has to start; absent where all is done.",
}
_RESULT: Final = {
    "oneOf": [
        {
            "type": "object",
            "required": [name],
            "properties": {name: _COUNT, "next": _FOLLOWING},
            "additionalProperties": False,
        }
        for name in ("deleted", "events")
    ]
}

_log = logging.getLogger(__name__)


def deletion_operation(context: IngestContext) -> Operation:
    """Return what answers ``DELETE /1.0/event``."""
    return Operation(
        DeleteEvents(context),
        "Delete the events that an expression selects, for some seconds; again from `next` on, until there is"
        " none.",
        (
            Parameter("expression", "Which events, as the evaluator finds them.", required=True),
            Parameter("start", "From this time on; ever unless given.", _TIME),
            Parameter("stop", "Before this time; ever unless given.", _TIME),
            Parameter("all", "With true all events of the type may be meant, or all since a time.", _FLAG),
            Parameter("count", "With true they are counted, and nothing is deleted.", _FLAG),
        ),
        replies={200: "So many are deleted: no later answer shows them. With `count`: there are so many."},
        result=_RESULT,
        scope=Scope.DELETE,
    )


class DeleteEvents:
    """``DELETE``: answered once what it tells is deleted, and logged."""

    def __init__(self, context: IngestContext) -> None:
        self._context = context

    async def __call__(self, request: Request) -> Reply:
        """Delete, or count, for `REQUEST_SECONDS` at most."""
        caller = request.admitted
        if caller.key is None and not self._context.settings.limits.keyless_deletion:
            raise AccessDenied(
                "Got a deletion without a key; accepted is one with a key of the scope delete, or any where"
                " the setting limits.keyless_deletion is true."
            )
        raw = request.parameters()
        is_count = _flag(raw, "count")
        erasure = await self._erasure(caller, raw)
        return await self._counted(erasure) if is_count else await self._deleted(erasure)

    async def _erasure(self, caller: Caller, raw: Mapping[str, str]) -> Erasure:
        now = self._context.clock()
        start, stop = read_time(raw, "start", now), read_time(raw, "stop", now)
        expression = await run_in_thread(_expression, raw)
        refuse_unbounded(expression, start, stop, whole=_flag(raw, "all"))
        return Erasure(
            self._context.stores[caller.environment.name],
            Restriction.of(caller).event(expression),
            Span(EVER.start if start is None else start, EVER.stop if stop is None else stop),
            "somebody without a key" if caller.key is None else f"the key {caller.key.id}",
            self._context.clock,
        )

    async def _counted(self, erasure: Erasure) -> Reply:
        events, start = 0, erasure.span.start
        deadline = time.monotonic() + REQUEST_SECONDS
        while True:
            done = await erasure.count(start)
            events += done.deleted
            if done.following is None or time.monotonic() > deadline:
                return _reply({"events": events}, done.following)
            start = done.following

    async def _deleted(self, erasure: Erasure) -> Reply:
        deleted, start = 0, erasure.span.start
        deadline = time.monotonic() + REQUEST_SECONDS
        try:
            await erasure.begin()
            while True:
                done = await erasure.delete(start)
                deleted += done.deleted
                if done.following is None or time.monotonic() > deadline:
                    return _reply({"deleted": deleted}, done.following)
                start = done.following
        finally:
            _log.info("%s", erasure.told(deleted))


def _expression(raw: Mapping[str, str]) -> EventExpression:
    if "expression" not in raw:
        raise InvalidQuery("The expression is missing.", field="expression")
    expression = parse_event(raw["expression"])
    check(expression, raw["expression"])
    return expression


def _flag(raw: Mapping[str, str], name: str) -> bool:
    given = raw.get(name, "")
    if given not in ("", "true", "false"):
        raise InvalidQuery(f"Got {name} {shown(given)}; accepted are true and false.", field=name)
    return given == "true"


def _reply(answer: dict[str, Any], following: int | None) -> Reply:
    if following is not None:
        answer["next"] = instant.format(following)
    return Reply.json(answer)
