"""What answers for the catalog: types in detail, fields, values, and an expression that is being written."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from cube.errors import InvalidExpression, InvalidQuery, shown
from cube.expression import parse_event
from cube.expression.completion import CompletionSpot, places
from cube.expression.nodes import EventExpression, Field
from cube.model.event import MAX_TYPE_LENGTH
from cube.web import Reply, Request, switch
from evaluator.api.hints import warning_headers
from evaluator.api.known import MIB, KnownEvents, read_sample
from evaluator.api.service import QueryService, QueryServices
from evaluator.catalog.completions import completions
from evaluator.catalog.details import detailed
from evaluator.catalog.fields import FieldTallies, FieldTally, Path, field_text
from evaluator.catalog.readings import described, parsed
from evaluator.catalog.sample import EventSample, SampleLimits
from evaluator.catalog.uses import Tree
from evaluator.query.queries import read_limit
from evaluator.scheduling.scheduler import QueryCost

FIELDS = SampleLimits(events=5_000, bytes=8 * MIB, seconds=2.0)
VALUES = SampleLimits(events=20_000, bytes=16 * MIB, seconds=2.0)
"""What the samples of each route may take."""

DETAILS_SECONDS: Final = 10.0
"""Types that are not looked at by then are told by name alone."""

EXAMPLES: Final = 5
"""Values of a field that are told with it."""

SHOWN_VALUES, MOST_VALUES = 20, 1_000
"""How many values are told unless the client says, and at most."""

_TYPE: Final = re.compile(rf"[a-z_][a-zA-Z0-9_]{{0,{MAX_TYPE_LENGTH - 1}}}", re.ASCII)
_WHOLE: Final = re.compile(r"[0-9]{1,9}", re.ASCII)


@dataclass(slots=True)
class Catalog:
    """Answers what there is to ask about, each caller as its key allows; bounded as queries are."""

    services: QueryServices

    async def get_types(self, request: Request) -> Reply:
        """Answer with the names of all types, sorted; with ``details`` with an object for each."""
        service = self.services.of(request.admitted)
        if not switch(request.parameters(), "details"):
            return Reply.json(await service.types())
        async with service.context.query():
            seconds = min(DETAILS_SECONDS, service.context.limits.query_seconds / 2)
            types = await service.types()
            return Reply.json(await detailed(service.pyramid, service.restriction, types, seconds))

    async def get_fields(self, request: Request) -> Reply:
        """Answer with the fields of a sample of a type's events, the most frequent first."""
        service = self.services.of(request.admitted)
        type = _read_type(request.parameters())
        tallies = FieldTallies()
        async with service.context.query():
            taken = await read_sample(service, type, tallies, FIELDS)
            answer = partial(_fields, type, tallies, taken)
            told = (
                () if taken.events else await self._hints(service, request, EventExpression(type, None, ()))
            )
            reply = Reply.json(await service.context.scheduler.run(QueryCost(), answer))
        return replace(reply, headers=warning_headers(told))

    async def get_values(self, request: Request) -> Reply:
        """Answer with the most frequent values of a field in a sample of a type's events."""
        service = self.services.of(request.admitted)
        raw = request.parameters()
        path, limit = _path(_required(raw, "field")), read_limit(raw, SHOWN_VALUES, MOST_VALUES)
        type, tallies = _read_type(raw), FieldTallies(path)
        async with service.context.query():
            taken = await read_sample(service, type, tallies, VALUES)
            tally = tallies.fields.get(path, FieldTally())
            asked = EventExpression(type, (Field(path),), ())
            told = () if tally.events else await self._hints(service, request, asked)
        reply = Reply.json(
            {
                "type": type,
                "field": field_text(path),
                "values": [
                    {"value": value, "events": events}
                    for value, events in tally.top(limit, raw.get("prefix", ""))
                ],
                "distinct": len(tally.values),
                "complete": not tally.is_cut,
                "sample": taken.described(),
            }
        )
        return replace(reply, headers=warning_headers(told))

    async def _hints(self, service: QueryService, request: Request, tree: Tree) -> Sequence[str]:
        return await self.services.hints.of(service, request.admitted, tree, None, is_silent=True)

    async def get_expression(self, request: Request) -> Reply:
        """Answer with what an expression is, or what is wrong with it, and how it may go on at a place."""
        service = self.services.of(request.admitted)
        text = _required(request.parameters(), "expression")
        at = _place(request.parameters(), text)
        run, cost = service.context.scheduler.run, QueryCost()
        async with service.context.query():
            definitions = await service.definitions()
            asked = (text, service.restriction, definitions)
            answer = await run(cost, described, *asked)
            tree = None if answer["error"] else await run(cost, parsed, *asked)
            answer["hints"] = [] if tree is None else await self._hints(service, request, tree)
            if at is not None:
                found: list[CompletionSpot] = await run(cost, lambda: list(places(text, at, definitions)))
                known = KnownEvents(service, request.admitted, self.services.hints.kept, definitions)
                answer["completions"] = await completions(found, text, known)
        return Reply.json(answer)


def _fields(type: str, tallies: FieldTallies, taken: EventSample) -> dict[str, Any]:
    """Return what is told of fields; of a thousand that takes tens of milliseconds."""
    fields = sorted(tallies.fields.items(), key=lambda each: (-each[1].events, each[0]))
    return {
        "type": type,
        "fields": [_field(path, tally, taken) for path, tally in fields],
        "complete": not tallies.is_cut,
        "sample": taken.described(),
    }


def _field(path: Path, tally: FieldTally, taken: EventSample) -> dict[str, Any]:
    return {
        "field": field_text(path),
        "kinds": tally.kind_names,
        "events": tally.events,
        "share": round(tally.events / taken.events, 4),
        "in_array": tally.in_array,
        "examples": [value for value, _ in tally.top(EXAMPLES)],
        "distinct": len(tally.values),
        "distinct_complete": not tally.is_cut,
    }


def _place(raw: Mapping[str, str], text: str) -> int | None:
    """Return where completions of a text are wanted, if they are; raises `InvalidQuery`."""
    at = raw.get("at")
    if at is not None and (not _WHOLE.fullmatch(at) or int(at) > len(text)):
        raise InvalidQuery(
            f"Got the place {shown(at)}; accepted are whole numbers from 0 to {len(text)}, the characters"
            " before it.",
            field="at",
        )
    return None if at is None else int(at)


def _read_type(raw: Mapping[str, str]) -> str:
    """Return the type that is asked about; raises `InvalidQuery` where it is missing or cannot be one."""
    type = _required(raw, "type")
    if not _TYPE.fullmatch(type):
        raise InvalidQuery(
            f"Got the type {shown(type)}; accepted is [a-z_][a-zA-Z0-9_]*, of at most {MAX_TYPE_LENGTH}"
            " characters.",
            field="type",
        )
    return type


def _required(raw: Mapping[str, str], name: str) -> str:
    if name not in raw:
        raise InvalidQuery(f"The parameter {name} is missing.", field=name)
    return raw[name]


def _path(text: str) -> Path:
    """Read a field as an expression has it, of names alone."""
    try:
        parsed = parse_event(f"any({text})")
    except InvalidExpression:
        raise _no_field(text) from None
    if parsed.fields is None or len(parsed.fields) != 1 or parsed.filters:
        raise _no_field(text)
    names = tuple(part for part in parsed.fields[0].path if isinstance(part, str))
    if len(names) != len(parsed.fields[0].path):
        raise _no_field(text)
    return names


def _no_field(text: str) -> InvalidQuery:
    return InvalidQuery(
        f"Got the field {shown(text)}; accepted is one path of names, such as user.name or"
        ' headers["user-agent"].',
        field="field",
    )
