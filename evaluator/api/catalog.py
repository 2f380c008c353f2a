"""The routes of the catalog: types in detail, fields, values, and an expression that is being written."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from cube.expression.completion import CompletionSpot, places
from cube.expression.nodes import EventExpression
from cube.model.environment import Caller
from cube.web import Reply, Request
from evaluator.api.service import QueryService, QueryServices
from evaluator.catalog.completions import completions
from evaluator.catalog.details import detailed
from evaluator.catalog.expression import described
from evaluator.catalog.fields import FieldTallies, FieldTally, Path, field_text
from evaluator.catalog.kept_samples import Fields, KeptSamples, SampleScope
from evaluator.catalog.queries import ExpressionQuery, ValuesQuery, read_type, wants_details
from evaluator.catalog.sample import EventSample, SampleLimits, sample
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


@dataclass(slots=True)
class Catalog:
    """Answers what there is to ask about, each caller as its key allows; bounded as queries are."""

    services: QueryServices
    kept: KeptSamples = field(default_factory=KeptSamples)

    async def get_types(self, request: Request) -> Reply:
        """Answer with the names of all types, sorted; with ``details`` with an object for each."""
        service = self.services.of(request.admitted)
        names = await service.types() if not wants_details(request.parameters()) else None
        if names is not None:
            return Reply.json(names)
        async with service.context.query():
            seconds = min(DETAILS_SECONDS, service.context.limits.query_seconds / 2)
            types = await service.types()
            return Reply.json(await detailed(service.pyramid, service.restriction, types, seconds))

    async def get_fields(self, request: Request) -> Reply:
        """Answer with the fields of a sample of a type's events, the most frequent first."""
        service = self.services.of(request.admitted)
        type = read_type(request.parameters())
        tallies = FieldTallies()
        async with service.context.query():
            taken = await _sample(service, type, tallies, FIELDS)
            answer = partial(_fields, type, tallies, taken)
            return Reply.json(await service.context.scheduler.run(QueryCost(), answer))

    async def get_values(self, request: Request) -> Reply:
        """Answer with the most frequent values of a field in a sample of a type's events."""
        service = self.services.of(request.admitted)
        query = ValuesQuery.parse(request.parameters())
        tallies = FieldTallies(query.path)
        async with service.context.query():
            taken = await _sample(service, query.type, tallies, VALUES)
        tally = tallies.fields.get(query.path, FieldTally())
        return Reply.json(
            {
                "type": query.type,
                "field": field_text(query.path),
                "values": [
                    {"value": value, "events": events}
                    for value, events in tally.top(query.limit, query.prefix)
                ],
                "distinct": len(tally.values),
                "complete": not tally.is_cut,
                "sample": taken.described(),
            }
        )

    async def get_expression(self, request: Request) -> Reply:
        """Answer with what an expression is, or what is wrong with it, and how it may go on at a place."""
        service = self.services.of(request.admitted)
        query = ExpressionQuery.parse(request.parameters())
        run, cost = service.context.scheduler.run, QueryCost()
        async with service.context.query():
            answer = await run(cost, described, query.text, service.restriction)
            if query.at is not None:
                found: list[CompletionSpot] = await run(cost, lambda: list(places(query.text, query.at or 0)))
                answer["completions"] = await completions(
                    found, query.text, _Known(service, request.admitted, self.kept)
                )
        return Reply.json(answer)


@dataclass(slots=True)
class _Known:
    """What completions know of the store: types are asked for once, samples are those of the last seconds."""

    service: QueryService
    caller: Caller
    kept: KeptSamples
    _names: list[str] | None = None

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
