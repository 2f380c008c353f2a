"""Live metrics: the buckets of an expression as they are now, and again whenever they change."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterable, Mapping
from typing import Any, TypeAlias

from cube.errors import Overloaded, Unavailable
from cube.expression.nodes import MetricExpression
from cube.span import Span
from cube.tier import Tier
from evaluator.answers import metric_rows, texts
from evaluator.aside import Clock, aside
from evaluator.deadline import Deadline
from evaluator.evaluation import Evaluation
from evaluator.pyramid import Pyramid
from evaluator.query import MetricQuery, latest
from evaluator.series import reductions
from evaluator.turns import Effort

Row: TypeAlias = "dict[str, Any]"
Seen: TypeAlias = "dict[str, Mapping[int, int] | None]"
"""Type -> its revisions by bucket; None where they tell nothing (a foreign type)."""

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
        """Yield all rows up to the open bucket, then ``{"live": True}``, then new and changed rows.

        Each bucket at most once a period. A store that does not answer after the beginning is asked
        again, for ever; so is an evaluator that has no time for what has changed.
        """
        table, span = _Table(), query.span
        async with self._deadline.query():
            seen = await self._revisions(query.expression, query.tier, span)
            rows = await self._evaluate(query, span)
        table.update(rows)
        yield rows
        yield [{"live": True}]
        while True:
            await self._pause()
            try:
                now = latest(query.tier, Span(query.span.start, self._clock() + 1), query.limit)
                async with self._deadline.query():
                    fresh = await self._revisions(query.expression, query.tier, now)
                    dirty = _dirty(query.tier, span, now, seen, fresh)
                    changed = await self._changes(query, now, dirty, table)
            except (Unavailable, Overloaded) as error:
                _log.warning("a live metric waits: %s", error.message)
                continue
            span, seen = now, fresh
            table.trim(rows_before=span.start, tier=query.tier)
            if changed:
                yield changed

    async def _changes(self, query: MetricQuery, span: Span, dirty: Span, table: _Table) -> list[Row]:
        """Evaluate what may have changed; all, where a group has come that was not there."""
        if not dirty:
            return []
        rows = await self._evaluate(query, dirty)
        if dirty != span and table.has_new_group(rows):
            rows = await self._evaluate(query, span)
        return table.update(rows)

    async def _evaluate(self, query: MetricQuery, span: Span) -> list[Row]:
        if not span:
            return []
        effort = Effort(span.stop - span.start)
        series = await self._evaluation.evaluate(query.expression, query.tier, span, effort)
        return await aside(series.rows, metric_rows, series, query.tier, span)

    async def _revisions(self, expression: MetricExpression, tier: Tier, span: Span) -> Seen:
        """Read the revisions; always before the evaluation that they vouch for."""
        types = dict.fromkeys(reduction.type for reduction in reductions(expression))
        seen: Seen = {}
        for type in types:
            revisions = await self._pyramid.revisions(type, tier, span)
            seen[type] = None if revisions.foreign else revisions.numbers
        return seen

    async def _pause(self) -> None:
        """Wait for the next whole period, the same one for all, so that they share their work."""
        now = asyncio.get_running_loop().time()
        await asyncio.sleep(self._period - now % self._period)


class _Table:
    """What a client has been told: time -> group -> value (`_NOTHING` for "no value")."""

    def __init__(self) -> None:
        self._rows: dict[str, dict[Any, Any]] = {}
        self._groups: set[Any] = set()

    def has_new_group(self, rows: Iterable[Row]) -> bool:
        """Tell whether a row is of a group that no row was of before."""
        return not self._groups.issuperset(_group(row) for row in rows)

    def update(self, rows: Iterable[Row]) -> list[Row]:
        """Take rows in, and return those that tell something new."""
        changed: list[Row] = []
        for row in rows:
            group, value = _group(row), row.get("value", _NOTHING)
            told = self._rows.setdefault(row["time"], {})
            if group not in told or told[group] != value:
                told[group] = value
                self._groups.add(group)
                changed.append(row)
        return changed

    def trim(self, *, rows_before: int, tier: Tier) -> None:
        """Forget rows whose time has left the span; times are kept in their order."""
        (first,) = texts(tier, Span(rows_before, rows_before + tier.step))
        for time in [time for time in self._rows if time < first]:
            del self._rows[time]


_NOTHING = object()


def _group(row: Row) -> Any:
    group = row.get("group", _NOTHING)
    return (isinstance(group, bool), group)  # true is not 1


def _dirty(tier: Tier, before: Span, now: Span, seen: Seen, fresh: Seen) -> Span:
    """Return the span of the buckets that are new or whose revisions have changed; empty if none."""
    dirty = set(tier.buckets(Span(max(before.stop, now.start), now.stop)))
    for type, numbers in fresh.items():
        known = seen[type]
        if numbers is None or known is None:
            return now
        dirty.update(bucket for bucket, number in numbers.items() if known.get(bucket) != number)
        dirty.update(bucket for bucket in known.keys() - numbers.keys() if bucket in now)
    return Span(min(dirty), max(dirty) + tier.step) if dirty else Span(now.stop, now.stop)
