"""Which columns a type has in SQL: the fields of its newest events, and those that statements met before.

A field's type is that of the newest events, made wider where a statement has met values of another; that
lasts as long as the day of these values is at the revision at which they were met.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final

from cube.columns.block import Block
from cube.model.tier import Span
from cube.process.threads import run_in_thread
from cube.store.ports import ReadSession
from cube.store.read_options import TimeSlice
from evaluator.sql.column_types import NOTHING, ColumnType, merged, type_of

SAMPLE_EVENTS: Final = 2_000
"""So many of a type's newest events are looked at."""

SAMPLE_BYTES: Final = 8 * 2**20
"""Or about so many bytes of them."""

MOST_FITTING: Final = 100_000
"""So many days of fields are remembered to hold nothing but what their columns can."""

MOST_COLUMNS: Final = 1_000
"""A table has no more columns."""

TIME, MILLISECONDS, ID = "time", "collector_tstamp", "id"
OWN: Final = (TIME, MILLISECONDS, ID)
"""The columns that every table has, before those of its fields."""


@dataclass(slots=True)
class KnownFields:
    """What is known of one type's fields; ``met``: a type, and the day and revision where it was met.

    ``fitting``: of a field and a day, at which revision of the day all of its values were of which type.
    """

    met: dict[str, tuple[ColumnType, int, int]] = field(default_factory=dict)
    fitting: dict[tuple[str, int], tuple[int, ColumnType]] = field(default_factory=dict)
    sampled: dict[str, ColumnType] = field(default_factory=dict)
    state: int = 0

    def types(self, days: Mapping[int, int] | None) -> dict[str, ColumnType]:
        """Return the type of each field, at the days' present revisions; None: they tell nothing."""
        for name, (_, day, number) in list(self.met.items()):
            if days is not None and days.get(day) != number:
                del self.met[name]
        found = dict(self.sampled)
        for name, (type, _, _) in self.met.items():
            found[name] = merged(found.get(name, NOTHING), type)
        return dict(list(found.items())[:MOST_COLUMNS])

    def meet(self, name: str, type: ColumnType, day: int, number: int) -> None:
        """Remember that a field has values of a type in a day."""
        known = self.met.get(name)
        self.met[name] = (type if known is None else merged(known[0], type), day, number)

    def fit(self, name: str, type: ColumnType, day: int, number: int) -> None:
        """Remember that a column of a type holds all values of a field in a day."""
        if len(self.fitting) >= MOST_FITTING:
            self.fitting.clear()
        self.fitting[name, day] = (number, type)

    def fits(self, name: str, type: ColumnType, day: int, number: int) -> bool:
        """Tell whether a column of a type is known to hold all values of a field in a day."""
        at, known = self.fitting.get((name, day), (None, NOTHING))
        return at == number and merged(type, known) == type


async def sample(
    session: ReadSession, time_slice: TimeSlice, type: str, span: Span, most: int
) -> dict[str, ColumnType]:
    """Return the types of the fields of a type's newest events in a span."""
    found: dict[str, ColumnType] = {}
    rows = size = 0
    scan: AsyncGenerator[Block, None] = session.scan(type, span, None, newest_first=True)
    async with aclosing(scan) as blocks:
        async for block in blocks:
            async with time_slice():
                await run_in_thread(_add, found, block.rows(0, most - rows).data)
            rows, size = rows + len(block), size + block.size
            if rows >= most or size >= SAMPLE_BYTES:
                break
    return found


def unique(names: Iterable[str], taken: Iterable[str] = OWN) -> dict[str, str]:
    """Return a name in SQL, where capitals do not count, for each of some: as it is, else with a number."""
    used, found = {name.casefold() for name in taken}, {}
    for name in names:
        own, number = name, 1
        while own.casefold() in used:
            number += 1
            own = f"{name}_{number}"
        used.add(own.casefold())
        found[name] = own
    return found


def _add(found: dict[str, ColumnType], data: Iterable[Any]) -> None:
    for each in data:
        if isinstance(each, dict):
            for name, value in each.items():
                known = found.get(name)
                if known is not None or len(found) < MOST_COLUMNS:
                    found[name] = merged(known or NOTHING, type_of(value))
