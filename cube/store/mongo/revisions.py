"""Revisions: reading them, and raising them.

Raising adds a random integer from 1 to 2**32, so a number never comes back. They are 64-bit on the
server: overflow would take 2**31 raises of one bucket, a raise a second for 68 years.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any, NamedTuple

from bson import Int64
from pymongo import UpdateOne

from cube.model.tier import CACHED_TIERS, Span, Tier, are_cached_steps, cached_steps
from cube.store.bucket_revisions import NO_REVISIONS, BucketRevisions
from cube.store.mongo.calls import answered, fetched, repeated, upsert
from cube.store.mongo.layout import STATE, Document, Layout, chunk_id, chunks
from cube.store.mongo.single_command import update_at_once
from cube.store.ports import Revisions


class TypeState(NamedTuple):
    """What a type's state document says; ``complete``: the marker, for the tiers that there are."""

    complete: bool
    expired_before: int | None
    forgotten_before: int | None

    @classmethod
    def of(cls, document: Document) -> TypeState:
        """Read a state document; an empty one stands for none."""
        complete = bool(document.get("complete")) and are_cached_steps(document.get("tiers"))
        times = (document.get(name) for name in ("expired_before", "forgotten_before"))
        return cls(complete, *(None if time is None else int(time) for time in times))


async def read(
    layout: Layout,
    type: str,
    tier: Tier,
    span: Span,
    session: Any,
    max_time_ms: int | None,
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
    state = TypeState.of(found.pop(STATE, {}))
    foreign = type in layout.foreign or (type in layout.server.unbuilt and not state.complete)
    complete = state.complete and not foreign
    return Revisions(
        numbers=NO_REVISIONS if foreign else _numbers(tier, span, found),
        complete=complete,
        expired_before=state.expired_before,
        known=complete or await exists(layout, type, session),
        foreign=foreign,
        forgotten_before=state.forgotten_before,
    )


async def state(layout: Layout, type: str) -> TypeState:
    """Read a type's state."""
    found = await fetched(layout.revisions(type).find({"_id": STATE}))
    return TypeState.of(found[0] if found else {})


async def exists(layout: Layout, type: str, session: Any = None) -> bool:
    """Tell whether the database holds a collection of events of a type."""
    name = layout.events(type).name
    async with answered():
        return bool(await layout.database.list_collection_names(filter={"name": name}, session=session))


async def mark_complete(layout: Layout, type: str, complete: bool = True) -> None:
    """Write or take away the marker: a bucket without a revision has no events.

    What has expired by now may have been deleted before anybody raised it, so it is forgotten.
    """
    marked = {"complete": True, "tiers": cached_steps()}
    change: Document = {"$set": marked} if complete else {"$unset": {"complete": ""}}
    expired_before = (await state(layout, type)).expired_before if complete else None
    if expired_before is not None:
        change["$max"] = {"forgotten_before": Int64(expired_before)}
    await upsert(layout.revisions(type), [UpdateOne({"_id": STATE}, change, upsert=complete)])


async def advance(layout: Layout, type: str, field: str, before: int) -> None:
    """Advance a time of the state, ``expired_before`` or ``forgotten_before``; it never goes back."""
    change = {"$max": {field: Int64(before)}}
    await upsert(layout.revisions(type), [UpdateOne({"_id": STATE}, change, upsert=True)])


async def raise_times(layout: Layout, type: str, times: Iterable[int]) -> None:
    """Raise the buckets of all tiers that hold any of `times`: finest tier first, in one ordered bulk."""
    updates, collection = _raising(times), layout.revisions(type)

    async def write() -> None:
        """Raise; what is raised twice does no harm."""
        if not await update_at_once(layout, collection.name, updates):
            again = [UpdateOne(update["q"], update["u"], upsert=True) for update in updates]
            await collection.bulk_write(again, ordered=True)

    if updates:
        await repeated(write)


def _raising(times: Iterable[int]) -> list[Document]:
    """Return the updates that raise the buckets of some times, finest tier first, one a chunk."""
    updates: list[Document] = []
    starts = set(times)
    for tier in CACHED_TIERS:
        step, origin = tier.step, tier.origin
        starts = {start - (start - origin) % step for start in starts}
        by_chunk: dict[int, list[int]] = {}
        for chunk, place in map(tier.place, starts):
            by_chunk.setdefault(chunk, []).append(place)
        for chunk, places in sorted(by_chunk.items()):
            query = {"_id": chunk_id(tier, chunk)}
            updates.append({"q": query, "u": _increments(places), "upsert": True})
    return updates


async def raise_known(layout: Layout, type: str, span: Span) -> None:
    """Raise every bucket that has a revision and a part in a span: its events may be gone."""
    collection = layout.revisions(type)
    documents = await fetched(collection.find({"_id": {"$ne": STATE}}, {"_id": 1}))
    names = sorted(document["_id"] for document in documents)
    for tier in CACHED_TIERS:
        for name in names:
            step, _, chunk = name.partition(":")
            if step != str(tier.step):
                continue
            start = tier.chunk_start(int(chunk))
            if start >= span.stop or tier.chunk_start(int(chunk) + 1) <= span.start:
                continue
            within = range((span.start - start) // tier.step, -((start - span.stop) // tier.step))
            for document in await fetched(collection.find({"_id": name})):
                places = [place for place in document["r"] if int(place) in within]
                await upsert(collection, [UpdateOne({"_id": name}, _increments(places))] if places else ())


def _increments(places: Iterable[int | str]) -> Document:
    return {"$inc": {f"r.{place}": Int64(random.getrandbits(32) + 1) for place in places}}


def _numbers(tier: Tier, span: Span, found: dict[str, Document]) -> BucketRevisions:
    numbers: dict[int, int] = {}
    for chunk in chunks(tier, span):
        document = found.get(chunk_id(tier, chunk))
        start = tier.chunk_start(chunk)
        for place, number in document["r"].items() if document else ():
            bucket = start + int(place) * tier.step
            if span.start <= bucket < span.stop:
                numbers[bucket] = int(number)
    return BucketRevisions.of(numbers)
