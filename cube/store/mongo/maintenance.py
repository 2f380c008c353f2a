"""What is done to a type's collections beside its saves and scans.

They are made ready: indexes, the marker of a new type, the revisions of one that another tool filled. What
has expired is deleted, a slice at a time: never by an index that the server expires documents by, which
knows nothing of ``expired_before``; that must have been advanced, and for a while, before an event may go.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pymongo
from bson.datetime_ms import DatetimeMS
from pymongo import DeleteMany, UpdateMany, UpdateOne
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import OperationFailure

from cube.model.event import is_type
from cube.model.tier import CACHED_TIERS, EVER, TIERS, Span, Tier
from cube.store.mongo import revisions
from cube.store.mongo.calls import answered, fetched, upsert, written
from cube.store.mongo.layout import (
    FORMAT,
    METRICS_SUFFIX,
    MILLISECONDS,
    STATE,
    Document,
    Layout,
    chunk_end,
    chunk_id,
)
from cube.store.mongo.session import MongoSession, indexed
from cube.store.read_options import UNBOUNDED
from cube.store.selected_places import live_span

SLICE_EVENTS = 5_000
SLICE_CHUNKS = 1_000

BUILD_SECONDS = 7 * 86_400.0
"""A build takes as long as it takes: hundreds of millions of events are hours."""

_log = logging.getLogger(__name__)

_NAMESPACE_EXISTS = 48  # another process made the collection at the same moment
_ANOTHER_LIKE_IT = (85, 86)  # an index on this key exists with other options: it serves as well
_ATTEMPTS = 5


async def begin(layout: Layout, type: str, state: revisions.TypeState) -> bool:
    """Prepare the first save of this process into a type, whose state was just read.

    Returns whether its time index is there for certain.

    Whoever finds no events marks the type complete *before* writing any. Another Cube process that
    writes meanwhile raises what it writes; what another tool wrote before the second look is raised
    here; what it writes after that makes the type a foreign one, which the settings must say.
    """
    version = UpdateOne({"_id": "format"}, {"$setOnInsert": {"version": FORMAT}}, upsert=True)
    await upsert(layout.own("format"), [version])
    if state.complete or type in layout.foreign or not await _is_empty(layout, type):
        return False
    await ensure(layout.events(type), "t")
    await revisions.mark_complete(layout, type)
    if not await _is_empty(layout, type):
        await raise_all(layout, type)
    return True


async def index(layout: Layout, type: str) -> None:
    """Make a type's time index unless it is there; that of a large collection takes its time, and is said."""
    collection = layout.events(type)
    if await revisions.exists(layout, type) and "t" not in await indexed(collection):
        _log.info("building the index on t of %s; it goes on in the server if we end", collection.name)
        await ensure(collection, "t")
        _log.info("built the index on t of %s", collection.name)


async def build(layout: Layout, type: str) -> None:
    """Raise every bucket of a type, then mark it complete; nothing to do if it is, or is foreign."""
    if type in layout.foreign or (await revisions.state(layout, type)).complete:
        return
    if await revisions.exists(layout, type):
        await raise_all(layout, type)
        await revisions.mark_complete(layout, type)


async def raise_all(layout: Layout, type: str, span: Span = EVER) -> None:
    """Raise every bucket of a span that has a revision or an event, reading nothing but times.

    Not those that have expired: nobody could compute their metrics again.
    """
    await ensure(layout.events(type), "t")
    expired_before = (await revisions.state(layout, type)).expired_before
    span = live_span(span, expired_before)
    await revisions.raise_known(layout, type, span)
    session = MongoSession(layout, None, UNBOUNDED)
    async for block in session.scan(type, span, (), batch_events=20_000):
        await revisions.raise_times(layout, type, set(block.times.tolist()))


async def ensure(collection: AsyncCollection[Any], *fields: str, expire_seconds: int | None = None) -> None:
    """Make the ascending index on some fields, and the collection, unless they are there.

    ``expire_seconds``: the server deletes what is so much older than the date in the field.
    """
    expiry: dict[str, Any] = {} if expire_seconds is None else {"expireAfterSeconds": expire_seconds}
    for attempt in range(_ATTEMPTS):
        try:
            async with answered(BUILD_SECONDS):
                with pymongo.timeout(BUILD_SECONDS):  # in place of the socket's own
                    await collection.create_index([(field, 1) for field in fields], **expiry)
            return
        except OperationFailure as error:
            if error.code in _ANOTHER_LIKE_IT:
                return
            if error.code != _NAMESPACE_EXISTS or attempt == _ATTEMPTS - 1:
                raise


async def delete_events(layout: Layout, type: str, before: int) -> int:
    """Delete a type's expired events older than a time.

    A slice is the span of the oldest `SLICE_EVENTS`. One that another process has just moved to a live
    time is not in it: the server looks at the time of what it deletes.
    """
    expired_before = (await revisions.state(layout, type)).expired_before
    if expired_before is None or not await revisions.exists(layout, type):
        return 0
    collection = layout.events(type)
    await ensure(collection, "t")
    deleted, older = 0, {"$lt": DatetimeMS(min(before, expired_before))}
    exact = collection.with_options(codec_options=MILLISECONDS)
    while last := await fetched(
        exact.find({"t": older}, {"_id": 0, "t": 1}, sort=[("t", 1)], skip=SLICE_EVENTS, limit=1)
    ):
        deleted += await _delete(collection, {"t": {"$lte": last[0]["t"]}})
    return deleted + await _delete(collection, {"t": older})


async def delete_revisions(layout: Layout, type: str, before: int) -> None:
    """Delete a type's forgotten revisions, as whole chunks that end before a time."""
    forgotten_before = (await revisions.state(layout, type)).forgotten_before
    if forgotten_before is None:
        return
    end = min(before, forgotten_before)
    found = await fetched(layout.revisions(type).find({"_id": {"$ne": STATE}}, {"_id": 1}))
    names = [document["_id"] for document in found if _ends_before(document["_id"], end)]
    await _delete_ids(layout.revisions(type), names)


async def delete_metrics(layout: Layout, before: int) -> int:
    """Delete the cached buckets of all types that end before a time; return of how many chunks."""
    async with answered():
        names = await layout.database.list_collection_names()
    types = [name.removesuffix(METRICS_SUFFIX) for name in names if name.endswith(METRICS_SUFFIX)]
    return sum([await _delete_metrics(layout.metrics(type), before) for type in types if is_type(type)])


async def _is_empty(layout: Layout, type: str) -> bool:
    return not await fetched(layout.events(type).find({}, {"_id": 1}, limit=1))


async def _delete_metrics(collection: AsyncCollection[Document], before: int) -> int:
    deleted, old = 0, {"e": {"$lte": DatetimeMS(before)}}
    while True:
        found = await fetched(collection.find(old, {"_id": 1}, limit=SLICE_CHUNKS))
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
    chunk, count = tier.place(before)
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
