"""What there is in the store, as completions and hints know it: types, and samples kept for seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

from cube.columns.key_filter import Restriction
from cube.expression.definitions import Definitions
from cube.expression.nodes import EventExpression
from cube.model.environment import Caller
from evaluator.catalog.fields import FieldTallies, FieldTally, Path
from evaluator.catalog.kept_samples import Fields, KeptSamples, SampleScope
from evaluator.catalog.readings import askable
from evaluator.catalog.sample import EventSample, SampleLimits, sample
from evaluator.context import QueryContext
from evaluator.scheduling.scheduler import QueryCost

NO_DEFINITIONS: Final = Definitions({})

MIB: Final = 1024 * 1024

COMPLETIONS = SampleLimits(events=1_000, bytes=2 * MIB, seconds=0.5)
COMPLETED_VALUES = SampleLimits(events=5_000, bytes=4 * MIB, seconds=0.5)


class ReadableEvents(Protocol):
    """What one who asks may read of an environment: a `QueryService`, as far as it matters here."""

    @property
    def context(self) -> QueryContext: ...

    @property
    def restriction(self) -> Restriction | None: ...

    async def types(self) -> list[str]:
        """Return the names of all types that may be known of, sorted."""


@dataclass(slots=True)
class KnownEvents:
    """What there is in the store, as far as a caller may know.

    Types are asked for once, samples kept for seconds.
    """

    events: ReadableEvents
    caller: Caller
    kept: KeptSamples
    definitions: Definitions = NO_DEFINITIONS
    _names: list[str] | None = None

    async def named(self) -> dict[str, str]:
        run = self.events.context.scheduler.run
        return await run(QueryCost(), askable, self.definitions, self.events.restriction)

    async def types(self) -> list[str]:
        if self._names is None:
            self._names = await self.events.types()
        return self._names

    async def fields(self, type: str) -> Fields:
        return (await self.sampled(type))[0]

    async def sampled(self, type: str) -> tuple[Fields, EventSample]:
        return await self._sample(type, None, COMPLETIONS)

    async def values(self, type: str, path: Path) -> FieldTally | None:
        return (await self._sample(type, path, COMPLETED_VALUES))[0].get(path)

    async def _sample(self, type: str, path: Path | None, bounds: SampleLimits) -> tuple[Fields, EventSample]:
        if type not in await self.types():
            return {}, EventSample(is_whole=True)

        async def read() -> tuple[Fields, EventSample]:
            tallies = FieldTallies(path)
            taken = await read_sample(self.events, type, tallies, bounds)
            return tallies.fields, taken

        deletions = await self.events.context.store.deletions.stamp(type)
        return await self.kept.get(SampleScope.of(self.caller, type, path, deletions), read)


async def read_sample(
    events: ReadableEvents, type: str, tallies: FieldTallies, bounds: SampleLimits
) -> EventSample:
    """Read a sample of what the caller may see of a type; raises `AccessDenied` where that is nothing."""
    expression = EventExpression(type, None, ())
    if events.restriction is not None:
        expression = events.restriction.event(expression)
    return await sample(events.context, expression, tallies.needed, bounds, tallies.add)
