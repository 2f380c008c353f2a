"""The ports, with a gate before every call: any store can be taken through its interleavings."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from typing import Any

from cube.columns.block import Block
from cube.model.event import Event
from cube.model.tier import Span, Tier
from cube.store.ports import (
    NO_TEXTS,
    UNBOUNDED,
    CachedBucket,
    CacheKey,
    EventStore,
    MetricStore,
    ReadOptions,
    ReadSession,
    Revisions,
    Store,
    TimeSlice,
)
from tests.promise.actors import gate


class GatedSession:
    """A `ReadSession` with gates before revisions, scans and each block."""

    def __init__(self, inner: ReadSession) -> None:
        self._inner = inner

    async def types(self) -> list[str]:
        await gate()
        return await self._inner.types()

    async def revisions(self, type: str, tier: Tier, span: Span) -> Revisions:
        await gate()
        return await self._inner.revisions(type, tier, span)

    async def scan(
        self,
        type: str,
        span: Span,
        fields: Sequence[str] | None,
        *,
        ids: bool = False,
        newest_first: bool = False,
        texts: Mapping[str, str] = NO_TEXTS,
    ) -> AsyncIterator[Block]:
        await gate()
        async for block in self._inner.scan(
            type, span, fields, ids=ids, newest_first=newest_first, texts=texts
        ):
            yield block
            await gate()


class GatedEvents:
    """An `EventStore` with gates before saves and in the sessions."""

    def __init__(self, inner: EventStore) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def save(self, type: str, events: Sequence[Event]) -> None:
        await gate()
        await self._inner.save(type, events)

    @asynccontextmanager
    async def read(self, options: ReadOptions = UNBOUNDED) -> AsyncIterator[ReadSession]:
        await gate()
        async with self._inner.read(options) as session:
            yield GatedSession(session)


class GatedMetrics:
    """A `MetricStore` with gates before each call."""

    def __init__(self, inner: MetricStore) -> None:
        self._inner = inner

    async def read(self, key: CacheKey, tier: Tier, span: Span) -> Mapping[int, CachedBucket]:
        await gate()
        return await self._inner.read(key, tier, span)

    async def save(
        self,
        key: CacheKey,
        tier: Tier,
        cells: Mapping[int, CachedBucket],
        time_slice: TimeSlice = nullcontext,
    ) -> None:
        await gate()
        await self._inner.save(key, tier, cells, time_slice)


class GatedStore:
    """A `Store` with gates."""

    def __init__(self, inner: Store) -> None:
        self._inner = inner
        self.events = GatedEvents(inner.events)
        self.metrics = GatedMetrics(inner.metrics)
        self.names = inner.names

    async def ping(self) -> None:
        await self._inner.ping()

    async def probe(self) -> None:
        await self._inner.probe()

    async def close(self) -> None:
        await self._inner.close()
