"""Short ways to make events and to look into a store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cube.model.event import ABSENT, Event, EventId, id_key
from cube.model.made_id import make_id
from cube.model.tier import CACHED_TIERS, Span, Tier
from cube.store.ports import Revisions, Store

T0 = 1_311_033_600_000  # 2011-07-19T00:00Z, a Tuesday
WHOLE = Span(-62_135_596_800_000, 253_402_300_800_000)


def event(
    time: int = T0, id: EventId | None = None, data: Any = ABSENT, *, type: str = "test", timed: bool = True
) -> Event:
    return Event(type, time, make_id() if id is None else id, data, timed)


async def rows(
    store: Store,
    type: str = "test",
    span: Span = WHOLE,
    *,
    fields: Sequence[str] | None = None,
    newest_first: bool = False,
) -> list[tuple[int, EventId, Any]]:
    """All that a scan gives, as (time, id, data)."""
    found: list[tuple[int, EventId, Any]] = []
    async with store.events.read() as session:
        async for block in session.scan(type, span, fields, ids=True, newest_first=newest_first):
            assert block.ids is not None
            found += zip(block.times.tolist(), block.ids, block.data, strict=True)
    return found


async def data(store: Store, type: str = "test") -> dict[tuple[int, EventId], Any]:
    """The data of all events by the key of their ids."""
    return {id_key(id): shown for _, id, shown in await rows(store, type)}


async def revisions(store: Store, tier: Tier, type: str = "test", span: Span | None = None) -> Revisions:
    span = span or Span(tier.floor(T0) - 20 * tier.step, tier.floor(T0) + 400 * tier.step)
    async with store.events.read() as session:
        return await session.revisions(type, tier, span)


async def numbers(store: Store, type: str = "test") -> dict[int, Mapping[int, int]]:
    """The revisions around `T0` at every cached tier, by its step."""
    return {tier.step: dict((await revisions(store, tier, type)).numbers) for tier in CACHED_TIERS}


def changed(before: dict[int, Mapping[int, int]], after: dict[int, Mapping[int, int]]) -> dict[int, set[int]]:
    """The buckets whose revision differs, by step."""
    return {
        step: {bucket for bucket, number in after[step].items() if before[step].get(bucket) != number}
        for step in after
    }


def buckets(*times: int) -> dict[int, set[int]]:
    """The buckets that hold `times`, by step."""
    return {tier.step: {tier.floor(time) for time in times} for tier in CACHED_TIERS}
