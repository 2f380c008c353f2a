"""What there is in the store, as completions and hints know it: types, and samples kept for seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cube.expression.definitions import Definitions
from cube.expression.nodes import EventExpression
from cube.model.environment import Caller
from evaluator.catalog.fields import FieldTallies, FieldTally, Path
from evaluator.catalog.kept_samples import Fields, KeptSamples, SampleScope
from evaluator.catalog.readings import askable
from evaluator.catalog.sample import EventSample, SampleLimits, sample
from evaluator.scheduling.scheduler import QueryCost

if TYPE_CHECKING:
    from evaluator.api.service import QueryService

NO_DEFINITIONS: Final = Definitions({})

MIB: Final = 1024 * 1024

COMPLETIONS = SampleLimits(events=1_000, bytes=2 * MIB, seconds=0.5)
COMPLETED_VALUES = SampleLimits(events=5_000, bytes=4 * MIB, seconds=0.5)


@dataclass(slots=True)
class KnownEvents:
    """What there is in the store, as far as a caller may know.

    Types are asked for once, samples kept for seconds.
    """

    service: QueryService
    caller: Caller
    kept: KeptSamples
    definitions: Definitions = NO_DEFINITIONS
    _names: list[str] | None = None

    async def named(self) -> dict[str, str]:
        run = self.service.context.scheduler.run
        return await run(QueryCost(), askable, self.definitions, self.service.restriction)

    async def types(self) -> list[str]:
        if self._names is None:
            self._names = await self.service.types()
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
            taken = await read_sample(self.service, type, tallies, bounds)
            return tallies.fields, taken

        deletions = await self.service.context.store.deletions.stamp(type)
        return await self.kept.get(SampleScope.of(self.caller, type, path, deletions), read)


async def read_sample(
    service: QueryService, type: str, tallies: FieldTallies, bounds: SampleLimits
) -> EventSample:
    """Read a sample of what the caller may see of a type; raises `AccessDenied` where that is nothing."""
    expression = EventExpression(type, None, ())
    if service.restriction is not None:
        expression = service.restriction.event(expression)
    return await sample(service.context, expression, tallies.needed, bounds, tallies.add)
