"""Live metrics: the buckets of an expression as they are now, and again whenever they change."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cube.columns import reductions
from cube.columns.values import Floats
from cube.errors import InvalidQuery, Overloaded, Unavailable
from cube.expression import print_expression
from cube.expression.grouping import ranked
from cube.model.grid import Grid
from cube.model.tier import GroupKey, Span
from cube.process.threads import run_by_size
from evaluator.answers.rows import Row, bucket_times, group_shown, metric_row, metric_rows
from evaluator.engine.pyramid import Pyramid
from evaluator.engine.series import THREAD_ROWS, Series
from evaluator.query.queries import MetricQuery
from evaluator.scheduling.scheduler import QueryCost
from evaluator.streams.watched import Snapshot, read_snapshot

_Mask = npt.NDArray[np.bool_]
_log = logging.getLogger(__name__)


class LiveMetric:
    """Follows one metric query; all poll at the same moments, so the pyramid shares their work."""

    def __init__(
        self,
        pyramid: Pyramid,
        query: MetricQuery,
        redefined: Callable[[MetricQuery], Awaitable[MetricQuery]] | None = None,
    ) -> None:
        self._pyramid = pyramid
        self._query = query
        self._redefined = redefined

    async def rows(self) -> AsyncGenerator[list[Row], None]:
        """Yield all rows up to the open bucket, then ``{"live": True}``, then what changes them.

        Put together by time and group they are what `MetricQuery.span_at` the moment of the last poll has
        for an answer; see `LiveTable.changes`. Each bucket comes at most once a period. A store that does
        not answer after the beginning is asked again, forever; so is an evaluator that has no time.
        """
        query, context = self._query, self._pyramid.context
        now = context.clock()
        async with context.query():
            known = await self._read_revisions(query.span, now)
            table = LiveTable(query.grid, query.span, await self._evaluate(query.span, query.span))
        series, grid = table.series, query.grid
        yield await run_by_size(series.rows, THREAD_ROWS, metric_rows, series, grid, query.span)
        yield [{"live": True}]
        while True:
            # Until the next whole period, the same one for all, so that they share their work.
            period = context.poll_seconds
            await asyncio.sleep(period - asyncio.get_running_loop().time() % period)
            now = context.clock()
            span = query.span_at(now)
            try:
                async with context.query():
                    is_another = await self._redefine()
                    revisions = await self._read_revisions(span, now)
                    dirty = span if is_another else revisions.changed(known, query.grid)
                    fresh = await self._refresh(table, span, dirty)
            except (Unavailable, Overloaded) as error:
                _log.warning("a live metric waits: %s", error.message)
                continue
            if dirty or span != table.span:
                changed = await run_by_size(fresh.series.rows, THREAD_ROWS, table.changes, fresh)
                if changed:
                    yield changed
            known, table = revisions.after(known), fresh

    async def _redefine(self) -> bool:
        """Take what the names in the expression stand for now; tell whether that is something else."""
        if self._redefined is None or not self._query.has_names:
            return False
        old, new = self._query, await self._redefined(self._query)
        if print_expression(old.expression) == print_expression(new.expression):
            return False
        if _is_grouped(old) != _is_grouped(new):
            raise InvalidQuery("A name has been given another meaning, with other groups: ask again.")
        self._query = new
        return True

    async def _refresh(self, table: LiveTable, span: Span, dirty: Span) -> LiveTable:
        """Return the table over a span; only what may have changed is evaluated, where that tells all."""
        query = self._query
        if not dirty and span == table.span:
            return table
        if dirty != span and ranked(query.expression) is None:  # which groups are shown, all buckets tell
            part = await self._evaluate(dirty, span)
            spliced = await run_by_size(table.series.rows, THREAD_ROWS, table.spliced, span, dirty, part)
            if spliced is not None:
                return spliced
        return LiveTable(query.grid, span, await self._evaluate(span, span))

    async def _evaluate(self, part: Span, span: Span) -> Series:
        """Evaluate a part of a span, in which what is cumulative begins with the span."""
        query, cost = self._query, QueryCost(part.length)
        return await self._pyramid.evaluate(query.expression, query.grid, part, cost, origin=span.start)

    async def _read_revisions(self, span: Span, now: int) -> Snapshot:
        """Read the revisions; always before the evaluation that they vouch for."""
        query = self._query
        return await read_snapshot(self._pyramid, query.expression, query.grid, span, now)


def _is_grouped(query: MetricQuery) -> bool:
    return any(reduction.group is not None for reduction in reductions(query.expression))


@dataclass(frozen=True, slots=True)
class LiveTable:
    """The answer to a live query as its client has it: ``series``, over the buckets of ``span``."""

    grid: Grid
    span: Span
    series: Series

    def spliced(self, span: Span, dirty: Span, fresh: Series) -> LiveTable | None:
        """Return the answer over ``span``: in ``dirty`` as ``fresh`` has it, elsewhere as it is here.

        ``dirty`` lies in ``span`` and holds all of its buckets that are not in this table. None where that
        does not tell which groups the answer has: one of which no event is seen may be gone, or have events
        that make no difference (of a sum: zeros).
        """

        def spliced(old: Floats, new: Floats) -> Floats:
            values = self._over(span, old)
            values[self.grid.places(dirty, span)] = new
            return values

        default = spliced(self.series.default, fresh.default)
        if fresh.groups is None or self.series.groups is None:
            return LiveTable(self.grid, span, Series(default))
        groups: dict[GroupKey, Floats] = {}
        for key in self.series.groups.keys() | fresh.groups.keys():
            old = self.series.groups.get(key, self.series.default)
            groups[key] = spliced(old, fresh.groups.get(key, fresh.default))
            if key not in fresh.groups and not _differ(groups[key], default).any():
                return None
        return LiveTable(self.grid, span, Series(default, groups))

    def changes(self, now: LiveTable) -> list[Row]:
        """Return what turns this table into ``now``: rows, ordered by time, then by group.

        A row that is no longer part of the answer comes without a value, as ``removed``; first of all those
        after the last bucket of ``now`` (a clock was set back). Of those before its first nothing is said,
        unless their group is gone.
        """
        ours, theirs = self.series.groups, now.series.groups
        keys: list[GroupKey | None] = [None]
        gone: list[GroupKey | None] = []
        if ours is not None and theirs is not None:
            keys, gone = [*sorted(ours.keys() | theirs.keys())], [*sorted(ours.keys() - theirs.keys())]
        after = Span(max(self.span.start, now.span.stop), max(self.span.stop, now.span.stop))
        before = Span(self.span.start, min(self.span.stop, now.span.start))
        parts = ((after, keys), (before, gone), (now.span, keys))
        return [row for span, some in parts if span and some for row in self._changes(now, span, some)]

    def _changes(self, now: LiveTable, span: Span, keys: Sequence[GroupKey | None]) -> Iterator[Row]:
        known = [self._values(key, span) for key in keys]
        fresh = [now._values(key, span) for key in keys]
        changed = [
            (was != there) | (was & there & _differ(old, new))
            for (was, old), (there, new) in zip(known, fresh, strict=True)
        ]
        times = bucket_times(self.grid, span)
        by_time = np.array(changed, dtype=bool).reshape(len(keys), len(times)).T
        for bucket, number in np.argwhere(by_time).tolist():
            (there, values), key = fresh[number], keys[number]
            row = metric_row(times[bucket], float(values[bucket]))
            if not there[bucket]:
                row["removed"] = True
            if key is not None:
                row |= group_shown(key)
            yield row

    def _values(self, key: GroupKey | None, span: Span) -> tuple[_Mask, Floats]:
        """Return where in a span there is a row of a group, and the values (NaN is "no value")."""
        groups = self.series.groups
        values = self.series.default if key is None or groups is None else groups.get(key)
        if values is None:
            values = np.full(len(self.grid.buckets(span)), np.nan)
            return np.zeros(len(values), dtype=bool), values
        return self._over(span, np.zeros(len(values))) == 0, self._over(span, values)

    def _over(self, span: Span, values: Floats) -> Floats:
        """Return values of this table over another span: NaN in buckets that it has not."""
        moved, both = np.full(len(self.grid.buckets(span)), np.nan), self.span.intersect(span)
        if both:
            moved[self.grid.places(both, span)] = values[self.grid.places(both, self.span)]
        return moved


def _differ(one: Floats, other: Floats) -> _Mask:
    """Tell where two lines of values are shown differently."""
    differ: _Mask = (one != other) & ~(np.isnan(one) & np.isnan(other))
    return differ
