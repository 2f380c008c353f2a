"""Reading revisions: one read for all questions that came before it began.

The charts of a page ask at the same moment for the same buckets. Each may use any read of revisions that
began after it had asked: what was acknowledged before had raised them by then. One that had begun already
may have missed that, so whoever comes later waits for the next.

Where the store tells its version, nobody reads what is known: if it is still the one that was read before
an earlier read began, nobody has committed anything since, and what that has found is as it was.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import replace
from typing import Final, NamedTuple, TypeAlias

import numpy as np

from cube.model.tier import SECOND, TEN_SECONDS, Span, Tier
from cube.store.bucket_revisions import BucketRevisions
from cube.store.ports import Revisions
from evaluator.context import QueryContext

GATHER_SECONDS = 0.05
"""So long the next read of a type waits at most for the one that is under way, and so for more questions."""

MOST_SHARED = 2_000
"""Buckets of a read that was made longer for those who joined it."""

MOST_KEPT = 16
"""The latest reads, each of one type and tier, that are kept for as long as nobody commits anything."""

MOST_KEPT_BUCKETS = 20_000
"""Buckets of all these reads together: some megabytes."""

_Key: TypeAlias = "tuple[str, int]"


class RevisionReads:
    """The reads of revisions of one store; safe for any number of concurrent callers.

    ``keeps``: whether what was found is kept for those who come while nobody has committed anything.
    """

    def __init__(
        self, context: QueryContext, gather_seconds: float = GATHER_SECONDS, *, keeps: bool = False
    ) -> None:
        self._context: Final = context
        self._gather_seconds = gather_seconds
        self._keeps = keeps
        self._kept: OrderedDict[_Key, _KeptRead] = OrderedDict()
        self._gathering: dict[_Key, _Lookup] = {}
        self._latest: dict[_Key, _Lookup] = {}

    async def read(self, type: str, tier: Tier, span: Span) -> Revisions:
        """Return the revisions of an aligned span as of a moment after this was called.

        At 1 s those of the 10 s around. Raises what the store raises; the failure of somebody else's read is
        no reason.
        """
        if tier is not SECOND:
            return await self._read(type, tier, span)
        coarse = await self._read(type, TEN_SECONDS, TEN_SECONDS.cover(span))
        return replace(coarse, numbers=_of_seconds(coarse.numbers).part(span))

    async def until_done(self, done: asyncio.Event) -> None:
        """Wait for another's read."""
        await done.wait()

    async def _read(self, type: str, tier: Tier, span: Span) -> Revisions:
        key = (type, tier.step)
        kept = self._kept.get(key)
        if kept is not None and kept.version == self._version() and kept.span.intersect(span) == span:
            return _part(kept.found, kept.span, span)
        while True:
            read = self._gathering.get(key)
            if read is None:
                return await self._lead(key, _Lookup(type, tier, span))
            if not read.take_in(span):
                return await self._look_up(_Lookup(type, tier, span))
            await self.until_done(read.done)
            if read.found is not None:
                return _part(read.found, read.span, span)
            if read.failed:
                return await self._look_up(_Lookup(type, tier, span))

    async def _lead(self, key: _Key, read: _Lookup) -> Revisions:
        """Read for all who join in time: while another read is under way, and no place is free."""
        self._gathering[key] = read
        span = read.span
        try:
            earlier = self._latest.get(key)
            if earlier is not None:
                await self._gather(earlier)
            found = await self._look_up(read, key)
            return _part(found, read.span, span)
        except Exception:
            read.failed = True
            raise
        finally:
            self._close(key, read)
            if self._latest.get(key) is read:
                del self._latest[key]
            read.done.set()

    async def _gather(self, earlier: _Lookup) -> None:
        try:
            async with asyncio.timeout(self._gather_seconds):
                await self.until_done(earlier.done)
        except TimeoutError:
            pass  # it lasts; nobody is to wait for that

    async def _look_up(self, read: _Lookup, key: _Key | None = None) -> Revisions:
        context = self._context
        async with context.lookup_place():
            if key is not None:
                self._begin(key, read)
            version = self._version()  # before the read: what is committed meanwhile makes it another one
            async with context.lookup_session() as session:
                read.found = await session.revisions(read.type, read.tier, read.span)
        if key is not None and version is not None:
            self._keep(key, _KeptRead(version, read.span, read.found))
        return read.found

    def _version(self) -> int | None:
        return self._context.store.events.version() if self._keeps else None

    def _keep(self, key: _Key, kept: _KeptRead) -> None:
        """Keep what was found, if only a commit changes it: what has expired depends on the time, too."""
        found = kept.found
        if not found.complete or found.foreign or found.expired_before is not None:
            return
        if len(found.numbers) > MOST_KEPT_BUCKETS:
            return
        self._kept[key] = kept
        self._kept.move_to_end(key)
        while len(self._kept) > MOST_KEPT or self._kept_buckets() > MOST_KEPT_BUCKETS:
            self._kept.popitem(last=False)

    def _kept_buckets(self) -> int:
        return sum(len(kept.found.numbers) for kept in self._kept.values())

    def _begin(self, key: _Key, read: _Lookup) -> None:
        self._close(key, read)
        self._latest[key] = read

    def _close(self, key: _Key, read: _Lookup) -> None:
        """Let nobody join any more."""
        if self._gathering.get(key) is read:
            del self._gathering[key]


class _KeptRead(NamedTuple):
    """What a read has found; ``version``: the store's before it began."""

    version: int
    span: Span
    found: Revisions


class _Lookup:
    """One read: ``span`` grows until it begins; ``found`` stays None where it fails or is given up."""

    def __init__(self, type: str, tier: Tier, span: Span) -> None:
        self.type = type
        self.tier = tier
        self.span = span
        self.found: Revisions | None = None
        self.failed = False
        self.done = asyncio.Event()

    def take_in(self, span: Span) -> bool:
        """Grow to hold a span as well, unless that is far more than both need."""
        both = Span(min(self.span.start, span.start), max(self.span.stop, span.stop))
        most = max(MOST_SHARED, len(self.tier.buckets(self.span)))
        if len(self.tier.buckets(both)) > most:
            return False
        self.span = both
        return True


def _part(found: Revisions, read: Span, span: Span) -> Revisions:
    """Return what was found of a span that was read, of a part of it."""
    if span == read:
        return found
    return replace(found, numbers=found.numbers.part(span))


def _of_seconds(numbers: BucketRevisions) -> BucketRevisions:
    """Give each second the revision of the 10 seconds around."""
    seconds = np.arange(0, TEN_SECONDS.step, SECOND.step)
    buckets = (numbers.buckets[:, np.newaxis] + seconds).ravel()
    return BucketRevisions(buckets, np.repeat(numbers.revisions, len(seconds)))
