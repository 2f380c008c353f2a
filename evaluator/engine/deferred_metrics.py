"""Saving computed metrics after the answer: many together, in the background.

Sixty charts that compute a bucket each would write sixty transactions, one after another, before they are
answered. A metric carries the revision that was read before its events, whenever it is written; one that is
lost on the way is computed again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from contextvars import Context
from operator import attrgetter
from typing import TypeAlias

from cube.errors import Unavailable
from cube.model.tier import Span, Tier
from cube.store.ports import CachedBucket, CacheKey, MetricSave, MetricStore, TimeSlice

DELAY_SECONDS = 0.2
"""So long what was computed waits for others to be written with."""

MOST_BYTES = 16 * 1024 * 1024
"""About so much waits at most; who computes more meanwhile saves it before it goes on."""

BATCH_BUCKETS = 5_000
"""Buckets of one transaction, at least: some milliseconds."""

CLOSE_SECONDS = 2.0
"""How long the end of the process waits for what is not written yet."""

_BUCKET_BYTES = 150  # about what one takes beside its content

_Held: TypeAlias = "dict[tuple[CacheKey, Tier], dict[int, CachedBucket]]"

_content = attrgetter("content")

_log = logging.getLogger(__name__)


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
        held = {**self._writing.get(name, {}), **self._waiting.get(name, {})}
        found = await self._metrics.read(key, tier, span)
        if not held:
            return found
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
                    self.bytes -= sum(map(_size, self._writing.values()))
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
        waiting = self._waiting.setdefault(name, {})
        replaced = {bucket: waiting[bucket] for bucket in buckets.keys() & waiting.keys()}
        self.bytes += _size(buckets) - _size(replaced)
        waiting.update(buckets)

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
            count += len(batch[name])
        return batch

    async def _write(self, batch: _Held) -> None:
        saves = [MetricSave(key, tier, buckets) for (key, tier), buckets in batch.items()]
        try:
            await self._metrics.save_all(saves, self._time_slice)
        except Unavailable as error:
            _log.debug("computed metrics are not saved: %s", error.message)
        except Exception:
            _log.exception("saving computed metrics met a fault")


def _size(buckets: Mapping[int, CachedBucket]) -> int:
    return sum(map(len, map(_content, buckets.values()))) + _BUCKET_BYTES * len(buckets)
