"""Series: the numbers of one expression over consecutive buckets: what of the cache counts, and arithmetic.

Everything here is pure. NaN is "no value" throughout.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, assert_never

import numpy as np

from cube.columns import SEMANTICS
from cube.columns.buckets import Times
from cube.columns.values import OPERATIONS, Floats
from cube.expression import canonical_text
from cube.expression.grouping import Parts, grouped_by
from cube.expression.nodes import (
    Cohorts,
    Funnel,
    MetricExpression,
    Negation,
    Number,
    Product,
    Reduction,
    SeriesCall,
    SessionReduction,
    Sum,
)
from cube.model.grid import Grid
from cube.model.reduce import REDUCES
from cube.model.tier import GroupKey, Span, Tier, part_keys, several_key
from cube.settings import EvaluatorLimits
from cube.store.bucket_revisions import BucketRevisions, are_among
from cube.store.metric_ports import CachedBucket, CacheKey
from evaluator.engine.value_codec import KIND
from evaluator.query.limits import LimitExceeded

VALUE, PARTIAL = "value", "partial"
"""The kinds of contents."""

THREAD_ROWS = 2_000
"""Longer series are made, and written, in a thread."""

_NEVER: Final = -(2**63)


@dataclass(frozen=True, slots=True)
class ReductionJob:
    """One reduction over one grid, and what is expired of its type; ``text``: the canonical one."""

    reduction: Reduction
    text: str
    grid: Grid
    expired_before: int | None

    @property
    def tier(self) -> Tier:
        """The grid, where it is a tier; raises `TypeError`."""
        if not isinstance(self.grid, Tier):
            raise TypeError(f"{self.grid.text} is not a tier")
        return self.grid

    def is_expired(self, bucket: int) -> bool:
        """Tell whether a bucket's events are, or may be, gone."""
        return bucket < self._horizon

    def fresh(self, gaps: BucketRevisions) -> BucketRevisions:
        """Return the buckets whose events are all there."""
        return gaps.rows(self._count_expired(gaps), len(gaps))

    def expired(self, gaps: BucketRevisions) -> BucketRevisions:
        """Return the buckets whose events are, or may be, gone."""
        return gaps.rows(0, self._count_expired(gaps))

    def lost(self, numbers: BucketRevisions, known: Times, span: Span) -> Times:
        """Return the buckets that have no value, though they had, or may have had, events.

        ``known``: those that have one, ascending.
        """
        lost = numbers.without(known).buckets
        if not self.is_expired(span.start):
            return lost
        buckets = np.array(self.grid.buckets(span), dtype=np.int64)
        expired = buckets[buckets < self._horizon]
        return np.union1d(lost, expired[~are_among(expired, known)])

    @property
    def _horizon(self) -> int:
        return _NEVER if self.expired_before is None else self.expired_before

    def _count_expired(self, gaps: BucketRevisions) -> int:
        return int(gaps.buckets.searchsorted(self._horizon))

    def key(self, kind: str) -> CacheKey:
        """Return the key of what is cached of the job, of one kind."""
        return self._key(KIND if kind == VALUE and self.reduction.is_grouped else kind)

    def former_key(self, kind: str) -> CacheKey | None:
        """Return under which key older versions kept the same, where it counts: since events have expired."""
        is_former = kind == VALUE and self.reduction.is_grouped and self.expired_before is not None
        return self._key(kind) if is_former else None

    def _key(self, kind: str) -> CacheKey:
        of = kind if isinstance(self.grid, Tier) else f"{kind} {self.grid.text}"
        return CacheKey(self.reduction.type, self.text, of, SEMANTICS)

    def believed(self, found: Mapping[int, CachedBucket], numbers: BucketRevisions) -> dict[int, bytes]:
        """Return the contents that count: of the same revision, whether the bucket is expired or not."""
        if not found:
            return {}
        revision_of = numbers.get
        return {
            bucket: cached.content
            for bucket, cached in found.items()
            if revision_of(bucket) == cached.revision
        }


@dataclass(frozen=True, slots=True)
class Series:
    """The numbers of an expression, one per bucket (and group).

    ``default``: float64, shape (n,): without groups the values themselves; with groups what a group
    has that is not in ``groups``. ``groups``: None without groups; each array has shape (n,).
    ``vouched``: of how many buckets revisions vouch for it, where nothing else does; None where more than the
    store may change it.
    """

    default: Floats
    groups: Mapping[GroupKey, Floats] | None = None
    vouched: int | None = None

    @property
    def rows(self) -> int:
        """How many rows an answer has that shows it."""
        return len(self.default) * (1 if self.groups is None else len(self.groups))

    @property
    def is_silent(self) -> bool:
        """Whether it has no value other than zero."""
        shown = (self.default,) if self.groups is None else self.groups.values()
        return not any((np.abs(values) > 0).any() for values in shown)


def check_size(limits: EvaluatorLimits, buckets: int, groups: int) -> None:
    """Raise `LimitExceeded` where an answer has too many groups or cells (buckets times groups).

    ``groups``: 0 without any; else what has been counted of them, which need not be all.
    """
    if groups > limits.groups:
        raise LimitExceeded(
            f"The expression has more than {limits.groups} groups; accepted are {limits.groups}:"
            " filter, or group by another field.",
            reason="groups",
            field="expression",
        )
    if buckets > limits.cells:
        raise LimitExceeded(
            f"The answer has {buckets} buckets; accepted are {limits.cells}:"
            " take a shorter span or a larger step.",
            reason="cells",
        )
    if buckets * groups > limits.cells:
        raise LimitExceeded(
            f"The answer has {buckets} buckets times {groups} groups or more; accepted are {limits.cells}"
            f" values together, with so many groups {limits.cells // groups} buckets: take a shorter span,"
            " a larger step or fewer groups.",
            reason="cells",
        )


def check_memory(limits: EvaluatorLimits, held: int) -> None:
    """Raise `LimitExceeded` where a query holds more bytes than it may."""
    if held > limits.memory_bytes:
        *most, last = sorted(reduce.name for reduce in REDUCES.values() if reduce.grows)
        raise LimitExceeded(
            f"The query would hold more than {limits.memory_bytes} bytes of partial results, which is the"
            " limit: take a shorter span, fewer groups, or a reduce other than"
            f" {', '.join(most)} and {last}.",
            reason="memory",
            field="expression",
        )


def compute(
    node: MetricExpression, buckets: int, measured: Mapping[str, Series], limits: EvaluatorLimits
) -> Series:
    """Evaluate an expression whose reductions and calls have been measured, each over the same buckets.

    ``measured``: by canonical text, since trees that differ can compare equal (1 and true).
    """
    match node:
        case Reduction() | Funnel() | Cohorts() | SessionReduction() | SeriesCall():
            return measured[canonical_text(node)]
        case Number(value):
            return Series(np.full(buckets, float(value)))
        case Negation(operand):
            return _negate(compute(operand, buckets, measured, limits))
        case Sum(parts) | Product(parts):
            # The first sign is "+" and the first scale "*", so the first part stands as it is.
            total, by = compute(parts[0][1], buckets, measured, limits), grouped_by(parts[0][1])
            for sign, part in parts[1:]:
                its, its_by = compute(part, buckets, measured, limits), grouped_by(part)
                if by is not None and its_by is not None and len(by) != len(its_by):
                    total, its = _spread(total, by, its, its_by)
                total = _join(OPERATIONS[sign], total, its, limits)
                by = max(by or (), its_by or (), key=len) or None
            return total
        case _:
            assert_never(node)


def _spread(left: Series, by: Parts, right: Series, its_by: Parts) -> tuple[Series, Series]:
    """Give the side whose groups have fewer parts the groups of the other, each with what it is part of."""
    if len(by) > len(its_by):
        return left, _spread_over(right, its_by, left, by)
    return _spread_over(left, by, right, its_by), right


def _spread_over(fewer: Series, by: Parts, more: Series, more_by: Parts) -> Series:
    places, ours = [more_by.index(part) for part in by], fewer.groups or {}
    groups: dict[GroupKey, Floats] = {}
    for key in more.groups or ():
        parts = [part_keys(key)[place] for place in places]
        its = ours.get(parts[0] if len(parts) == 1 else several_key(parts))
        if its is not None:
            groups[key] = its
    return Series(fewer.default, groups)


def _join(
    operation: Callable[[Floats, Floats], Floats], left: Series, right: Series, limits: EvaluatorLimits
) -> Series:
    """Apply an operator; a group that one side lacks has that side's default."""
    default = _apply(operation, left.default, right.default)
    if left.groups is None and right.groups is None:
        return Series(default)
    ours, theirs = left.groups or {}, right.groups or {}
    keys = ours.keys() | theirs.keys()
    check_size(limits, len(default), len(keys))
    return Series(
        default,
        {key: _apply(operation, ours.get(key, left.default), theirs.get(key, right.default)) for key in keys},
    )


def _negate(series: Series) -> Series:
    groups = series.groups
    return Series(
        -series.default, None if groups is None else {key: -values for key, values in groups.items()}
    )


def _apply(operation: Callable[[Floats, Floats], Floats], left: Floats, right: Floats) -> Floats:
    with np.errstate(all="ignore"):
        result = operation(left, right)
    result[~np.isfinite(result)] = np.nan
    return result


def places_of(some: Times, buckets: Sequence[int]) -> Times:
    """Return the place of each of some buckets of a span among all of them, which ascend."""
    if isinstance(buckets, range):
        return (some - buckets.start) // buckets.step
    return np.array(buckets, dtype=np.int64).searchsorted(some)
