"""Scans: the one seam through which events are read for metrics."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import cast

from cube.columns import Block, grouped_partials, has_patterns, needed, partials
from cube.expression.nodes import Reduction
from cube.model.reduce import REDUCES
from cube.model.tier import Span, Tier
from cube.process.threads import run_in_thread
from cube.store.ports import ReadSession, TimeSlice
from cube.store.slices import Slices
from evaluator.context import QueryContext
from evaluator.engine.states import Accumulator, State


class Scan:
    """Reads events and reduces them, bucket by bucket: blocks of the store, in threads.

    At most one block and the states are held at a time; the event loop only waits.
    """

    def __init__(self, context: QueryContext) -> None:
        self._context = context

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
            async with read_blocks(session, reduction.type, span, fields, ids=ids) as blocks:
                async for block in blocks:
                    counters.read(len(block))
                    async for _ in slices.each(block, take):
                        continue
        async with time_slice():
            return await run_in_thread(accumulator.states, executor=executor)


@asynccontextmanager
async def read_blocks(
    session: ReadSession, type: str, span: Span, fields: Sequence[str] | None, *, ids: bool
) -> AsyncIterator[AsyncIterator[Block]]:
    """Read the events of a span as blocks, for as long as this block lasts; see `ReadSession.scan`.

    Here blocks that were read before could be given instead.
    """
    # The ports promise an iterator; those of all stores are generators, which must be closed.
    blocks = cast("AsyncGenerator[Block, None]", session.scan(type, span, fields, ids=ids))
    async with aclosing(blocks):
        yield blocks


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
