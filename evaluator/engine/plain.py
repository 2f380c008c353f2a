"""Plain expressions: arithmetic over reductions, each of the very buckets that are asked for.

And several measurements of one expression at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from functools import lru_cache, partial
from typing import TypeAlias, TypeVar

import numpy as np

from cube.columns import reductions
from cube.expression import canonical_text
from cube.expression.nodes import MetricExpression, Negation, Number, Product, Reduction, Sum
from cube.model.grid import Grid
from cube.model.tier import Span
from evaluator.context import QueryContext
from evaluator.engine.kept_series import Answered, SeriesCache
from evaluator.engine.series import Series, check_size, compute
from evaluator.engine.together import Together
from evaluator.scheduling.scheduler import QueryCost

K = TypeVar("K")

_REMEMBERED = 1_000

Measure: TypeAlias = Callable[[Reduction, Grid, Span, QueryCost], Coroutine[None, None, Series]]
"""Measures one reduction, as `Pyramid.measure` does."""

Measuring: TypeAlias = Callable[[], Coroutine[None, None, Series]]

AT_ONCE = 2
"""So many are measured at once: one computes while the other waits."""


@lru_cache(maxsize=_REMEMBERED)  # trees that compare equal are alike in this
def is_plain(node: MetricExpression) -> bool:
    """Tell whether nothing moves an expression's intervals, joins events, or chooses among groups."""
    match node:
        case Reduction():
            return node.group is None or node.group.ranking is None
        case Number():
            return True
        case Negation(operand):
            return is_plain(operand)
        case Sum(parts) | Product(parts):
            return all(is_plain(part) for _, part in parts)
        case _:
            return False


class PlainAnswers:
    """Evaluates plain expressions; ``cache`` keeps what was answered, where there is one.

    As long as nobody has committed anything to the store, what was answered before is the answer: the
    version of the store is read after the question has come, and was read before the revisions were.
    """

    def __init__(
        self, context: QueryContext, measure: Measure, cache: SeriesCache | None, together: Together
    ) -> None:
        self._context = context
        self._measure = measure
        self._cache = cache
        self._together = together

    async def evaluate(self, expression: MetricExpression, grid: Grid, span: Span, cost: QueryCost) -> Series:
        """Return the series of a plain expression, as `Pyramid.evaluate` does."""
        cache, store = self._cache, self._context.store
        version = None if cache is None else store.events.version()
        if cache is None or version is None:
            return await self._computed(expression, grid, span, cost)
        key = (store, canonical_text(expression), grid.text, span)
        series = cache.answer(key, version)
        if series is None:
            series = await self._computed(expression, grid, span, cost)
            cache.keep_answer(key, Answered(version, series))
        else:
            self._context.looked_up(series.vouched or 0, 0)
        return series

    async def _computed(
        self, expression: MetricExpression, grid: Grid, span: Span, cost: QueryCost
    ) -> Series:
        limits, buckets = self._context.limits, len(grid.buckets(span))
        wanted = {canonical_text(each): each for each in reductions(expression)}
        if not buckets:
            return Series(np.empty(0), {} if any(each.is_grouped for each in wanted.values()) else None)
        check_size(limits, buckets, 0)
        measured = await self._together.measure(wanted, grid, span, cost) or await all_of(
            {text: partial(self._measure, each, grid, span, cost) for text, each in wanted.items()}
        )
        if isinstance(expression, Reduction):
            return measured[canonical_text(expression)]
        if any(series.groups is not None for series in measured.values()):
            run = self._context.scheduler.run
            series = await run(cost, compute, expression, buckets, measured, limits)
        else:
            series = compute(expression, buckets, measured, limits)
        vouched = [each.vouched for each in measured.values() if each.vouched is not None]
        return replace(series, vouched=sum(vouched)) if len(vouched) == len(measured) else series


async def all_of(wanted: Mapping[K, Measuring]) -> dict[K, Series]:
    """Return what all measure; the first error ends the others."""
    if len(wanted) == 1:  # the common case, without the cost of tasks
        ((key, only),) = wanted.items()
        return {key: await only()}
    places = asyncio.Semaphore(AT_ONCE)

    async def placed(measure: Measuring) -> Series:
        async with places:
            return await measure()

    try:
        async with asyncio.TaskGroup() as group:
            tasks = {key: group.create_task(placed(measure)) for key, measure in wanted.items()}
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return {key: task.result() for key, task in tasks.items()}
