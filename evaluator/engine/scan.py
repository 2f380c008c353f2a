"""Scans: the one seam through which events are read for metrics.

What is kept are all events of a stretch of time, whatever is asked of them. Where an index on a field that
must equal something leaves few of a long stretch, and that is not in memory, those few are read alone.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NamedTuple, TypeVar

import numpy as np

from cube.columns import Block, Buckets, PackedBlock, finals, has_patterns, needed, paths, states
from cube.columns.buckets import first_rows
from cube.columns.first_times import FirstTimes
from cube.expression.nodes import Reduction
from cube.model.reduce import REDUCES
from cube.model.tier import HOUR, Span, Tier
from cube.process.threads import FIRST_ROWS, Ends, Slices, run_in_thread
from cube.settings import EvaluatorLimits
from cube.store.equality import wanted_by
from cube.store.ports import ReadSession, TimeSlice
from evaluator.context import QueryContext
from evaluator.engine.blocks import StoreBlocks
from evaluator.engine.reading import Reading
from evaluator.engine.states import Accumulator, Encoded, State, check_memory, encode_finals, encode_value

T = TypeVar("T")

KEPT_ROWS = 65_536
"""The rows of the first slice of columns that are kept: all of a block, some milliseconds."""

MOST_ROWS: Final = 16_384
"""More events are read as blocks, which are kept: one by one they cost three times as much."""

FEW_BUCKETS = 400
"""So many plain values are put together without a hop between threads."""

KEEP_SECONDS = 1.0
"""What an expensive reduction has computed is kept about so often."""


class Held(NamedTuple):
    """Which kept blocks to take: those of a tier's buckets, of an hour at most.

    ``numbers``: bucket -> its revision, read before the session's first read of events.
    """

    tier: Tier
    numbers: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Scan:
    """Reads events in one session of a store and reduces them, bucket by bucket, in threads.

    What it computes is done in the time slices that ``time_slice`` gives. At most one block and the states
    are held at a time; the event loop only waits. ``blocks``: those that are kept, if any are. ``limits``: of
    what is computed.
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
        gaps: Collection[int],
        keep: Callable[[Encoded], Awaitable[None]] | None = None,
    ) -> Encoded:
        """Return the "value" contents of buckets, as `kept_states` does, without partials on the way.

        Only of a bucket that lies in more than one block, or may, partials are made, and merged. ``keep``, of
        a tier's buckets: is given what is complete, every `KEEP_SECONDS`, so that it outlives a deadline.
        """
        limits = self.limits
        accumulator = Accumulator(reduction, limits)
        contents: Encoded = {}
        size = 0

        def take(block: Block) -> None:
            nonlocal size
            found = finals(reduction, buckets, block)
            if reduction.arguments is None:  # else these are not the groups of the states
                accumulator.count(found.groups.different())
            accumulator.add(found.shared)
            more = encode_finals(found, grouped=reduction.is_grouped)
            size += sum(map(len, more.values()))
            check_memory(limits, size)
            contents.update(more)

        def finish(some: Collection[int]) -> Encoded:
            return completed(reduction, contents, accumulator.states(), some)

        began, stop = time.monotonic(), min(gaps, default=0)

        async def reached(last: int) -> None:
            nonlocal began, stop
            if keep is None or time.monotonic() < began + KEEP_SECONDS:
                return
            first, stop = stop, held.tier.floor(last)  # whose own bucket may go on
            if whole := [bucket for bucket in gaps if first <= bucket < stop]:
                await keep(await self.run(finish, whole))
            began = time.monotonic()

        await self._each_kept(reduction, held, buckets, take, reached)
        if len(gaps) <= FEW_BUCKETS and not (reduction.is_grouped or REDUCES[reduction.reduce].grows):
            return finish(gaps)
        return await self.run(finish, gaps)

    async def kept_values_together(
        self, reductions: Sequence[Reduction], tier: Tier, gaps: Mapping[int, int]
    ) -> list[Encoded]:
        """Return what `kept_values` does of several reductions of one type without groups, in one pass."""
        if self.blocks is None:
            raise ValueError("no blocks are kept")
        accumulators = [Accumulator(each, self.limits) for each in reductions]
        contents: list[Encoded] = [{} for _ in reductions]

        def take(block: Block) -> None:
            for reduction, accumulator, own in zip(reductions, accumulators, contents, strict=True):
                found = finals(reduction, tier, block)
                accumulator.add(found.shared)
                own.update(encode_finals(found, grouped=False))

        def finish() -> list[Encoded]:
            return [
                completed(reduction, own, accumulator.states(), gaps)
                for reduction, accumulator, own in zip(reductions, accumulators, contents, strict=True)
            ]

        slices = self._slices(reductions[0], KEPT_ROWS, lambda block: first_rows(tier, block.times))
        reading = Reading(self.session, frozenset().union(*map(paths, reductions)), self.time_slice)
        kept = self.blocks.of(reductions[0].type).blocks(reading, tier, gaps)
        async with aclosing(kept) as blocks:
            async for block in blocks:
                async for _ in slices.each(block, take):
                    continue
        return finish() if len(gaps) <= FEW_BUCKETS else await self.run(finish)

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
        async with aclosing(await self._source(reduction, held)) as blocks:
            async for block in blocks:
                async for last in slices.each(block, taken):
                    if reached is not None:
                        await reached(last)

    async def _source(
        self, reduction: Reduction, held: Held
    ) -> AsyncGenerator[Block, None] | AsyncGenerator[PackedBlock, None]:
        """Return what gives the events of some buckets: kept blocks, or few events that an index finds."""
        if self.blocks is None:
            raise ValueError("no blocks are kept")
        kept = self.blocks.of(reduction.type)
        span, needs = span_of(held.tier, held.numbers), paths(reduction)
        if not kept.reaches_over(span, needs) and await is_narrow(self.session, reduction, span):
            return narrowed(self.session, reduction, span, self.context.counters.read)
        return kept.blocks(Reading(self.session, needs, self.time_slice), held.tier, held.numbers)

    def _slices(self, reduction: Reduction, rows: int, ends: Ends | None = None) -> Slices:
        searched = has_patterns(reduction)
        return Slices(self.time_slice, self.context.executor, searched=searched, rows=rows, ends=ends)


def _accumulate(accumulator: Accumulator, reduction: Reduction, buckets: Buckets, block: Block) -> None:
    accumulator.add(states(reduction, buckets, block))


def completed(
    reduction: Reduction, contents: Encoded, shared: Mapping[int, State], some: Collection[int]
) -> Encoded:
    """Return the contents of some buckets, of which some are made of what several blocks share."""
    if not shared and contents.keys() == set(some):
        return contents
    values = {bucket: encode_value(reduction, state) for bucket, state in shared.items()}
    found = dict.fromkeys(some, encode_value(reduction, {})) | contents | values
    return {bucket: found[bucket] for bucket in some}


def runs(gaps: Iterable[int], eventful: Iterable[int], tier: Tier, bridge: int = 6) -> list[Span]:
    """Join gaps into spans to scan.

    ``eventful``: all buckets that may have events, the gaps included. Two gaps are joined where at
    most ``bridge`` other eventful buckets lie between them: to read those again is cheaper than to
    begin another scan. What lies between without events costs nothing.
    """
    wanted = set(gaps)
    spans: list[Span] = []
    between = 0
    for bucket in sorted(eventful):
        if bucket not in wanted:
            between += 1
            continue
        stop = bucket + tier.step
        if spans and between <= bridge:
            spans[-1] = Span(spans[-1].start, stop)
        else:
            spans.append(Span(bucket, stop))
        between = 0
    return spans


def span_of(tier: Tier, gaps: Mapping[int, int]) -> Span:
    """Return the span that some buckets reach over."""
    return Span(min(gaps), max(gaps) + tier.step)


async def is_narrow(session: ReadSession, reduction: Reduction, span: Span) -> bool:
    """Tell whether an index leaves few events of a span, an hour or longer, that filters may pass."""
    wanted = wanted_by(reduction.filters)
    if not wanted or span.length < HOUR.step:
        return False
    found = await session.indexed(reduction.type, span, wanted, MOST_ROWS + 1)
    return found is not None and found <= MOST_ROWS


async def narrowed(
    session: ReadSession, reduction: Reduction, span: Span, count: Callable[[int], None]
) -> AsyncGenerator[Block, None]:
    """Yield blocks with all events of a span that the filters pass, and maybe others, ordered by time.

    ``count`` is told how many events each has.
    """
    scan = session.scan(reduction.type, span, needed(reduction), wanted=wanted_by(reduction.filters))
    async with aclosing(scan) as blocks:
        async for block in blocks:
            count(len(block))
            yield block
