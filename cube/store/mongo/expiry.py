"""Deleting what has expired, a slice at a time.

Never by an index that the server expires documents by: it knows nothing of ``expired_before``, which
must have been advanced, and for a while, before an event may go.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence

from bson.datetime_ms import DatetimeMS
from pymongo import DeleteMany, UpdateMany
from pymongo.asynchronous.collection import AsyncCollection

from cube.model.event import is_type
from cube.model.tier import CACHED_TIERS, TIERS, Tier
from cube.store.mongo import revisions
from cube.store.mongo.building import ensure
from cube.store.mongo.faults import answered, written
from cube.store.mongo.layout import (
    METRICS_SUFFIX,
    MILLISECONDS,
    STATE,
    Document,
    Layout,
    chunk_end,
    chunk_id,
    place,
)

SLICE_EVENTS = 5_000
SLICE_CHUNKS = 1_000


async def delete_events(layout: Layout, type: str, before: int) -> int:
    """Delete a type's expired events older than a time.

    A slice is the span of the oldest `SLICE_EVENTS`. One that another process has just moved to a live
    time is not in it: the server looks at the time of what it deletes.
    """
    expired_before = (await revisions.state(layout, type)).get("expired_before")
    if expired_before is None or not await revisions.exists(layout, type):
        return 0
    await ensure(layout.events(type), "t")
    end = min(before, int(expired_before))
    deleted = 0
    while (last := await _last_of_slice(layout, type, end)) is not None:
        deleted += await _delete(layout.events(type), {"t": {"$lte": DatetimeMS(last)}})
    return deleted + await _delete(layout.events(type), {"t": {"$lt": DatetimeMS(end)}})


async def delete_revisions(layout: Layout, type: str, before: int) -> None:
    """Delete a type's forgotten revisions, as whole chunks that end before a time."""
    forgotten_before = (await revisions.state(layout, type)).get("forgotten_before")
    if forgotten_before is None:
        return
    end = min(before, int(forgotten_before))
    async with answered():
        found = await layout.revisions(type).find({"_id": {"$ne": STATE}}, {"_id": 1}).to_list(None)
    names = [document["_id"] for document in found if _ends_before(document["_id"], end)]
    await _delete_ids(layout.revisions(type), names)


async def delete_metrics(layout: Layout, before: int) -> int:
    """Delete the cached buckets of all types that end before a time; return of how many chunks."""
    async with answered():
        names = await layout.database.list_collection_names()
    types = [name.removesuffix(METRICS_SUFFIX) for name in names if name.endswith(METRICS_SUFFIX)]
    return sum([await _delete_metrics(layout.metrics(type), before) for type in types if is_type(type)])


async def _last_of_slice(layout: Layout, type: str, end: int) -> int | None:
    """Return the time of the event number `SLICE_EVENTS` before `end`; None where there are fewer."""
    collection = layout.events(type).with_options(codec_options=MILLISECONDS)
    async with answered():
        found = await collection.find(
            {"t": {"$lt": DatetimeMS(end)}}, {"_id": 0, "t": 1}, sort=[("t", 1)], skip=SLICE_EVENTS, limit=1
        ).to_list(None)
    return int(found[0]["t"]) if found else None


async def _delete_metrics(collection: AsyncCollection[Document], before: int) -> int:
    deleted = 0
    while True:
        async with answered():
            found = await collection.find(
                {"e": {"$lte": DatetimeMS(before)}}, {"_id": 1}, limit=SLICE_CHUNKS
            ).to_list(None)
        deleted += await _delete_ids(collection, [document["_id"] for document in found])
        if len(found) < SLICE_CHUNKS:
            break
    trims = [trim for tier in CACHED_TIERS for trim in _trims(tier, before)]
    if trims:
        async with written():
            await collection.bulk_write(trims, ordered=False)
    return deleted


def _trims(tier: Tier, before: int) -> Iterator[UpdateMany]:
    """Take the old buckets out of a tier's chunks that a time falls into, if there can be any."""
    chunk, count = place(tier, before)
    if count:
        filter = {"e": chunk_end(tier, chunk), "_id": {"$regex": f":{chunk_id(tier, chunk)}$"}}
        yield UpdateMany(filter, {"$unset": {f"c.{index}": "" for index in range(count)}})


def _ends_before(name: str, end: int) -> bool:
    step, _, chunk = name.partition(":")
    return TIERS[int(step)].chunk_start(int(chunk) + 1) <= end


async def _delete_ids(collection: AsyncCollection[Document], ids: Sequence[object]) -> int:
    deleted = 0
    for position in range(0, len(ids), SLICE_CHUNKS):
        deleted += await _delete(collection, {"_id": {"$in": ids[position : position + SLICE_CHUNKS]}})
    return deleted


async def _delete(collection: AsyncCollection[Document], filter: Document) -> int:
    """Delete what matches, then pause for as long as that took, so that others get their turn."""
    began = time.monotonic()
    async with written():
        result = await collection.bulk_write([DeleteMany(filter)])
    await asyncio.sleep(time.monotonic() - began)
    return result.deleted_count
