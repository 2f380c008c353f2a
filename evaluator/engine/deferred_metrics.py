"""Saving computed metrics after the answer: many together, in the background.

Sixty charts that compute a bucket each would write sixty transactions, one after another, before they are
answered. A metric carries the revision that was read before its events, whenever it is written; one that is
lost on the way is computed again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, Sequence
from contextlib import nullcontext
from contextvars import Context
from functools import partial
from operator import attrgetter
from typing import TypeAlias

import numpy as np

from cube.columns.buckets import Times
from cube.errors import Unavailable
from cube.model.tier import Span, Tier
from cube.process.threads import run_by_size, run_in_thread
from cube.store.bucket_revisions import BucketRevisions
from cube.store.metric_ports import CachedBucket, CacheKey, MetricSave, MetricStore
from cube.store.read_options import TimeSlice
from evaluator.engine.bucket_values import BucketValues
from evaluator.engine.value_codec import written_bytes

DELAY_SECONDS = 0.2
"""So long what was computed waits for others to be written with."""

MOST_BYTES = 16 * 1024 * 1024
"""About so much waits at most; who computes more meanwhile saves it before it goes on."""

BATCH_BUCKETS = 5_000
"""Buckets of one transaction, at least: some milliseconds."""

FEW_BUCKETS = 400
"""The contents of so many buckets that wait are made without a hop between threads."""

CLOSE_SECONDS = 2.0
"""How long the end of the process waits for what is not written yet."""

_BUCKET_BYTES = 150  # about what one takes beside its content

_Buckets: TypeAlias = "Mapping[int, CachedBucket]"
_Held: TypeAlias = "dict[tuple[CacheKey, Tier], list[_Buckets]]"
"""What was saved under a key, in that order: of a bucket that is in several the last counts."""

_content = attrgetter("content")
_cached = partial(tuple.__new__, CachedBucket)  # makes thousands of them, without a call in Python for each

_log = logging.getLogger(__name__)


class UnsavedBuckets(Mapping[int, CachedBucket]):
    """Values with the revisions that they were computed at, as what is cached: made where that is looked at.

    ``keys``: under which bucket each is kept. ``most``: larger contents are not; None keeps all.
    """

    def __init__(self, keys: Times, revisions: Times, values: BucketValues, most: int | None = None) -> None:
        self._keys = keys
        self._revisions = revisions
        self._values = values
        self._most = most
        self._made: dict[int, CachedBucket] | None = None
        self.bytes = _content_bytes(values)
        """About what the contents take, made or not."""

    def __len__(self) -> int:
        return len(self._keys) if self._most is None else len(self._buckets)

    def __iter__(self) -> Iterator[int]:
        return iter(self._buckets)

    def __getitem__(self, bucket: int) -> CachedBucket:
        return self._buckets[bucket]

    def keys(self) -> KeysView[int]:
        return self._buckets.keys() if self._most is not None else dict.fromkeys(self._keys.tolist()).keys()

    def items(self) -> ItemsView[int, CachedBucket]:
        return self._buckets.items()

    @property
    def _buckets(self) -> dict[int, CachedBucket]:
        if self._made is None:
            pairs = zip(self._revisions.tolist(), self._values.contents().values(), strict=True)
            made = zip(self._keys.tolist(), map(_cached, pairs), strict=True)
            most = self._most
            self._made = {at: one for at, one in made if most is None or len(one.content) <= most}
        return self._made


def unsaved(
    gaps: BucketRevisions, values: BucketValues, tier: Tier, most: int | None = None
) -> UnsavedBuckets:
    """Return values as what is to be cached in buckets of a tier, each with the revision of its gap."""
    keys = values.buckets - (values.buckets - tier.origin) % tier.step
    return UnsavedBuckets(keys, gaps.at(values.buckets), values, most)


class DeferredMetrics:
    """A `MetricStore` before another one: what is saved is found at once, and written a while later.

    ``time_slice``: of what is written, in the order in which it was computed. ``delay_seconds``: None writes
    nothing but at `flush` and `close`.
    """

    def __init__(
        self,
        metrics: MetricStore,
        time_slice: TimeSlice = nullcontext,
        *,
        delay_seconds: float | None = DELAY_SECONDS,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self.bytes = 0
        self._metrics = metrics
        self._time_slice = time_slice
        self._delay_seconds = delay_seconds
        self._most_bytes = most_bytes
        self._waiting: _Held = {}
        self._writing: _Held = {}
        self._lock = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    async def read(self, key: CacheKey, tier: Tier, span: Span) -> Mapping[int, CachedBucket]:
        """Return the cached buckets of a span, those that are not written yet among them."""
        name = (key, tier)
        # Looked at before the store: what is written meanwhile may not be there yet.
        saved = [*self._writing.get(name, ()), *self._waiting.get(name, ())]
        found = await self._metrics.read(key, tier, span)
        if not saved:
            return found
        held = await run_by_size(sum(map(len, saved)), FEW_BUCKETS, _merged, saved)
        return {**found, **{bucket: cached for bucket, cached in held.items() if bucket in span}}

    async def save(
        self,
        key: CacheKey,
        tier: Tier,
        buckets: Mapping[int, CachedBucket],
        time_slice: TimeSlice = nullcontext,
    ) -> None:
        """Keep buckets until they are written; where too much waits, write them at once."""
        if self.bytes >= self._most_bytes:
            await self._metrics.save(key, tier, buckets, time_slice)
        elif buckets:
            self._hold((key, tier), buckets)
            if self._task is None and self._delay_seconds is not None:
                work = self._run(self._delay_seconds)
                self._task = asyncio.create_task(work, name="saving metrics", context=Context())

    async def save_all(self, saves: Sequence[MetricSave], time_slice: TimeSlice = nullcontext) -> None:
        """Do several saves."""
        for save in saves:
            await self.save(*save, time_slice)

    async def delete(self, before: int) -> int:
        return await self._metrics.delete(before)

    async def flush(self) -> None:
        """Write all that waits."""
        async with self._lock:
            while self._waiting:
                self._writing = self._next_batch()
                try:
                    await self._write(self._writing)
                finally:
                    self.bytes -= sum(_size(each) for saved in self._writing.values() for each in saved)
                    self._writing = {}

    async def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Write what waits, if that takes no longer than so many seconds; the rest is computed again."""
        try:
            async with asyncio.timeout(seconds):
                await self.flush()
        except TimeoutError:
            _log.info("computed metrics that were not saved in time will be computed again")
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def _hold(self, name: tuple[CacheKey, Tier], buckets: Mapping[int, CachedBucket]) -> None:
        waiting = self._waiting.get(name, ())
        kept = [each for each in waiting if not each.keys() <= buckets.keys()]
        self._waiting[name] = [*kept, buckets]
        self.bytes += sum(map(_size, kept)) + _size(buckets) - sum(map(_size, waiting))

    async def _run(self, delay_seconds: float) -> None:
        try:
            while self._waiting:
                await asyncio.sleep(delay_seconds)
                await self.flush()
        finally:
            self._task = None

    def _next_batch(self) -> _Held:
        batch: _Held = {}
        count = 0
        while self._waiting and count < BATCH_BUCKETS:
            name = next(iter(self._waiting))
            batch[name] = self._waiting.pop(name)
            count += sum(map(len, batch[name]))
        return batch

    async def _write(self, batch: _Held) -> None:
        try:
            async with self._time_slice():
                saves = await run_in_thread(_saves, batch)
            await self._metrics.save_all(saves, self._time_slice)
        except Unavailable as error:
            _log.debug("computed metrics are not saved: %s", error.message)
        except Exception:
            _log.exception("saving computed metrics met a fault")


def _saves(batch: _Held) -> list[MetricSave]:
    """Make the contents of what was computed, all that waits under a key as one."""
    return [MetricSave(key, tier, _merged(saved)) for (key, tier), saved in batch.items()]


def _merged(saved: Iterable[_Buckets]) -> dict[int, CachedBucket]:
    merged: dict[int, CachedBucket] = {}
    for buckets in saved:
        merged.update(buckets.items())
    return merged


def _content_bytes(values: BucketValues) -> int:
    """Return about what the contents of values take: each has the names of its groups."""
    if values.groups is None:
        return values.values.nbytes
    labels = values.groups.labels
    counts = np.bincount(labels.codes)
    used = np.flatnonzero(counts).tolist()
    names = sum(int(counts[code]) * written_bytes(labels.keys[code]) for code in used)
    return values.values.nbytes + names


def _size(buckets: _Buckets) -> int:
    contents = (
        buckets.bytes
        if isinstance(buckets, UnsavedBuckets)
        else sum(map(len, map(_content, buckets.values())))
    )
    return contents + _BUCKET_BYTES * len(buckets)
