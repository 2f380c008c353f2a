"""Names, labels and values that there are to ask for, from samples of the newest events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from evaluator.api.catalog import FIELDS, MOST_VALUES, VALUES
from evaluator.api.known import read_sample
from evaluator.api.service import QueryService
from evaluator.catalog.fields import FieldTallies, Path, field_text
from evaluator.catalog.readings import askable
from evaluator.catalog.sample import SampleLimits
from evaluator.prometheus.answers import label_of, label_value, numbered
from evaluator.prometheus.selectors import NAME, Selector, types_within
from evaluator.scheduling.scheduler import QueryCost

MOST_TYPES = 50
"""Of so many types the fields are looked at for one answer; there are names of all."""


class Lookups:
    """What one who asks may see; what has been read of a type is kept while a request is answered."""

    def __init__(self, service: QueryService) -> None:
        self._service = service
        self._fields: dict[str, dict[str, Path]] = {}

    async def types(self, selectors: Sequence[Selector]) -> list[str]:
        """Return the types that any of some selectors are about; without selectors all."""
        types = await self._service.types()
        if not selectors:
            return types
        wanted = {name for selector in selectors for name in selector.names(types)}
        return [type for type in types if type in wanted]

    async def labels(self, type: str) -> dict[str, Path]:
        """Return the fields of a type by the labels that stand for them; equal ones with a number."""
        if type not in self._fields:
            tallies = await self._sample(type, None, FIELDS)
            found: dict[str, Path] = {}
            for path in sorted(tallies.fields):
                found[numbered(label_of(field_text(path)), found)] = path
            self._fields[type] = found
        return self._fields[type]

    async def saved(self) -> Mapping[str, str]:
        """Return the texts of the saved names that one may ask for."""
        definitions = await self._service.definitions()
        run, restriction = self._service.context.scheduler.run, self._service.restriction
        return {
            name: definitions.texts[name]
            for name in await run(QueryCost(), askable, definitions, restriction)
        }

    async def saved_names(self, selectors: Sequence[Selector]) -> list[str]:
        """Return the saved names that any of some selectors are about; without selectors all.

        One with a matcher of another label is about none: a saved name is asked for alone.
        """
        names = [*await self.saved()]
        if not selectors:
            return names
        whole = [each for each in selectors if all(matcher.label == NAME for matcher in each.matchers)]
        wanted = {name for selector in whole for name in selector.names(names)}
        return [name for name in names if name in wanted]

    async def values(self, types: Iterable[str], label: str) -> set[str]:
        """Return the values of a label in some types, as text."""
        found: set[str] = set()
        for type in list(types)[:MOST_TYPES]:
            path = (await self.labels(type)).get(label)
            if path is not None:
                tally = (await self._sample(type, path, VALUES)).fields.get(path)
                values = [] if tally is None else tally.top(MOST_VALUES)
                found |= {label_value(value) for value, _ in values if value is not None}
        return found

    async def fields_of(self, query: str) -> dict[str, dict[str, Path]]:
        """Return the labels of the types within a query, for `field_of`."""
        there = set(await self._service.types())
        names = [name for name in dict.fromkeys(types_within(query)) if name in there]
        return {name: await self.labels(name) for name in names[:MOST_TYPES]}

    async def _sample(self, type: str, path: Path | None, bounds: SampleLimits) -> FieldTallies:
        tallies = FieldTallies(path)
        await read_sample(self._service, type, tallies, bounds)
        return tallies


def field_of(known: dict[str, dict[str, Path]], type: str, label: str) -> str:
    """Return the field that a label stands for; one that nobody has seen stands for itself."""
    path = known.get(type, {}).get(label)
    return label if path is None else field_text(path)
