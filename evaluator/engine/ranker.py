"""The ranker: chooses the groups of expressions with a ranking, by totals over the whole span.

What was chosen is kept with all revisions of the intervals that the totals are of, which were read before
these; it counts while they are the present ones.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable, Mapping
from typing import TypeAlias

import numpy as np

from cube.expression import print_expression
from cube.expression.nodes import MetricExpression, Reduction
from cube.model.grid import FixedGrid, Grid, simplified
from cube.model.reduce import REDUCES
from cube.model.tier import Group, Span
from cube.store.bucket_revisions import BucketRevisions
from cube.store.ports import Revisions
from evaluator.context import QueryContext
from evaluator.engine.bucket_values import BucketValues, scattered
from evaluator.engine.grid_revisions import GridRevisions
from evaluator.engine.kept_series import dense
from evaluator.engine.ranking import Choices, RankingQuestion, with_groups
from evaluator.engine.series import ReductionJob, Series
from evaluator.engine.single_flight import FlightPart, Gaps, SingleFlight
from evaluator.scheduling.scheduler import QueryCost

Read: TypeAlias = Callable[[str, Grid, Span], Awaitable[GridRevisions]]
"""Reads the revisions of a type in an aligned span."""

ComputeTotal: TypeAlias = Callable[[ReductionJob, GridRevisions, Span, QueryCost], Awaitable[BucketValues]]
"""Computes the values of all events of a span together, as those of one bucket."""

_Revisions: TypeAlias = tuple[Grid, GridRevisions]
"""Revisions, with the grid whose buckets they are of."""


class Ranker:
    """Chooses groups; ``keeps``: whether it remembers what it chose."""

    def __init__(
        self, context: QueryContext, read: Read, flights: SingleFlight, total: ComputeTotal, *, keeps: bool
    ) -> None:
        self._context = context
        self._read = read
        self._flights = flights
        self._compute_total = total
        self._choices = Choices() if keeps else None

    async def with_chosen(
        self, expression: MetricExpression, grid: Grid, span: Span, cost: QueryCost
    ) -> MetricExpression:
        """Return an expression with the groups that its ranking chooses; without one it is as it was.

        All events that were acknowledged before the call are counted. Raises as `Pyramid.measure` does.
        """
        question = RankingQuestion.of(expression, grid, span)
        if question is None:
            return expression
        read = {key: await self._read_of(*key, grid, span) for key in question.reads}
        numbers = [each.revisions for _, each in read.values()]
        choices = self._choices
        if choices is None or not grid.cached or any(map(_is_unsure, numbers)):
            return with_groups(expression, await self._chosen(question, read, cost))
        at = (span, *(_seen(*key, *each) for key, each in read.items()))
        chosen = choices.get((question.text, grid.text), at)
        if chosen is None:
            chosen = await self._chosen(question, read, cost)
            choices.put((question.text, grid.text), at, chosen)
        return with_groups(expression, chosen)

    async def digest(self, expression: MetricExpression, grid: Grid, span: Span) -> int | None:
        """Return what tells whether a ranking over a span is as it was; None: nothing does."""
        question = RankingQuestion.of(expression, grid, span)
        if question is None:
            return 0
        read = {key: await self._read_of(*key, grid, span) for key in question.reads}
        if any(each.revisions.foreign for _, each in read.values()):
            return None
        expired = [each.revisions.expired_before for _, each in read.values()]
        return hash((*expired, *(_seen(*key, *each) for key, each in read.items())))

    async def _read_of(self, type: str, interval: Span, grid: Grid, span: Span) -> _Revisions:
        """Read the revisions of the span's buckets; those of another interval as one bucket."""
        own = (
            simplified(grid, span) if interval == span else FixedGrid(max(1, interval.length), interval.start)
        )
        return own, await self._read(type, own, interval) if interval else GridRevisions(Revisions())

    async def _chosen(
        self, question: RankingQuestion, read: Mapping[tuple[str, Span], _Revisions], cost: QueryCost
    ) -> tuple[Group, ...]:
        totals = {
            total: await self._total(each, *read[each.type, total.interval], total.interval, cost)
            for total, each in question.totals.items()
        }
        return await self._context.scheduler.run(cost, question.choose, totals, self._context.limits)

    async def _total(
        self, reduction: Reduction, grid: Grid, read: GridRevisions, span: Span, cost: QueryCost
    ) -> Series:
        """Return what each group of a reduction comes to over a whole span, as a series of one bucket.

        All groups are there, as many as memory has room for. It is computed together with all who need it at
        the same revisions.
        """
        revisions = read.revisions
        job = ReductionJob(reduction, print_expression(reduction), grid, revisions.expired_before)

        async def compute(gaps: Gaps) -> AsyncGenerator[FlightPart[BucketValues], None]:
            yield FlightPart(gaps, await self._compute_total(job, read, span, cost))

        parts: list[FlightPart[BucketValues]] = []
        if revisions.numbers or revisions.foreign or (revisions.expired_before is not None and span):
            key = ("total", job.text, reduction.type, grid.text, job.expired_before, span, revisions.numbers)
            parts = await self._flights.parts(key, BucketRevisions.of({span.start: 1}), compute, cost)
        empty = REDUCES[reduction.reduce].empty
        default = np.full(1, np.nan if empty is None else empty)
        placed = [(np.zeros(1, dtype=np.int64), part.contents) for part in parts]
        run = self._context.scheduler.run
        return Series(default, await run(cost, scattered, default, placed, lambda _: None))


def _seen(type: str, interval: Span, grid: Grid, read: GridRevisions) -> Hashable:
    """Return what changes whenever an event of a type in an interval does."""
    return type, interval, dense(read.revisions.numbers, grid, interval).tobytes() if interval else b""


def _is_unsure(revisions: Revisions) -> bool:
    """Tell whether a total may be another one though the revisions are the same."""
    return revisions.foreign or revisions.expired_before is not None
