"""Live metrics: the buckets of an expression as they are now, and again whenever they change."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cube.columns import GroupKey, reductions
from cube.columns.values import Floats
from cube.errors import Overloaded, Unavailable
from cube.model.tier import Span, Tier
from cube.process.threads import run_by_size
from cube.store.ports import Revisions
from evaluator.api.response_writer import Row, bucket_times, group_shown, metric_row, metric_rows
from evaluator.engine.pyramid import Pyramid
from evaluator.engine.series import THREAD_ROWS, Series
from evaluator.query.queries import MetricQuery
from evaluator.scheduling.scheduler import QueryCost

EXPIRED_MS = 60_000
"""How often expired buckets are looked at: no revision tells that a metric of theirs has been deleted."""

_Mask = npt.NDArray[np.bool_]
_log = logging.getLogger(__name__)


class LiveMetric:
    """Follows one metric query; all poll at the same moments, so the pyramid shares their work."""

    def __init__(self, pyramid: Pyramid, query: MetricQuery) -> None:
        self._pyramid = pyramid
        self._query = query

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
            table = LiveTable(query.tier, query.span, await self._evaluate(query.span))
        series, tier = table.series, query.tier
        yield await run_by_size(series.rows, THREAD_ROWS, metric_rows, series, tier, query.span)
        yield [{"live": True}]
        while True:
            # Until the next whole period, the same one for all, so that they share their work.
            period = context.poll_seconds
            await asyncio.sleep(period - asyncio.get_running_loop().time() % period)
            now = context.clock()
            span = query.span_at(now)
            try:
                async with context.query():
                    revisions = await self._read_revisions(span, now)
                    dirty = revisions.changed(known, query.tier, table.span, span)
                    fresh = await self._refresh(table, span, dirty)
            except (Unavailable, Overloaded) as error:
                _log.warning("a live metric waits: %s", error.message)
                continue
            if dirty or span != table.span:
                changed = await run_by_size(fresh.series.rows, THREAD_ROWS, table.changes, fresh)
                if changed:
                    yield changed
            known, table = revisions.after(known), fresh

    async def _refresh(self, table: LiveTable, span: Span, dirty: Span) -> LiveTable:
        """Return the table over a span; only what may have changed is evaluated, where that tells all."""
        query = self._query
        if not dirty and span == table.span:
            return table
        if dirty != span:
            part = await self._evaluate(dirty)
            spliced = await run_by_size(table.series.rows, THREAD_ROWS, table.spliced, span, dirty, part)
            if spliced is not None:
                return spliced
        return LiveTable(query.tier, span, await self._evaluate(span))

    async def _evaluate(self, span: Span) -> Series:
        query = self._query
        return await self._pyramid.evaluate(query.expression, query.tier, span, QueryCost(span.length))

    async def _read_revisions(self, span: Span, now: int) -> _Snapshot:
        """Read the revisions; always before the evaluation that they vouch for."""
        types = dict.fromkeys(reduction.type for reduction in reductions(self._query.expression))
        pyramid, tier = self._pyramid, self._query.tier
        return _Snapshot({type: await pyramid.revisions(type, tier, span) for type in types}, now)


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """The revisions of a query's types, by type; ``looked``: when its expired buckets were looked at."""

    types: Mapping[str, Revisions]
    looked: int

    def changed(self, before: _Snapshot, tier: Tier, known: Span, span: Span) -> Span:
        """Return the span of the buckets that are new or may have changed; empty if there are none.

        ``known``: the span of the snapshot ``before``.
        """
        new = set(tier.buckets(Span(span.start, min(span.stop, known.start))))
        new.update(tier.buckets(Span(max(known.stop, span.start), span.stop)))
        for type, revisions in self.types.items():
            old = before.types[type]
            if revisions.foreign or old.foreign:
                return span
            fresh = revisions.numbers
            new.update(bucket for bucket, number in fresh.items() if old.numbers.get(bucket) != number)
            new.update(bucket for bucket in old.numbers.keys() - fresh.keys() if bucket in span)
            expired = revisions.expired_before
            if expired is not None and (expired != old.expired_before or self._is_due(before)):
                new.update(tier.buckets(Span(span.start, min(span.stop, tier.ceil(expired)))))
        return Span(min(new), max(new) + tier.step) if new else Span(span.stop, span.stop)

    def after(self, before: _Snapshot) -> _Snapshot:
        """Return this as the snapshot that follows another."""
        return self if self._is_due(before) else _Snapshot(self.types, before.looked)

    def _is_due(self, before: _Snapshot) -> bool:
        return abs(self.looked - before.looked) >= EXPIRED_MS


@dataclass(frozen=True, slots=True)
class LiveTable:
    """The answer to a live query as its client has it: ``series``, over the buckets of ``span``."""

    tier: Tier
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
            values[self.tier.places(dirty, span)] = new
            return values

        default = spliced(self.series.default, fresh.default)
        if fresh.groups is None or self.series.groups is None:
            return LiveTable(self.tier, span, Series(default))
        groups: dict[GroupKey, Floats] = {}
        for key in self.series.groups.keys() | fresh.groups.keys():
            old = self.series.groups.get(key, self.series.default)
            groups[key] = spliced(old, fresh.groups.get(key, fresh.default))
            if key not in fresh.groups and not _differ(groups[key], default).any():
                return None
        return LiveTable(self.tier, span, Series(default, groups))

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
        times = bucket_times(self.tier, span)
        by_time = np.array(changed, dtype=bool).reshape(len(keys), len(times)).T
        for bucket, number in np.argwhere(by_time).tolist():
            (there, values), key = fresh[number], keys[number]
            row = metric_row(times[bucket], float(values[bucket]))
            if not there[bucket]:
                row["removed"] = True
            if key is not None:
                row["group"] = group_shown(key[1])
            yield row

    def _values(self, key: GroupKey | None, span: Span) -> tuple[_Mask, Floats]:
        """Return where in a span there is a row of a group, and the values (NaN is "no value")."""
        groups = self.series.groups
        values = self.series.default if key is None or groups is None else groups.get(key)
        if values is None:
            values = np.full(len(self.tier.buckets(span)), np.nan)
            return np.zeros(len(values), dtype=bool), values
        return self._over(span, np.zeros(len(values))) == 0, self._over(span, values)

    def _over(self, span: Span, values: Floats) -> Floats:
        """Return values of this table over another span: NaN in buckets that it has not."""
        moved, both = np.full(len(self.tier.buckets(span)), np.nan), self.span.intersect(span)
        if both:
            moved[self.tier.places(both, span)] = values[self.tier.places(both, self.span)]
        return moved


def _differ(one: Floats, other: Floats) -> _Mask:
    """Tell where two lines of values are shown differently."""
    differ: _Mask = (one != other) & ~(np.isnan(one) & np.isnan(other))
    return differ
