"""What every question to one store is answered with, and the two ways of answering: series and sessions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import numpy as np

from cube.model.tier import Span
from cube.store.ports import ReadOptions, ReadSession, Store, TimeSlice
from cube.web import MemoryBudget
from evaluator.engine.evaluation import Evaluation
from evaluator.engine.pyramid import Pyramid
from evaluator.engine.series import Bounds, Series, is_grouped
from evaluator.query.queries import Defaults, MetricQuery
from evaluator.scheduling.deadline import Deadline
from evaluator.scheduling.scheduler import QueryCost, Scheduler
from evaluator.scheduling.threads import Clock


@dataclass(frozen=True, slots=True)
class QueryContext:
    """A store with its engine, the share of the process that its questions have, and their limits.

    ``answers`` bounds what all answers of the process hold; ``poll_seconds``: how often streams and live
    metrics look for changes.
    """

    store: Store
    pyramid: Pyramid
    evaluation: Evaluation
    scheduler: Scheduler
    bounds: Bounds
    deadline: Deadline
    defaults: Defaults
    clock: Clock
    answers: MemoryBudget
    poll_seconds: float

    async def evaluate(self, query: MetricQuery, span: Span, cost: QueryCost | None = None) -> Series:
        """Return the series of a query's expression over an aligned span, which may be empty.

        Raises `InvalidQuery` over the limits, `Unavailable` where the store does not answer.
        """
        if not span:
            return Series(np.empty(0), {} if is_grouped(query.expression) else None)
        cost = cost or QueryCost(span.length)
        return await self.evaluation.evaluate(query.expression, query.tier, span, cost)

    @asynccontextmanager
    async def session(self, cost: QueryCost) -> AsyncIterator[tuple[ReadSession, TimeSlice]]:
        """Begin to read events, at the cost of a query; raises `QueueFull` at the beginning of a turn."""
        async with (
            self.scheduler.part(cost) as time_slice,
            self.store.events.read(ReadOptions(self.bounds.seconds, time_slice)) as session,
        ):
            yield session, time_slice
