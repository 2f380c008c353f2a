"""``DELETE`` of events by an expression.

The collector's, not the evaluator's: all that changes events goes through those that write them, with their
notes, sweeps and spools, and an evaluator's user of the database need not be let write.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from collector.ingest.context import IngestContext
from cube.columns import check
from cube.columns.key_filter import Restriction, filters_of
from cube.errors import AccessDenied, InvalidQuery
from cube.expression import parse_event
from cube.expression.nodes import EventExpression
from cube.model import instant
from cube.model.environment import Caller, Scope
from cube.model.place import rough
from cube.model.relative import read_time
from cube.model.tier import EVER, Span
from cube.process.threads import run_in_thread
from cube.store.deletion import Erasure, refuse_unbounded
from cube.store.ports import DeletedSlice
from cube.web import Operation, Parameter, Reply, Request, switch

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
_STOP: Final = {
    "type": "string",
    "format": "date-time",
    "description": "Beside `next`: where the next request has to stop, for a relative time moves on.",
}
_RESULT: Final = {
    "oneOf": [
        {
            "type": "object",
            "required": [name],
            "properties": {name: _COUNT, "next": _FOLLOWING, "stop": _STOP},
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
        "Delete the events that an expression selects, for some seconds; again from `next` on, up to `stop`,"
        " until there is no `next`.",
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
        is_count = switch(raw, "count")
        erasure = await self._erasure(caller, raw)
        work = _Work(erasure, hides=bool(filters_of(caller)))
        if is_count:
            await work.count()
            return _reply("events", work, erasure.span)
        try:
            await work.delete()
        finally:
            _log.info("%s", erasure.told(work.events))
        return _reply("deleted", work, erasure.span)

    async def _erasure(self, caller: Caller, raw: Mapping[str, str]) -> Erasure:
        now = self._context.clock()
        start, stop = read_time(raw, "start", now), read_time(raw, "stop", now)
        expression = await run_in_thread(_expression, raw)
        refuse_unbounded(expression, start, stop, whole=switch(raw, "all"))
        return Erasure(
            self._context.stores[caller.environment.name],
            Restriction.of(caller).event(expression),
            Span(EVER.start if start is None else start, EVER.stop if stop is None else stop),
            caller.who,
            self._context.clock,
        )


class _Work:
    """What one request does of an erasure. ``hides``: of some events the caller must not know when they were.

    ``events``: how many so far. ``following``: from where the next request has to go on; None: it is done.
    """

    def __init__(self, erasure: Erasure, *, hides: bool) -> None:
        self.events = 0
        self.following: int | None = erasure.span.start
        self._erasure = erasure
        self._hides = hides

    async def delete(self) -> None:
        """Delete slice after slice, for `REQUEST_SECONDS`."""
        await self._erasure.begin()
        await self._go_on(self._erasure.delete)

    async def count(self) -> None:
        """Count in place of that, each event in one request."""
        reached = await self._go_on(self._erasure.count)
        if self.following is not None and self.following < reached:
            again = replace(self._erasure, span=Span(self.following, reached))
            start: int | None = self.following
            while start is not None:
                done = await again.count(start)
                self.events, start = self.events - done.deleted, done.following

    async def _go_on(self, work: Callable[[int], Awaitable[DeletedSlice]]) -> int:
        """Return up to which time it was done."""
        since = start = self._erasure.span.start
        deadline = time.monotonic() + REQUEST_SECONDS
        while True:
            done = await work(start)
            self.events += done.deleted
            if done.following is None:
                self.following = None
                return self._erasure.span.stop
            start = done.following
            following = rough(start, since) if self._hides else start
            if time.monotonic() > deadline and following is not None:
                self.following = following
                return start


def _expression(raw: Mapping[str, str]) -> EventExpression:
    if "expression" not in raw:
        raise InvalidQuery("The expression is missing.", field="expression")
    expression = parse_event(raw["expression"])
    check(expression, raw["expression"])
    return expression


def _reply(name: str, work: _Work, span: Span) -> Reply:
    answer: dict[str, Any] = {name: work.events}
    if work.following is not None:
        answer["next"] = instant.format(work.following)
        if span.stop < EVER.stop:
            answer["stop"] = instant.format(span.stop)
    return Reply.json(answer)
