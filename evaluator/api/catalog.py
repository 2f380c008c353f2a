"""What answers for the catalog: types in detail, fields, values, and an expression that is being written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from cube.errors import InvalidExpression, InvalidQuery, shown
from cube.expression import parse_event
from cube.expression.completion import CompletionSpot, places
from cube.expression.definitions import Definitions
from cube.expression.nodes import EventExpression
from cube.model.environment import Caller
from cube.model.event import MAX_TYPE_LENGTH
from cube.web import Reply, Request
from evaluator.api.service import QueryService, QueryServices
from evaluator.catalog.details import detailed
from evaluator.catalog.expression import askable, completions, described
from evaluator.catalog.fields import FieldTallies, FieldTally, Path, field_text
from evaluator.catalog.kept_samples import Fields, KeptSamples, SampleScope
from evaluator.catalog.sample import EventSample, SampleLimits, sample
from evaluator.query.queries import read_limit
from evaluator.scheduling.scheduler import QueryCost

MIB: Final = 1024 * 1024

FIELDS = SampleLimits(events=5_000, bytes=8 * MIB, seconds=2.0)
VALUES = SampleLimits(events=20_000, bytes=16 * MIB, seconds=2.0)
COMPLETIONS = SampleLimits(events=1_000, bytes=2 * MIB, seconds=0.5)
COMPLETED_VALUES = SampleLimits(events=5_000, bytes=4 * MIB, seconds=0.5)
"""What the samples of each route may take."""

DETAILS_SECONDS: Final = 10.0
"""Types that are not looked at by then are told by name alone."""

EXAMPLES: Final = 5
"""Values of a field that are told with it."""

SHOWN_VALUES, MOST_VALUES = 20, 1_000
"""How many values are told unless the client says, and at most."""

_TYPE: Final = re.compile(rf"[a-z_][a-zA-Z0-9_]{{0,{MAX_TYPE_LENGTH - 1}}}", re.ASCII)
_WHOLE: Final = re.compile(r"[0-9]{1,9}", re.ASCII)
_SWITCH: Final = {"true": True, "1": True, "false": False, "0": False, "": False}


@dataclass(slots=True)
class Catalog:
    """Answers what there is to ask about, each caller as its key allows; bounded as queries are."""

    services: QueryServices
    kept: KeptSamples = field(default_factory=KeptSamples)

    async def get_types(self, request: Request) -> Reply:
        """Answer with the names of all types, sorted; with ``details`` with an object for each."""
        service = self.services.of(request.admitted)
        if not _wants_details(request.parameters()):
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
            taken = await _sample(service, type, tallies, FIELDS)
            answer = partial(_fields, type, tallies, taken)
            return Reply.json(await service.context.scheduler.run(QueryCost(), answer))

    async def get_values(self, request: Request) -> Reply:
        """Answer with the most frequent values of a field in a sample of a type's events."""
        service = self.services.of(request.admitted)
        raw = request.parameters()
        path, limit = _path(_required(raw, "field")), read_limit(raw, SHOWN_VALUES, MOST_VALUES)
        type, tallies = _read_type(raw), FieldTallies(path)
        async with service.context.query():
            taken = await _sample(service, type, tallies, VALUES)
        tally = tallies.fields.get(path, FieldTally())
        return Reply.json(
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

    async def get_expression(self, request: Request) -> Reply:
        """Answer with what an expression is, or what is wrong with it, and how it may go on at a place."""
        service = self.services.of(request.admitted)
        text = _required(request.parameters(), "expression")
        at = _place(request.parameters(), text)
        run, cost = service.context.scheduler.run, QueryCost()
        async with service.context.query():
            definitions = await service.definitions()
            answer = await run(cost, described, text, service.restriction, definitions)
            if at is not None:
                found: list[CompletionSpot] = await run(cost, lambda: list(places(text, at, definitions)))
                known = _Known(service, request.admitted, self.kept, definitions)
                answer["completions"] = await completions(found, text, known)
        return Reply.json(answer)


@dataclass(slots=True)
class _Known:
    """What completions know of the store: types are asked for once, samples are those of the last seconds."""

    service: QueryService
    caller: Caller
    kept: KeptSamples
    definitions: Definitions
    _names: list[str] | None = None

    async def named(self) -> dict[str, str]:
        run = self.service.context.scheduler.run
        return await run(QueryCost(), askable, self.definitions, self.service.restriction)

    async def types(self) -> list[str]:
        if self._names is None:
            self._names = await self.service.types()
        return self._names

    async def fields(self, type: str) -> Fields:
        return await self._sample(type, None, COMPLETIONS)

    async def values(self, type: str, path: Path) -> FieldTally | None:
        return (await self._sample(type, path, COMPLETED_VALUES)).get(path)

    async def _sample(self, type: str, path: Path | None, bounds: SampleLimits) -> Fields:
        if type not in await self.types():
            return {}

        async def read() -> tuple[Fields, EventSample]:
            tallies = FieldTallies(path)
            taken = await _sample(self.service, type, tallies, bounds)
            return tallies.fields, taken

        return await self.kept.get(SampleScope.of(self.caller, type, path), read)


async def _sample(
    service: QueryService, type: str, tallies: FieldTallies, bounds: SampleLimits
) -> EventSample:
    """Read a sample of what the caller may see of a type; raises `AccessDenied` where that is nothing."""
    expression = EventExpression(type, None, ())
    if service.restriction is not None:
        expression = service.restriction.event(expression)
    return await sample(service.context, expression, tallies.needed, bounds, tallies.add)


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


def _wants_details(raw: Mapping[str, str]) -> bool:
    """Tell whether types are to be told in detail; raises `InvalidQuery`."""
    given = raw.get("details", "")
    if given not in _SWITCH:
        raise InvalidQuery(f"Got details {shown(given)}; accepted are true and false.", field="details")
    return _SWITCH[given]


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
