"""What a live metric has told its client, and what it has to tell next: pure, as whole series."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from cube.model.span import Span
from cube.model.tier import Tier
from evaluator.api.rows import group_shown, metric_row, texts
from evaluator.engine.codec import Floats, GroupKey
from evaluator.engine.series import Series

Row: TypeAlias = "dict[str, Any]"
_Mask: TypeAlias = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Told:
    """The answer to a metric query as its client has it: ``series``, over the buckets of ``span``."""

    tier: Tier
    span: Span
    series: Series

    def spliced(self, span: Span, dirty: Span, fresh: Series) -> Told | None:
        """Return the answer over ``span``: in ``dirty`` as ``fresh`` has it, elsewhere as it was told.

        ``dirty`` lies in ``span`` and holds all of its buckets that were not told. None where that does
        not tell which groups the answer has: one of which no event is seen may be gone, or have events
        that make no difference (of a sum: zeros).
        """
        default = self._moved(self.series.default, span, dirty, fresh.default)
        if fresh.groups is None or self.series.groups is None:
            return Told(self.tier, span, Series(default))
        groups: dict[GroupKey, Floats] = {}
        for key in self.series.groups.keys() | fresh.groups.keys():
            before = self.series.groups.get(key, self.series.default)
            groups[key] = self._moved(before, span, dirty, fresh.groups.get(key, fresh.default))
            if key not in fresh.groups and not _differ(groups[key], default).any():
                return None
        return Told(self.tier, span, Series(default, groups))

    def changes(self, now: Told) -> list[Row]:
        """Return what turns this answer into ``now``: rows, ordered by time, then by group.

        A row that is no longer part of the answer comes without a value, as ``removed``; first of all those
        after the last bucket of ``now`` (a clock was set back). Of those before its first nothing is said,
        unless their group is gone.
        """
        keys = _keys(self.series, now.series)
        gone = [key for key in keys if key is not None and key not in (now.series.groups or {})]
        after = Span(max(self.span.start, now.span.stop), max(self.span.stop, now.span.stop))
        before = Span(self.span.start, min(self.span.stop, now.span.start))
        parts = ((after, keys), (before, gone), (now.span, keys))
        return [row for span, some in parts if span and some for row in self._changes(now, span, some)]

    def _changes(self, now: Told, span: Span, keys: Sequence[GroupKey | None]) -> Iterator[Row]:
        told = [self._line(key, span) for key in keys]
        fresh = [now._line(key, span) for key in keys]
        changed = [
            (was != there) | (was & there & _differ(old, new))
            for (was, old), (there, new) in zip(told, fresh, strict=True)
        ]
        times = texts(self.tier, span)
        cells = np.array(changed, dtype=bool).reshape(len(keys), len(times))
        for bucket, number in np.argwhere(cells.T).tolist():
            (there, values), key = fresh[number], keys[number]
            row = metric_row(times[bucket], float(values[bucket]))
            if not there[bucket]:
                row["removed"] = True
            if key is not None:
                row["group"] = group_shown(key[1])
            yield row

    def _line(self, key: GroupKey | None, span: Span) -> tuple[_Mask, Floats]:
        """Return where in a span there is a row of a group, and the values (NaN is "no value")."""
        groups = self.series.groups
        there = np.zeros(len(self.tier.buckets(span)), dtype=bool)
        values = self.series.default if key is None or groups is None else groups.get(key)
        if values is None:
            return there, np.full(len(there), np.nan)
        both = self.span.intersect(span)
        if both:
            there[self._slice(both, span)] = True
        return there, self._moved(values, span, Span(0, 0), values)

    def _moved(self, told: Floats, span: Span, dirty: Span, fresh: Floats) -> Floats:
        values = np.full(len(self.tier.buckets(span)), np.nan)
        both = self.span.intersect(span)
        if both:
            values[self._slice(both, span)] = told[self._slice(both, self.span)]
        if dirty:
            values[self._slice(dirty, span)] = fresh
        return values

    def _slice(self, part: Span, whole: Span) -> slice:
        step = self.tier.step
        return slice((part.start - whole.start) // step, (part.stop - whole.start) // step)


def _keys(before: Series, now: Series) -> list[GroupKey | None]:
    if before.groups is None or now.groups is None:
        return [None]
    return [*sorted(before.groups.keys() | now.groups.keys())]


def _differ(one: Floats, other: Floats) -> _Mask:
    """Tell where two lines of values are shown differently."""
    differ: _Mask = (one != other) & ~(np.isnan(one) & np.isnan(other))
    return differ
