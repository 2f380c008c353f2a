"""The cache of metrics: a port on MongoDB."""

from __future__ import annotations

import hashlib
import logging
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import NamedTuple

from bson.datetime_ms import DatetimeMS
from pymongo import UpdateOne
from pymongo.errors import BulkWriteError, PyMongoError

from cube.errors import Unavailable
from cube.model.tier import Span, Tier
from cube.store.metric_ports import CachedBucket, CacheKey, MetricSave
from cube.store.mongo.calls import answered, fetched, written
from cube.store.mongo.faults import only_duplicates
from cube.store.mongo.layout import Document, Layout, chunk_end, chunk_id, chunks
from cube.store.mongo.maintenance import delete_metrics, ensure
from cube.store.mongo.throttled_log import ThrottledLog
from cube.store.read_options import TimeSlice

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
        for document in await self._find(key.type, dict.fromkeys(ids, _text(key))):
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
        await self.save_all((MetricSave(key, tier, buckets),), time_slice)

    async def save_all(self, saves: Sequence[MetricSave], time_slice: TimeSlice = nullcontext) -> None:
        """Do several saves, those of one type with one find and one write."""
        by_type: dict[str, list[MetricSave]] = {}
        for save in saves:
            if save.buckets:
                by_type.setdefault(save.key.type, []).append(save)
        for type, some in by_type.items():
            try:
                await self._save(type, some)
            except (Unavailable, PyMongoError) as error:
                # What may not be kept, or cannot be now, was computed all the same.
                self._errors.error(f"metrics of type {type} are not cached ({error.__class__.__name__})")

    async def _save(self, type: str, saves: Sequence[MetricSave]) -> None:
        await self.begin(type)
        packed = [chunk for save in saves for chunk in _packed(save)]
        texts = {chunk.id: chunk.text for chunk in packed}
        there = {document["_id"]: document["c"] for document in await self._find(type, texts)}
        updates = [
            UpdateOne(
                {"_id": chunk.id, "k": chunk.text},
                {"$set": {"e": chunk.end, **{f"c.{place}": new for place, new in chunk.buckets.items()}}},
                upsert=True,
            )
            for chunk in packed
            if _size({**there.get(chunk.id, {}), **chunk.buckets}) + len(chunk.text) <= CHUNK_BYTES
        ]
        if updates:
            await self._merge(type, updates)

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

    async def _find(self, type: str, texts: Mapping[str, str]) -> list[Document]:
        """Find the documents of some ids that are of the right keys: ``_id`` -> its key's text."""
        filter = {"_id": {"$in": list(texts)}, "k": {"$in": list(dict.fromkeys(texts.values()))}}
        found = await fetched(self._layout.metrics(type).find(filter, {"k": 1, "c": 1}))
        return [document for document in found if document["k"] == texts[document["_id"]]]

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


class _Chunk(NamedTuple):
    """What is to be merged into one document: place -> revision and content."""

    id: str
    text: str
    end: DatetimeMS
    buckets: dict[str, bytes]


def _packed(save: MetricSave) -> Iterator[_Chunk]:
    """Sort buckets into their documents."""
    key, tier, buckets = save
    packed: dict[int, dict[str, bytes]] = {}
    for bucket, cached in buckets.items():
        chunk, place = tier.place(bucket)
        packed.setdefault(chunk, {})[str(place)] = _REVISION.pack(cached.revision) + cached.content
    text = _text(key)
    for chunk, some in packed.items():
        yield _Chunk(_id(key, tier, chunk), text, chunk_end(tier, chunk), some)


def _size(buckets: Mapping[str, bytes]) -> int:
    return sum(map(len, buckets.values())) + _BUCKET_BYTES * len(buckets)
