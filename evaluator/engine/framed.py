"""Framed expressions: those whose leaves are measured over other intervals than the buckets asked for.

Functions of series move and widen intervals (`evaluator.engine.frames`), sequences join events across
buckets, and a ranking needs totals over the whole span.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Protocol

import numpy as np

from cube.expression import print_expression
from cube.expression.nodes import MetricExpression, Reduction, SequenceExpression, SessionReduction
from cube.model.grid import Grid
from cube.model.tier import Span, Tier
from cube.store.bucket_revisions import BucketRevisions
from cube.store.metric_ports import MetricStore
from cube.store.ports import Revisions
from evaluator.context import QueryContext
from evaluator.engine import windows
from evaluator.engine.bucket_values import NOTHING_FOUND, BucketValues, FoundBuckets
from evaluator.engine.computation import Computation
from evaluator.engine.first_keys import FirstKeys
from evaluator.engine.frames import Frame
from evaluator.engine.grid_revisions import GridRevisions
from evaluator.engine.plain import all_of
from evaluator.engine.ranker import Ranker
from evaluator.engine.ranking import named
from evaluator.engine.scan import Scan
from evaluator.engine.sequences import Sequences
from evaluator.engine.series import ReductionJob, Series, check_memory, check_size
from evaluator.engine.single_flight import SingleFlight
from evaluator.engine.states import States, decode, partial_kind, weight
from evaluator.engine.store_blocks import StoreBlocks
from evaluator.engine.time_functions import Leaf, Measured, computed, leaves, lowered
from evaluator.scheduling.scheduler import QueryCost


class ReductionSource(Protocol):
    """What a pyramid measures, finds and reads of reductions; see `evaluator.engine.pyramid.Pyramid`."""

    async def measure(self, reduction: Reduction, grid: Grid, span: Span, cost: QueryCost) -> Series: ...
    async def find(
        self,
        job: ReductionJob,
        read: GridRevisions,
        numbers: BucketRevisions,
        span: Span,
        cost: QueryCost,
        kind: str,
    ) -> FoundBuckets: ...
    async def total(
        self, job: ReductionJob, read: GridRevisions, span: Span, cost: QueryCost
    ) -> BucketValues: ...
    async def revisions(self, type: str, grid: Grid, span: Span) -> Revisions: ...
    async def read(self, type: str, grid: Grid, span: Span) -> GridRevisions: ...
    def scan(self, cost: QueryCost, *, of_all_groups: bool = False) -> AbstractAsyncContextManager[Scan]: ...


class FramedAnswers:
    """Evaluates such expressions over one store; ``keeps``: whether it remembers what rankings chose.

    The other arguments are those of a pyramid, which is the ``source``.
    """

    def __init__(
        self,
        context: QueryContext,
        source: ReductionSource,
        blocks: StoreBlocks | None,
        flights: SingleFlight,
        metrics: MetricStore,
        on_computed: Callable[[str, str, float], None] | None,
        *,
        keeps: bool,
    ) -> None:
        self._context = context
        self._source = source
        self._metrics = metrics
        self._ranker = Ranker(context, source.read, flights, source.total, keeps=keeps)
        self._sequences = Sequences(context, blocks, metrics, flights, source.revisions, on_computed)
        self._firsts = FirstKeys(context, blocks, flights, source.revisions, source.scan, on_computed)

    async def evaluate(
        self, expression: MetricExpression, grid: Grid, span: Span, cost: QueryCost, origin: int
    ) -> Series:
        """Return the series of an expression, as `Pyramid.evaluate` does."""
        limits, frame = self._context.limits, Frame(grid, span, origin)
        if frame.count:
            expression = await self._ranker.with_chosen(expression, grid, span, cost)
        expression = lowered(expression)
        wanted = dict(leaves(expression, frame))
        if not frame.count:
            return Series(np.empty(0), {} if any(map(_is_grouped, wanted.values())) else None)
        check_size(limits, max(leaf.frame.count for leaf in wanted) if wanted else frame.count, 0)
        measured = await all_of(
            {leaf: partial(self._measure_leaf, leaf, each, cost) for leaf, each in wanted.items()}
        )
        if any(series.groups is not None for series in measured.values()):
            run = self._context.scheduler.run
            return named(await run(cost, computed, expression, frame, measured, limits))
        return computed(expression, frame, measured, limits)

    async def beyond(self, leaf: Leaf, sequence: SequenceExpression) -> int | None:
        """Return what tells whether a sequence's series is as it was, though it depends on other buckets.

        None where nothing tells that.
        """
        return await self._sequences.digest(sequence, leaf.frame.grid, leaf.frame.hull())

    async def ranking_digest(self, expression: MetricExpression, grid: Grid, span: Span) -> int | None:
        """Return what tells whether an expression's ranking chooses what it did; None where nothing does."""
        return await self._ranker.digest(expression, grid, span)

    async def _measure_leaf(self, leaf: Leaf, measured: Measured, cost: QueryCost) -> Series:
        span = leaf.frame.aligned()
        if not isinstance(measured, Reduction):
            if span is None:
                return await self._sequences.measure_windows(measured, leaf.frame, cost)
            return await self._sequences.measure(measured, leaf.frame.grid, span, cost)
        if span is not None:
            return await self._source.measure(measured, leaf.frame.grid, span, cost)
        counted = await self._firsts.measure(measured, leaf.frame, cost)
        if counted is not None:
            return counted
        limits, run = self._context.limits, self._context.scheduler.run
        starts, stops = leaf.frame.intervals()
        states: States = {}
        for tier, buckets in (await run(cost, windows.parts, leaf.frame, limits.cells)).items():
            states |= await self._states(measured, tier, buckets, cost)
            check_memory(limits, sum(weight(state) for state in states.values() if state))
        return await run(cost, windows.series, measured, starts, stops, states, limits)

    async def _states(
        self, reduction: Reduction, tier: Tier, buckets: Sequence[int], cost: QueryCost
    ) -> States:
        """Return the states of ascending buckets that have samples; None of one that is lost.

        They are as fresh as what `measure` returns, and raise as that does.
        """
        found: States = {}
        wanted = np.array(buckets, dtype=np.int64)
        for span in windows.spans(buckets, tier):
            read = await self._source.read(reduction.type, tier, span)
            revisions = read.revisions
            job = ReductionJob(reduction, print_expression(reduction), tier, revisions.expired_before)
            numbers = revisions.numbers.only(wanted)
            if revisions.foreign:
                async with self._source.scan(cost) as scan:
                    states = await Computation(scan, self._metrics).foreign_states(job, span)
            else:
                kind = partial_kind(reduction)
                some = NOTHING_FOUND
                if numbers:
                    some = await self._source.find(job, read, numbers, span, cost, kind)
                states = await self._context.scheduler.run(cost, _states_of, some, job, numbers, span)
            is_wanted = set(buckets)
            found |= {bucket: state for bucket, state in states.items() if bucket in is_wanted}
        return found


def _states_of(found: FoundBuckets, job: ReductionJob, numbers: BucketRevisions, span: Span) -> States:
    """Read states of what was found of the kind that holds them; None of a bucket that is lost."""
    contents = dict(found.cached)
    for gaps, made in found.computed:
        encoded = made.contents() if isinstance(made, BucketValues) else made
        contents |= {bucket: encoded[bucket] for bucket in gaps if bucket in encoded}
    known = np.array(sorted(contents), dtype=np.int64)
    lost: States = dict.fromkeys(job.lost(numbers, known, span).tolist())
    return lost | decode(job.reduction, contents)


def _is_grouped(each: Measured) -> bool:
    reduction = each.reduction if isinstance(each, SessionReduction) else each
    return not isinstance(reduction, Reduction) or reduction.is_grouped
