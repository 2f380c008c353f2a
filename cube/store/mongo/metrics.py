"""The cache of metrics: a port on MongoDB."""

from __future__ import annotations

import hashlib
import logging
import struct
from collections.abc import Mapping
from contextlib import nullcontext

from pymongo import UpdateOne
from pymongo.errors import BulkWriteError, PyMongoError

from cube.errors import Unavailable
from cube.model.tier import Span, Tier
from cube.store.mongo.faults import ThrottledLog, answered, fetched, only_duplicates, written
from cube.store.mongo.layout import Document, Layout, chunk_end, chunk_id, chunks
from cube.store.mongo.maintenance import delete_metrics, ensure
from cube.store.ports import CachedBucket, CacheKey, TimeSlice

CHUNK_BYTES = 1_000_000
_BUCKET_BYTES = 20  # a bucket's share of a document beside its content: revision, name, types, lengths
_REVISION = struct.Struct(">q")

_log = logging.getLogger(__name__)


class MongoMetrics:
    """A `MetricStore` that any number of evaluators share."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._begun: set[str] = set()
        self._errors = ThrottledLog(_log)

    async def read(self, key: CacheKey, tier: Tier, span: Span) -> Mapping[int, CachedBucket]:
        ids = {_id(key, tier, chunk): tier.chunk_start(chunk) for chunk in chunks(tier, span)}
        buckets: dict[int, CachedBucket] = {}
        for document in await self._find(key, list(ids)):
            start = ids[document["_id"]]
            for index, packed in document["c"].items():
                bucket = start + int(index) * tier.step
                if span.start <= bucket < span.stop:
                    buckets[bucket] = CachedBucket(_REVISION.unpack_from(packed)[0], packed[_REVISION.size :])
        return buckets

    async def save(
        self,
        key: CacheKey,
        tier: Tier,
        buckets: Mapping[int, CachedBucket],
        time_slice: TimeSlice = nullcontext,
    ) -> None:
        """Merge buckets into what is there; a chunk that would be over `CHUNK_BYTES` is left as it was.

        A server that refuses, or a user who only reads, is said in the log: the metrics are not cached.
        Two evaluators that merge at once may pass that bound, at most twice over; the server's is 16 MB.
        """
        if not buckets:
            return
        try:
            await self._save(key, tier, buckets)
        except (Unavailable, PyMongoError) as error:
            # What may not be kept, or cannot be now, was computed all the same.
            self._errors.error(f"metrics of type {key.type} are not cached ({error.__class__.__name__})")

    async def _save(self, key: CacheKey, tier: Tier, buckets: Mapping[int, CachedBucket]) -> None:
        await self.begin(key.type)
        packed = _packed(key, tier, buckets)
        there = {document["_id"]: document["c"] for document in await self._find(key, list(packed))}
        ends = {_id(key, tier, chunk): chunk_end(tier, chunk) for chunk in {*map(tier.chunk, buckets)}}
        updates = [
            UpdateOne(
                {"_id": name, "k": _text(key)},
                {"$set": {"e": ends[name], **{f"c.{index}": content for index, content in new.items()}}},
                upsert=True,
            )
            for name, new in packed.items()
            if _size({**there.get(name, {}), **new}) + len(_text(key)) <= CHUNK_BYTES
        ]
        if updates:
            await self._merge(key.type, updates)

    async def delete(self, before: int) -> int:
        """Delete all buckets that end before `before`, in slices."""
        return await delete_metrics(self._layout, before)

    async def begin(self, type: str) -> None:
        """Make the collection of a type ready, once in this process.

        A cache of another make is dropped: Square's is capped, its ids are objects.
        """
        if type in self._begun:
            return
        collection = self._layout.metrics(type)
        async with answered():
            found = await self._layout.database.command("listCollections", filter={"name": collection.name})
        square = await fetched(collection.find({"_id": {"$type": "object"}}, {"_id": 1}, limit=1))
        capped = any(one.get("options", {}).get("capped") for one in found["cursor"]["firstBatch"])
        if capped or square:
            _log.warning("%s is a cache of another format: dropping it and recreating it", collection.name)
            async with answered():
                await self._layout.database.drop_collection(collection.name)
        await ensure(collection, "e")
        self._begun.add(type)

    async def _find(self, key: CacheKey, ids: list[str]) -> list[Document]:
        filter = {"_id": {"$in": ids}, "k": _text(key)}
        return await fetched(self._layout.metrics(key.type).find(filter, {"c": 1}))

    async def _merge(self, type: str, updates: list[UpdateOne]) -> None:
        """Write. Where a first upsert collides with another's, or a hash with another key's, it is a miss."""
        try:
            async with written():
                await self._layout.metrics(type).bulk_write(updates, ordered=False)
        except BulkWriteError as error:
            if only_duplicates(error) is None:
                raise


def _text(key: CacheKey) -> str:
    return f"{key.kind}|{key.semantics}|{key.text}"


def _id(key: CacheKey, tier: Tier, chunk: int) -> str:
    digest = hashlib.sha256(_text(key).encode()).hexdigest()[:32]
    return f"{digest}:{chunk_id(tier, chunk)}"


def _packed(key: CacheKey, tier: Tier, buckets: Mapping[int, CachedBucket]) -> dict[str, dict[str, bytes]]:
    """Sort buckets into their documents: ``_id`` -> place -> revision and content."""
    packed: dict[str, dict[str, bytes]] = {}
    ids: dict[int, str] = {}
    for bucket, cached in buckets.items():
        chunk, index = tier.place(bucket)
        if chunk not in ids:
            ids[chunk] = _id(key, tier, chunk)
        packed.setdefault(ids[chunk], {})[str(index)] = _REVISION.pack(cached.revision) + cached.content
    return packed


def _size(buckets: Mapping[str, bytes]) -> int:
    return sum(map(len, buckets.values())) + _BUCKET_BYTES * len(buckets)
