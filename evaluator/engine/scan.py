"""Scans: the one seam through which events are read for metrics.

What is kept are all events of a stretch of time, whatever is asked of them. Where an index on a field that
must equal something leaves few of a long stretch, and that is not in memory, those few are read alone.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, TypeVar

import numpy as np

from cube.columns import Block, Buckets, Finals, PackedBlock, finals, has_patterns, needed, paths, states
from cube.columns.buckets import Times, first_rows
from cube.columns.first_times import FirstTimes
from cube.columns.values import Path
from cube.expression.nodes import Reduction
from cube.model.reduce import REDUCES
from cube.model.tier import GroupKey, Span, Tier
from cube.process.threads import run_in_thread
from cube.settings import EvaluatorLimits
from cube.store.bucket_revisions import BucketRevisions
from cube.store.equality import wanted_by
from cube.store.ports import ReadSession
from cube.store.read_options import TimeSlice
from cube.store.slices import FIRST_ROWS, FIRST_TOGETHER, MOST_TOGETHER, Ends, Slices
from evaluator.context import QueryContext
from evaluator.engine.bucket_values import BucketValues
from evaluator.engine.reading import Reading, is_narrow, narrowed
from evaluator.engine.series import check_memory, check_size
from evaluator.engine.states import Accumulator, State
from evaluator.engine.store_blocks import StoreBlocks

T = TypeVar("T")

KEPT_ROWS = 65_536
"""The rows of the first slice of columns that are kept: all of a block, some milliseconds."""

KEEP_SECONDS = 1.0
"""What an expensive reduction has computed is kept about so often."""


class Held(NamedTuple):
    """Which kept blocks to take: those of a tier's buckets, of an hour at most.

    ``numbers``: bucket -> its revision, read before the session's first read of events.
    """

    tier: Tier
    numbers: BucketRevisions


@dataclass(frozen=True, slots=True)
class Scan:
    """Reads events in one session of a store and reduces them, bucket by bucket, in threads.

    What it computes is done in the time slices that ``time_slice`` gives. At most one block, or a few that
    are kept anyway, and the states are held at a time; the event loop only waits. ``blocks``: those that are
    kept, if any are. ``limits``: of what is computed.
    """

    context: QueryContext
    session: ReadSession
    time_slice: TimeSlice
    blocks: StoreBlocks | None
    limits: EvaluatorLimits

    async def states(self, reduction: Reduction, buckets: Buckets, spans: Sequence[Span]) -> dict[int, State]:
        """Return the states of the buckets that have samples in some aligned spans, in order of time.

        Raises `LimitExceeded`, and what the store raises; then it has no result.
        """
        counters = self.context.counters
        fields, ids = needed(reduction), REDUCES[reduction.reduce].ordered
        accumulator = Accumulator(reduction, self.limits)
        slices = self._slices(reduction, FIRST_ROWS)
        for span in spans:
            counters.scanned()
            scan = self.session.scan(
                reduction.type, span, fields, ids=ids, wanted=wanted_by(reduction.filters)
            )
            async with aclosing(scan) as blocks:
                async for block in blocks:
                    counters.read(len(block))
                    async for _ in slices.each(block, partial(_accumulate, accumulator, reduction, buckets)):
                        continue
        return await self.run(accumulator.states)

    async def run(self, work: Callable[..., T], *arguments: Any) -> T:
        """Call a function in a thread, in a time slice."""
        async with self.time_slice():
            return await run_in_thread(work, *arguments, executor=self.context.executor)

    def keeps(self, reduction: Reduction) -> bool:
        """Tell whether `kept_states` serves: blocks that are kept have no ids."""
        return self.blocks is not None and not REDUCES[reduction.reduce].ordered

    async def kept_states(self, reduction: Reduction, buckets: Buckets, held: Held) -> dict[int, State]:
        """Return the states of buckets that have samples, from events that may have been read before.

        There may be other buckets of a tier among the states. Raises as `states` does.
        """
        accumulator = Accumulator(reduction, self.limits)
        take = partial(_accumulate, accumulator, reduction, buckets)
        await self._each_kept(reduction, held, buckets, take)
        return await self.run(accumulator.states)

    async def kept_total(
        self, reduction: Reduction, held: Held, whole: Tier, accumulator: Accumulator
    ) -> None:
        """Accumulate the state of some buckets together, as of the first bucket of another tier.

        ``held``: as in `kept_states`, all of the span that may have events.
        """

        def take(block: Block) -> None:
            edges = (whole.origin, whole.origin + whole.step)
            start, stop = np.searchsorted(block.times, edges).tolist()
            accumulator.add(states(reduction, whole, block.rows(start, stop)))

        await self._each_kept(reduction, held, whole, take)

    async def kept_firsts(self, reduction: Reduction, held: Held, firsts: FirstTimes) -> None:
        """Have the first times of keys gathered, as `kept_states` gathers states; raises as that does."""

        def take(block: Block) -> None:
            firsts.add(block)
            check_memory(self.limits, firsts.bytes)

        await self._each_kept(reduction, held, held.tier, take)

    async def kept_values(
        self,
        reduction: Reduction,
        buckets: Buckets,
        held: Held,
        wanted: Times,
        keep: Callable[[BucketValues], Awaitable[None]] | None = None,
    ) -> BucketValues:
        """Return the values of the ``wanted`` buckets, as `kept_states` does, without partials on the way.

        Only of a bucket that lies in more than one block, or may, partials are made, and merged. ``keep``, of
        a tier's buckets: is given what is complete, every `KEEP_SECONDS`, so that it outlives a deadline.
        """
        gathered = GatheredValues(reduction, self.limits)
        began, first = time.monotonic(), 0

        async def reached(last: int) -> None:
            nonlocal began, first
            if keep is None or time.monotonic() < began + KEEP_SECONDS:
                return
            stop = int(wanted.searchsorted(held.tier.floor(last)))  # whose own bucket may go on
            if stop > first:
                await keep(await self.run(gathered.values, wanted[first:stop]))
            began, first = time.monotonic(), stop

        await self._each_kept(reduction, held, buckets, partial(gathered.take, buckets), reached)
        return gathered.values(wanted) if gathered.is_cheap else await self.run(gathered.values, wanted)

    async def kept_values_together(
        self, reductions: Sequence[Reduction], tier: Tier, gaps: BucketRevisions
    ) -> list[BucketValues]:
        """Return what `kept_values` does of several reductions of one type without groups, in one pass."""
        if self.blocks is None:
            raise ValueError("no blocks are kept")
        gathered = [GatheredValues(each, self.limits) for each in reductions]

        def take(block: Block) -> None:
            for each in gathered:
                each.take(tier, block)

        slices = self._slices(reductions[0], KEPT_ROWS, lambda block: first_rows(tier, block.times))
        reading = Reading(self.session, frozenset().union(*map(paths, reductions)), self.time_slice)
        first = self._first_rows(reductions[0], Held(tier, gaps), reading.paths)
        kept = self.blocks.of(reductions[0].type).blocks(reading, tier, gaps)
        async with aclosing(kept) as blocks, aclosing(slices.over(blocks, take, first)) as taken:
            async for _ in taken:
                continue
        return [each.values(gaps.buckets) for each in gathered]

    async def _each_kept(
        self,
        reduction: Reduction,
        held: Held,
        buckets: Buckets,
        take: Callable[[Block], None],
        reached: Callable[[int], Awaitable[None]] | None = None,
    ) -> None:
        """Take all kept blocks in order, in slices of whole buckets where these are not too long.

        ``reached`` is told the last time of each slice.
        """
        if not held.numbers:
            return

        def taken(block: Block) -> int:
            take(block)
            return int(block.times[-1])

        slices = self._slices(reduction, KEPT_ROWS, lambda block: first_rows(buckets, block.times))
        first = self._first_rows(reduction, held, paths(reduction))
        async with (
            aclosing(await self._source(reduction, held)) as blocks,
            aclosing(slices.over(blocks, taken, first)) as lasts,
        ):
            async for last in lasts:
                if reached is not None:
                    await reached(last)

    def _first_rows(self, reduction: Reduction, held: Held, needs: frozenset[Path]) -> int:
        """Return of how many rows the first piece is made: few, unless all are in memory."""
        if self.blocks is None:
            return FIRST_TOGETHER
        rows = self.blocks.of(reduction.type).holds(held.tier, held.numbers, needs)
        return FIRST_TOGETHER if rows is None else MOST_TOGETHER

    async def _source(
        self, reduction: Reduction, held: Held
    ) -> AsyncGenerator[Block, None] | AsyncGenerator[PackedBlock, None]:
        """Return what gives the events of some buckets: kept blocks, or few events that an index finds."""
        if self.blocks is None:
            raise ValueError("no blocks are kept")
        kept = self.blocks.of(reduction.type)
        span, needs = held.numbers.span(held.tier.step), paths(reduction)
        if not kept.reaches_over(span, needs) and await is_narrow(self.session, reduction, span):
            return narrowed(self.session, reduction, span, self.context.counters.read)
        return kept.blocks(Reading(self.session, needs, self.time_slice), held.tier, held.numbers)

    def _slices(self, reduction: Reduction, rows: int, ends: Ends | None = None) -> Slices:
        searched = has_patterns(reduction)
        return Slices(self.time_slice, self.context.executor, searched=searched, rows=rows, ends=ends)


def _accumulate(accumulator: Accumulator, reduction: Reduction, buckets: Buckets, block: Block) -> None:
    accumulator.add(states(reduction, buckets, block))


class GatheredValues:
    """What blocks say of a reduction's buckets, and the states of those that several share.

    Raises `LimitExceeded` as `Accumulator` does.
    """

    def __init__(self, reduction: Reduction, limits: EvaluatorLimits) -> None:
        self._reduction = reduction
        self._limits = limits
        self._shared: Accumulator | None = None
        self._groups: set[GroupKey | None] = set()
        self._found: list[Finals] = []
        self._bytes = 0

    @property
    def is_cheap(self) -> bool:
        """Whether values are put together as fast as a hop between threads is made."""
        return not (self._reduction.is_grouped or REDUCES[self._reduction.reduce].grows)

    def take(self, buckets: Buckets, block: Block) -> None:
        """Reduce a block; in a thread."""
        found = finals(self._reduction, buckets, block)
        if self._reduction.arguments is None:  # else the arguments are among them, which do not count
            self._groups.update(found.groups.different())
        self._groups.update(*found.shared.values())
        check_size(self._limits, 0, len(self._groups))
        if found.shared:
            self._shared = self._shared or Accumulator(self._reduction, self._limits)
            self._shared.add(found.shared)
        self._found.append(found)
        self._bytes += found.values.nbytes + found.groups.codes.nbytes
        check_memory(self._limits, self._bytes)

    def values(self, some: Times) -> BucketValues:
        """Return the values of some ascending buckets, of which all blocks have been taken."""
        shared = {} if self._shared is None else self._shared.states()
        return BucketValues.of_finals(self._reduction, self._found, shared, some)
