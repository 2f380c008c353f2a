"""Live metrics: the buckets of an expression as they are now, and again whenever they change."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from cube.columns import reductions
from cube.errors import Overloaded, Unavailable
from cube.model.span import Span
from cube.model.tier import Tier
from cube.store.ports import Revisions
from evaluator.api.rows import metric_rows
from evaluator.engine.evaluation import Evaluation
from evaluator.engine.pyramid import Pyramid
from evaluator.engine.series import Series, is_grouped
from evaluator.query.queries import MetricQuery
from evaluator.scheduling.deadline import Deadline
from evaluator.scheduling.scheduler import QueryCost
from evaluator.scheduling.threads import Clock, aside
from evaluator.streams.live_table import Told

Row: TypeAlias = "dict[str, Any]"

EXPIRED_MS = 60_000
"""How often expired buckets are looked at: no revision tells that a metric of theirs has been deleted."""

_log = logging.getLogger(__name__)


class Live:
    """Follows metric queries; the work is shared by the pyramid, since all look at the same moments."""

    def __init__(
        self, pyramid: Pyramid, evaluation: Evaluation, deadline: Deadline, clock: Clock, period_ms: int
    ) -> None:
        self._pyramid = pyramid
        self._evaluation = evaluation
        self._deadline = deadline
        self._clock = clock
        self._period = period_ms / 1000

    async def rows(self, query: MetricQuery) -> AsyncGenerator[list[Row], None]:
        """Yield all rows up to the open bucket, then ``{"live": True}``, then what changes them.

        Put together by time and group they are what `MetricQuery.span_at` the moment of the last look has
        for an answer; see `Told.changes`. Each bucket comes at most once a period. A store that does not
        answer after the beginning is asked again, forever; so is an evaluator that has no time.
        """
        now = self._clock()
        async with self._deadline.query():
            seen = await self._revisions(query, query.span, now)
            told = Told(query.tier, query.span, await self._evaluate(query, query.span))
        yield await aside(told.series.rows, metric_rows, told.series, query.tier, query.span)
        yield [{"live": True}]
        while True:
            await self._pause()
            now = self._clock()
            span = query.span_at(now)
            try:
                async with self._deadline.query():
                    fresh = await self._revisions(query, span, now)
                    dirty = fresh.changed(seen, query.tier, told.span, span)
                    answer = await self._answer(query, told, span, dirty)
            except (Unavailable, Overloaded) as error:
                _log.warning("a live metric waits: %s", error.message)
                continue
            if dirty or span != told.span:
                changed = await aside(answer.series.rows, told.changes, answer)
                if changed:
                    yield changed
            seen, told = fresh.after(seen), answer

    async def _answer(self, query: MetricQuery, told: Told, span: Span, dirty: Span) -> Told:
        """Return the answer over a span; only what may have changed is evaluated, where that tells all."""
        if not dirty and span == told.span:
            return told
        if dirty != span:
            part = await self._evaluate(query, dirty)
            answer = await aside(told.series.rows, told.spliced, span, dirty, part)
            if answer is not None:
                return answer
        return Told(query.tier, span, await self._evaluate(query, span))

    async def _evaluate(self, query: MetricQuery, span: Span) -> Series:
        if not span:
            return Series(np.empty(0), {} if is_grouped(query.expression) else None)
        cost = QueryCost(span.stop - span.start)
        return await self._evaluation.evaluate(query.expression, query.tier, span, cost)

    async def _revisions(self, query: MetricQuery, span: Span, now: int) -> _Seen:
        """Read the revisions; always before the evaluation that they vouch for."""
        types = dict.fromkeys(reduction.type for reduction in reductions(query.expression))
        return _Seen({type: await self._pyramid.revisions(type, query.tier, span) for type in types}, now)

    async def _pause(self) -> None:
        """Wait for the next whole period, the same one for all, so that they share their work."""
        now = asyncio.get_running_loop().time()
        await asyncio.sleep(self._period - now % self._period)


@dataclass(frozen=True, slots=True)
class _Seen:
    """The revisions of a query's types, by type; ``looked``: when its expired buckets were looked at."""

    types: Mapping[str, Revisions]
    looked: int

    def changed(self, before: _Seen, tier: Tier, told: Span, span: Span) -> Span:
        """Return the span of the buckets that are new or may have changed; empty if there are none."""
        new = set(tier.buckets(Span(span.start, min(span.stop, told.start))))
        new.update(tier.buckets(Span(max(told.stop, span.start), span.stop)))
        for type, revisions in self.types.items():
            known = before.types[type]
            if revisions.foreign or known.foreign:
                return span
            new.update(_raised(known.numbers, revisions.numbers, span))
            if revisions.expired_before is not None and (
                revisions.expired_before != known.expired_before or self._is_due(before)
            ):
                new.update(
                    tier.buckets(Span(span.start, min(span.stop, tier.ceil(revisions.expired_before))))
                )
        return Span(min(new), max(new) + tier.step) if new else Span(span.stop, span.stop)

    def after(self, before: _Seen) -> _Seen:
        """Return this as what was seen after another."""
        return self if self._is_due(before) else _Seen(self.types, before.looked)

    def _is_due(self, before: _Seen) -> bool:
        return abs(self.looked - before.looked) >= EXPIRED_MS


def _raised(known: Mapping[int, int], numbers: Mapping[int, int], span: Span) -> set[int]:
    raised = {bucket for bucket, number in numbers.items() if known.get(bucket) != number}
    raised.update(bucket for bucket in known.keys() - numbers.keys() if bucket in span)
    return raised
