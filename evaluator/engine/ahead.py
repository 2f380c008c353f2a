"""Buckets that are still open, read ahead: of each the parts that never change, which are read once.

When a bucket closes, or a late event comes into it, a question sees in its own session which parts the bucket
has by then, and reads those alone that it lacks, and what is in no part. So what it gets is what its session
sees, as if it had read all: no revision need vouch for what was read ahead (docs/decisions/0064-ahead.md).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
import numpy.typing as npt

from cube.columns import PackedBlock, joined, taken
from cube.columns.values import Path
from cube.model.tier import HOUR, TEN_SECONDS, Span
from cube.process.threads import run_in_thread
from cube.store.ports import PartEvents, StoredParts
from evaluator.engine.block_cache import BlockCache
from evaluator.engine.reading import Reading

KEPT_BUCKETS: Final = 8
"""Of each type: the one that is open, and those that closed last."""

FOLLOWED_SECONDS: Final = 90
"""So long after a question about what was new then somebody counts as asking for more."""

MOST_ENDS: Final = 1_024
"""So many ends of what was asked for are held: of each hour one."""

PIECE_EVENTS: Final = 4_096
"""Parts are read until they have so many events: in some 10 ms."""

_ID = np.dtype([("high", ">u8"), ("low", ">u4")])

Ids = npt.NDArray[np.void]


@dataclass(frozen=True, eq=False, slots=True)
class Ahead:
    """The events of some parts of a bucket, in the order of (time, id); ``keys``: what each is known by."""

    keys: Mapping[int, Hashable]
    block: PackedBlock
    ids: Ids

    @property
    def bytes(self) -> int:
        return self.block.bytes + self.ids.nbytes


class AheadBuckets:
    """What was read ahead of one type, within the bound of a cache; safe for concurrent callers."""

    def __init__(self, type: str, cache: BlockCache, read: Callable[[int], None]) -> None:
        self._asked: dict[int, float] = {}
        self._type = type
        self._cache = cache
        self._read = read
        self._held: dict[int, Ahead] = {}

    def follow(self, ends: Sequence[int]) -> None:
        """Note that somebody asks for what came up to some times, ascending: the end of it in each hour."""
        asked = time.monotonic()
        for end in ends[-MOST_ENDS:]:
            self._asked.pop(end, None)
            self._asked[end] = asked
        for oldest in list(self._asked)[:-MOST_ENDS]:
            del self._asked[oldest]

    def newest(self, now: int) -> int:
        """Return the end of what somebody has lately asked for; 0 where nobody has.

        What is further ahead than the longest bucket that is open does not count: there are clocks that are
        wrong, and what they send hides nothing of what is new.
        """
        since = time.monotonic() - FOLLOWED_SECONDS
        ends = (end for end, asked in self._asked.items() if asked >= since and end <= now + HOUR.step)
        return max(ends, default=0)

    def is_followed(self, now: int) -> bool:
        """Tell whether somebody has lately asked for what was new then."""
        return now - FOLLOWED_SECONDS * 1000 <= self.newest(now)

    def first(self, span: Span) -> int | None:
        """Return the first bucket in a span of which something was read ahead."""
        return min((bucket for bucket in self._held if bucket in span), default=None)

    def rows(self, bucket: int, paths: frozenset[Path]) -> int | None:
        """Return of how many events of a bucket the columns at some paths were read ahead; None of none."""
        ahead = self._held.get(bucket)
        return len(ahead.block) if ahead is not None and paths <= ahead.block.paths else None

    async def read(self, reading: Reading, bucket: int, wanted: frozenset[Path]) -> PackedBlock | None:
        """Return all events of a bucket that a session sees; None where its parts are not to be had.

        ``wanted``: the columns to read where nothing was read ahead, those of the reading among them.
        """
        parts = await reading.session.stored_parts(self._type, Span(bucket, bucket + TEN_SECONDS.step))
        if parts is None or not parts.keys:
            self._drop(bucket)
            return None
        ahead = self._useful(bucket, reading, parts)
        paths = wanted if ahead is None else ahead.block.paths
        fields = sorted({str(path[0]) for path in paths})
        fresh = [
            await self._packed(reading, await parts.read(fields, numbers), paths)
            for numbers in _pieces(parts, {} if ahead is None else ahead.keys)
        ]
        if ahead is None or fresh:
            older = [] if ahead is None else [(ahead.block, ahead.ids)]
            ahead = Ahead(parts.keys, *await self._in_order(reading, [*older, *fresh]))
            self._put(bucket, ahead)
        if not parts.has_rest:
            return ahead.block
        rest = await parts.rest(fields)
        if rest is None:
            return None
        others = await self._packed(reading, rest, paths)
        return (await self._in_order(reading, [(ahead.block, ahead.ids), others]))[0]

    def _useful(self, bucket: int, reading: Reading, parts: StoredParts) -> Ahead | None:
        """Return what was read ahead of a bucket, if all of it is still there and has the columns."""
        ahead = self._held.get(bucket)
        if ahead is None or not reading.paths <= ahead.block.paths:
            return None
        return ahead if ahead.keys.items() <= parts.keys.items() else None

    async def _packed(
        self, reading: Reading, events: PartEvents, paths: frozenset[Path]
    ) -> tuple[PackedBlock, Ids]:
        self._read(len(events.block))
        async with reading.time_slice():
            block = await run_in_thread(partial(PackedBlock.of, events.block, paths))
        return block, np.frombuffer(events.ids, dtype=_ID)

    async def _in_order(
        self, reading: Reading, pieces: Sequence[tuple[PackedBlock, Ids]]
    ) -> tuple[PackedBlock, Ids]:
        async with reading.time_slice():
            return await run_in_thread(_ordered, pieces)

    def _put(self, bucket: int, ahead: Ahead) -> None:
        self._drop(bucket)
        self._held[bucket] = ahead
        self._cache.add(ahead, lambda evicted: self._evict(bucket, evicted))
        for oldest in sorted(self._held)[:-KEPT_BUCKETS]:
            self._drop(oldest)

    def _drop(self, bucket: int) -> None:
        ahead = self._held.pop(bucket, None)
        if ahead is not None:
            self._cache.drop(ahead)

    def _evict(self, bucket: int, evicted: Ahead) -> None:
        self._cache.drop(evicted)
        if self._held.get(bucket) is evicted:
            del self._held[bucket]


def _pieces(parts: StoredParts, known: Mapping[int, Hashable]) -> Iterator[list[int]]:
    """Cut the parts that are not known into pieces that are read at once."""
    numbers: list[int] = []
    count = 0
    for number, size in parts.sizes.items():
        if number in known:
            continue
        if numbers and count + size > PIECE_EVENTS:
            yield numbers
            numbers, count = [], 0
        numbers.append(number)
        count += size
    if numbers:
        yield numbers


def _ordered(pieces: Sequence[tuple[PackedBlock, Ids]]) -> tuple[PackedBlock, Ids]:
    """Join pieces in the order of a scan, (time, id)."""
    block, ids = joined([each for each, _ in pieces]), np.concatenate([each for _, each in pieces])
    times, high, low = block.times, ids["high"].astype(np.uint64), ids["low"].astype(np.uint32)
    is_after = (high[1:] > high[:-1]) | ((high[1:] == high[:-1]) & (low[1:] > low[:-1]))
    steps = np.diff(times)
    if ((steps > 0) | ((steps == 0) & is_after)).all():
        return block, ids
    order = np.lexsort((low, high, times))
    return taken(block, order), ids[order]
