"""Revisions: reading them, and raising them.

Raising adds a random integer from 1 to 2**32, so a number never comes back. They are 64-bit on the
server: overflow would take 2**31 raises of one bucket, a raise a second for 68 years.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import Any

from bson import Int64
from pymongo import UpdateOne

from cube.model.tier import CACHED_TIERS, Span, Tier, are_cached_steps, cached_steps
from cube.store.mongo.faults import answered, upsert
from cube.store.mongo.layout import STATE, Document, Layout, by_chunk, chunk_id, chunks
from cube.store.ports import Revisions


async def read(
    layout: Layout,
    type: str,
    tier: Tier,
    span: Span,
    session: Any = None,
    *,
    max_time_ms: int | None = None,
) -> Revisions:
    """Read the state and the revisions of an aligned span in one find.

    Of a foreign type nothing is known, so there are no numbers and no marker.
    """
    wanted = [STATE, *(chunk_id(tier, chunk) for chunk in chunks(tier, span))]
    async with answered():
        cursor = layout.revisions(type, session).find(
            {"_id": {"$in": wanted}}, session=session, max_time_ms=max_time_ms
        )
        found = {document.pop("_id"): document for document in await cursor.to_list(None)}
    layout.server.follow(session)
    state = found.pop(STATE, {})
    complete = is_complete(state)
    foreign = type in layout.foreign or (type in layout.server.unbuilt and not complete)
    complete = complete and not foreign
    return Revisions(
        numbers={} if foreign else _numbers(tier, span, found),
        complete=complete,
        expired_before=_plain(state.get("expired_before")),
        known=complete or await exists(layout, type, session),
        foreign=foreign,
        forgotten_before=_plain(state.get("forgotten_before")),
    )


async def state(layout: Layout, type: str) -> Document:
    """Read a type's state document; empty where it has none."""
    async with answered():
        found = await layout.revisions(type).find({"_id": STATE}).to_list(None)
    return found[0] if found else {}


async def exists(layout: Layout, type: str, session: Any = None) -> bool:
    """Tell whether the database holds a collection of events of a type."""
    name = layout.events(type).name
    async with answered():
        return bool(await layout.database.list_collection_names(filter={"name": name}, session=session))


def is_complete(state: Document) -> bool:
    """Tell whether a type's state has the marker, for the tiers that there are."""
    return bool(state.get("complete")) and are_cached_steps(state.get("tiers"))


async def mark_complete(layout: Layout, type: str, complete: bool = True) -> None:
    """Write or take away the marker: a bucket without a revision has no events.

    What has expired by now may have been deleted before anybody raised it, so it is forgotten.
    """
    marked = {"complete": True, "tiers": cached_steps()}
    change: Document = {"$set": marked} if complete else {"$unset": {"complete": ""}}
    expired_before = (await state(layout, type)).get("expired_before") if complete else None
    if expired_before is not None:
        change["$max"] = {"forgotten_before": expired_before}
    await _write(layout, type, [UpdateOne({"_id": STATE}, change, upsert=complete)])


async def advance(layout: Layout, type: str, field: str, before: int) -> None:
    """Advance a time of the state, ``expired_before`` or ``forgotten_before``; it never goes back."""
    await _write(layout, type, [UpdateOne({"_id": STATE}, {"$max": {field: Int64(before)}}, upsert=True)])


async def raise_times(layout: Layout, type: str, times: Iterable[int]) -> None:
    """Raise the buckets of all tiers that hold any of `times`: finest tier first, in one ordered bulk."""
    await _write(layout, type, raising(times))


def raising(times: Iterable[int]) -> list[UpdateOne]:
    """Return the updates that raise the buckets of some times, finest tier first, one a chunk."""
    updates: list[UpdateOne] = []
    starts = set(times)
    for tier in CACHED_TIERS:
        step, origin = tier.step, tier.origin
        starts = {start - (start - origin) % step for start in starts}
        for chunk, places in sorted(by_chunk(tier, starts).items()):
            change = {f"r.{place}": Int64(random.getrandbits(32) + 1) for place in places}
            updates.append(UpdateOne({"_id": chunk_id(tier, chunk)}, {"$inc": change}, upsert=True))
    return updates


async def raise_known(layout: Layout, type: str, live: int) -> None:
    """Raise every bucket that has a revision and ends after `live`: its events may be gone."""
    ids = {chunk_id(tier, 0).partition(":")[0]: tier for tier in CACHED_TIERS}
    async with answered():
        documents = await layout.revisions(type).find({"_id": {"$ne": STATE}}, {"_id": 1}).to_list(None)
    names = {document["_id"] for document in documents}
    for tier in CACHED_TIERS:
        for name in sorted(name for name in names if ids.get(name.partition(":")[0]) is tier):
            start = tier.chunk_start(int(name.partition(":")[2]))
            await _raise_chunk(layout, type, name, first=(live - start) // tier.step)


async def _raise_chunk(layout: Layout, type: str, name: str, first: int) -> None:
    """Raise the buckets of a chunk from the place ``first`` on."""
    async with answered():
        found = await layout.revisions(type).find({"_id": name}).to_list(None)
    change = {
        f"r.{place}": Int64(random.getrandbits(32) + 1)
        for document in found
        for place in document["r"]
        if int(place) >= first
    }
    if change:
        await _write(layout, type, [UpdateOne({"_id": name}, {"$inc": change})])


async def _write(layout: Layout, type: str, updates: Sequence[UpdateOne]) -> None:
    if updates:
        await upsert(layout.revisions(type), updates)


def _numbers(tier: Tier, span: Span, found: dict[str, Document]) -> dict[int, int]:
    numbers: dict[int, int] = {}
    for chunk in chunks(tier, span):
        document = found.get(chunk_id(tier, chunk))
        start = tier.chunk_start(chunk)
        for place, number in document["r"].items() if document else ():
            bucket = start + int(place) * tier.step
            if span.start <= bucket < span.stop:
                numbers[bucket] = int(number)
    return numbers


def _plain(number: Any) -> int | None:
    return None if number is None else int(number)
