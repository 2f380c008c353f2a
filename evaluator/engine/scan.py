"""Scans: the one seam through which events are read for metrics."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import cast

from cube.columns import Block, finals, grouped_partials, has_patterns, needed, partials, paths
from cube.expression.nodes import Reduction
from cube.model.reduce import REDUCES
from cube.model.tier import HOUR, Span, Tier
from cube.process.threads import Slices, run_in_thread
from cube.store.ports import ReadSession, TimeSlice
from evaluator.context import QueryContext
from evaluator.engine.blocks import Reading, StoreBlocks
from evaluator.engine.states import Accumulator, Encoded, State, check_memory, encode_finals, encode_value

KEPT_ROWS = 65_536
"""The rows of the first slice of columns that are kept: all of a block, some milliseconds."""


class Scan:
    """Reads events and reduces them, bucket by bucket: blocks of the store, in threads.

    At most one block and the states are held at a time; the event loop only waits.
    """

    def __init__(self, context: QueryContext, kept: StoreBlocks | None = None) -> None:
        self._context = context
        self._kept = kept

    async def states(
        self,
        session: ReadSession,
        reduction: Reduction,
        tier: Tier,
        spans: Sequence[Span],
        time_slice: TimeSlice,
    ) -> dict[int, State]:
        """Return the states of the buckets that have samples in some aligned spans, in order of time.

        What it computes is done in the time slices that `time_slice` gives. Raises `LimitExceeded`, and what
        the store raises; then it has no result.
        """
        executor, counters = self._context.executor, self._context.counters
        fields, ids = needed(reduction), REDUCES[reduction.reduce].ordered
        accumulator = Accumulator(reduction, self._context.limits)
        slices = Slices(time_slice, executor, searched=has_patterns(reduction))

        def take(block: Block) -> None:
            accumulator.add(reduce_block(reduction, tier, block))

        for span in spans:
            counters.scanned()
            # The ports promise an iterator; those of all stores are generators, which must be closed.
            blocks = cast("AsyncGenerator[Block, None]", session.scan(reduction.type, span, fields, ids=ids))
            async with aclosing(blocks):
                async for block in blocks:
                    counters.read(len(block))
                    async for _ in slices.each(block, take):
                        continue
        async with time_slice():
            return await run_in_thread(accumulator.states, executor=executor)

    def keeps(self, reduction: Reduction, tier: Tier) -> bool:
        """Tell whether `kept_states` serves: blocks that are kept have no ids, and are of an hour at most."""
        return self._kept is not None and not REDUCES[reduction.reduce].ordered and tier.step <= HOUR.step

    async def kept_states(
        self,
        session: ReadSession,
        reduction: Reduction,
        tier: Tier,
        gaps: Mapping[int, int],
        time_slice: TimeSlice,
    ) -> dict[int, State]:
        """Return the states of buckets that have samples, from events that may have been read before.

        ``gaps``: bucket -> its revision, read before the session's first read. There may be other buckets
        among the states. Raises as `states` does.
        """
        accumulator = Accumulator(reduction, self._context.limits)

        def take(block: Block) -> None:
            accumulator.add(reduce_block(reduction, tier, block))

        await self._each_kept(session, reduction, tier, gaps, time_slice, take)
        async with time_slice():
            return await run_in_thread(accumulator.states, executor=self._context.executor)

    async def kept_values(
        self,
        session: ReadSession,
        reduction: Reduction,
        tier: Tier,
        gaps: Mapping[int, int],
        time_slice: TimeSlice,
    ) -> Encoded:
        """Return the "value" contents of buckets, as `kept_states` does, without partials on the way.

        Only of a bucket that lies in more than one block, or may, partials are made, and merged.
        """
        limits = self._context.limits
        accumulator = Accumulator(reduction, limits)
        contents: Encoded = {}
        held = 0

        def take(block: Block) -> None:
            nonlocal held
            found = finals(reduction, tier, block)
            accumulator.count(found.groups)
            accumulator.add(found.shared)
            more = encode_finals(found, grouped=reduction.group is not None)
            held += sum(map(len, more.values()))
            check_memory(limits, held)
            contents.update(more)

        await self._each_kept(session, reduction, tier, gaps, time_slice, take)

        def finish() -> Encoded:
            shared = accumulator.states()
            values = {bucket: encode_value(reduction, state) for bucket, state in shared.items()}
            found = dict.fromkeys(gaps, encode_value(reduction, {})) | contents | values
            return {bucket: found[bucket] for bucket in gaps}

        async with time_slice():
            return await run_in_thread(finish, executor=self._context.executor)

    async def _each_kept(
        self,
        session: ReadSession,
        reduction: Reduction,
        tier: Tier,
        gaps: Mapping[int, int],
        time_slice: TimeSlice,
        take: Callable[[Block], None],
    ) -> None:
        if self._kept is None:
            raise ValueError("no blocks are kept")
        slices = Slices(time_slice, self._context.executor, searched=has_patterns(reduction), rows=KEPT_ROWS)
        reading = Reading(session, paths(reduction), time_slice)
        async with aclosing(self._kept.of(reduction.type).blocks(reading, tier, gaps)) as blocks:
            async for block in blocks:
                async for _ in slices.each(block, take):
                    continue


def reduce_block(reduction: Reduction, tier: Tier, block: Block) -> dict[int, State]:
    """Return the states of the buckets of one block that have samples."""
    if not len(block):
        return {}
    if reduction.group is None:
        return {bucket: {None: partial} for bucket, partial in partials(reduction, tier, block).items()}
    grouped = grouped_partials(reduction, tier, block)
    return {bucket: dict(found.items()) for bucket, found in grouped.items()}


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
