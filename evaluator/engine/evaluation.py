"""Evaluation: a metric expression over a span, each of its reductions measured once."""

from __future__ import annotations

import asyncio

from cube.columns import reductions
from cube.expression import print_expression
from cube.expression.nodes import MetricExpression, Reduction
from cube.model.tier import Span, Tier
from cube.process.threads import run_in_thread
from evaluator.engine.pyramid import Pyramid
from evaluator.engine.series import Bounds, Series, compute
from evaluator.scheduling.scheduler import QueryCost, Scheduler

AT_ONCE = 2
"""So many reductions of one expression are measured at once: one computes while the other waits."""


class Evaluation:
    """Evaluates metric expressions on a pyramid."""

    def __init__(self, pyramid: Pyramid, scheduler: Scheduler, bounds: Bounds) -> None:
        self._pyramid = pyramid
        self._scheduler = scheduler
        self._bounds = bounds

    async def evaluate(self, expression: MetricExpression, tier: Tier, span: Span, cost: QueryCost) -> Series:
        """Return the series of an expression over an aligned span.

        Raises `InvalidQuery` over the bounds, `Unavailable` where the store does not answer.
        """
        buckets = len(tier.buckets(span))
        self._bounds.check(buckets, 0)
        wanted = {print_expression(reduction): reduction for reduction in reductions(expression)}
        measured = await self._measure(wanted, tier, span, cost)
        if any(series.groups is not None for series in measured.values()):
            async with self._scheduler.turn(cost):
                return await run_in_thread(compute, expression, buckets, measured, self._bounds)
        return compute(expression, buckets, measured, self._bounds)

    async def close(self) -> None:
        """Return when the computations that nobody waits for any more have ended."""
        await self._pyramid.close()

    async def _measure(
        self, wanted: dict[str, Reduction], tier: Tier, span: Span, cost: QueryCost
    ) -> dict[str, Series]:
        """Measure `AT_ONCE` at a time; the first error ends the others."""
        if len(wanted) == 1:  # the common case, without the cost of tasks
            ((text, reduction),) = wanted.items()
            return {text: await self._pyramid.measure(reduction, tier, span, cost)}
        places = asyncio.Semaphore(AT_ONCE)

        async def measure(reduction: Reduction) -> Series:
            async with places:
                return await self._pyramid.measure(reduction, tier, span, cost)

        try:
            async with asyncio.TaskGroup() as group:
                tasks = {text: group.create_task(measure(reduction)) for text, reduction in wanted.items()}
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return {text: task.result() for text, task in tasks.items()}
