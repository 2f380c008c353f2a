"""Counts of different keys in intervals that all begin at once, as ``cumulative(distinct(…))`` asks for.

A key counts in every interval that ends after its first event, so one pass over the columns tells them all.
Where these are in memory, and are few, that is sooner done than to look up, or to make, sets of keys of parts
of time; else it is left to those (`evaluator.engine.windows`), which serve however long the span is.

The promise is the pyramid's: revisions are read before the events, and who shares a computation has read the
same ones. Nothing is kept.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from cube.columns import has_patterns, paths
from cube.columns.first_times import FirstTimes
from cube.expression import print_expression
from cube.expression.nodes import Reduction
from cube.model.tier import FIVE_MINUTES, Span, Tier
from cube.store.bucket_revisions import BucketRevisions
from cube.store.ports import Revisions
from evaluator.context import QueryContext
from evaluator.engine import windows
from evaluator.engine.frames import Frame, Instants
from evaluator.engine.scan import Held, Scan
from evaluator.engine.series import Series
from evaluator.engine.single_flight import FlightPart, Gaps, SingleFlight
from evaluator.engine.store_blocks import SPARED_ROWS, StoreBlocks
from evaluator.scheduling.scheduler import QueryCost

ReadRevisions: TypeAlias = Callable[[str, Tier, Span], Awaitable[Revisions]]
OpenScan: TypeAlias = Callable[[QueryCost], AbstractAsyncContextManager[Scan]]


@dataclass(frozen=True, slots=True)
class FirstKeys:
    """Measures such counts over one store.

    ``read``: reads revisions, and builds those of a type that has none. ``on_computed`` is told the type, the
    text and the milliseconds that a computation took.
    """

    context: QueryContext
    blocks: StoreBlocks | None
    flights: SingleFlight
    read: ReadRevisions
    scan: OpenScan
    on_computed: Callable[[str, str, float], None] | None = None

    async def measure(self, reduction: Reduction, frame: Frame, cost: QueryCost) -> Series | None:
        """Return the series of a reduction in a frame; None where it is not served here.

        Raises as `Pyramid.measure` does.
        """
        if self.blocks is None or not _counts_keys(reduction) or has_patterns(reduction):
            return None
        starts, stops = frame.intervals()
        span = _since(starts, stops)
        if span is None:
            return None
        parts = await self.context.scheduler.run(cost, windows.parts, frame, self.context.limits.cells)
        tier = min([*parts, FIVE_MINUTES], key=lambda each: each.step)
        revisions = await self.read(reduction.type, tier, span)
        numbers = revisions.numbers
        if revisions.foreign or revisions.expired_before is not None or not numbers:
            return None
        rows = self.blocks.of(reduction.type).rows_near(numbers.buckets.tolist(), paths(reduction))
        if rows is None or rows > SPARED_ROWS:
            return None
        return Series(_counts(await self._firsts(reduction, span, Held(tier, numbers), cost), stops))

    async def _firsts(self, reduction: Reduction, span: Span, held: Held, cost: QueryCost) -> Instants:
        """Return the first times of all keys, together with all who have read the same revisions."""
        self.context.looked_up(0, len(held.numbers))
        text = print_expression(reduction)
        (found,) = await self.flights.parts(
            ("first times", text, reduction.type, held.tier.text, span),
            BucketRevisions.of({span.start: hash(held.numbers)}),
            lambda gaps: self._compute(reduction, text, span, held, gaps, cost),
            cost,
        )
        return found.contents

    async def _compute(
        self, reduction: Reduction, text: str, span: Span, held: Held, gaps: Gaps, cost: QueryCost
    ) -> AsyncGenerator[FlightPart[Instants], None]:
        began, firsts = time.monotonic(), FirstTimes(reduction, span)
        async with self.scan(cost) as scan:
            await scan.kept_firsts(reduction, held, firsts)
            yield FlightPart(gaps, firsts.ascending())
        if self.on_computed is not None:
            self.on_computed(reduction.type, text, (time.monotonic() - began) * 1000)


def _counts_keys(reduction: Reduction) -> bool:
    return reduction.reduce == "distinct" and reduction.value is not None and not reduction.is_grouped


def _since(starts: Instants, stops: Instants) -> Span | None:
    """Return the span of intervals that all begin at once, but for those that end before; else None."""
    if not len(starts):
        return None
    begin = starts.max()
    span = Span(int(begin), int(stops[-1]))
    return span if span and np.array_equal(starts, np.minimum(begin, stops)) else None


def _counts(firsts: Instants, stops: Instants) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return firsts.searchsorted(stops).astype(np.float64)
