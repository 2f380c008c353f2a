"""Scans: the one seam through which events are read for metrics."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Sequence
from concurrent.futures import Executor
from contextlib import aclosing
from functools import partial
from typing import Protocol, cast

from cube.columns import Block, grouped_partials, has_patterns, needed, partials
from cube.expression.nodes import Reduction
from cube.model.reduce import REDUCES
from cube.model.tier import Span, Tier
from cube.process.threads import run_in_thread
from cube.store.ports import ReadSession, TimeSlice
from cube.store.slices import Slices
from evaluator.engine.accumulator import Accumulator
from evaluator.engine.codec import State
from evaluator.engine.series import Bounds
from evaluator.instrumentation import QueryCounters


class Scan(Protocol):
    """Reads events and reduces them, bucket by bucket."""

    async def states(
        self,
        session: ReadSession,
        reduction: Reduction,
        tier: Tier,
        spans: Sequence[Span],
        time_slice: TimeSlice,
    ) -> dict[int, State]:
        """Return the states of the buckets that have samples in some aligned spans, in order of time.

        What it computes is done in the turns that `time_slice` gives. Raises `LimitExceeded` over the bounds.
        """


class ColumnScan:
    """The scan of a reduction on its own: blocks of the store, reduced in the threads of `executor`.

    At most one block and the states are held at a time; the event loop only waits.
    """

    def __init__(self, executor: Executor, bounds: Bounds, counters: QueryCounters) -> None:
        self._executor = executor
        self._bounds = bounds
        self._counters = counters

    async def states(
        self,
        session: ReadSession,
        reduction: Reduction,
        tier: Tier,
        spans: Sequence[Span],
        time_slice: TimeSlice,
    ) -> dict[int, State]:
        """Scan; see `Scan.states`. Raises what the store raises, and then has no result."""
        fields, ids = needed(reduction), REDUCES[reduction.reduce].ordered
        accumulator = Accumulator(reduction, self._bounds)
        slices = Slices(time_slice, self._executor, searched=has_patterns(reduction))
        take = partial(_take, accumulator, reduction, tier)
        for span in spans:
            self._counters.scanned()
            # The ports promise an iterator; those of all stores are generators, which must be closed.
            blocks = cast("AsyncGenerator[Block, None]", session.scan(reduction.type, span, fields, ids=ids))
            async with aclosing(blocks):
                async for block in blocks:
                    self._counters.read(len(block))
                    async for _ in slices.each(block, take):
                        continue
        async with time_slice():
            return await run_in_thread(accumulator.states, executor=self._executor)


def _take(accumulator: Accumulator, reduction: Reduction, tier: Tier, block: Block) -> None:
    accumulator.add(reduce_block(reduction, tier, block))


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
