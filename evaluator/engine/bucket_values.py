"""The values of buckets as arrays: what computations give, questions share, and series are made of.

Contents, the bytes that are cached, are made of them when they are saved, and read back as them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple

import numpy as np

from cube.columns import Finals, finished
from cube.columns.buckets import Times
from cube.columns.groups import Codes, Labels
from cube.columns.values import Floats
from cube.expression.nodes import Reduction
from cube.model.reduce import REDUCES
from cube.model.tier import GroupKey, Span
from cube.settings import EvaluatorLimits
from cube.store.bucket_revisions import BucketRevisions, are_among
from evaluator.engine.series import THREAD_ROWS, ReductionJob, Series, check_size, places_of
from evaluator.engine.single_flight import FlightPart, Gaps
from evaluator.engine.states import Encoded, State, States
from evaluator.engine.value_codec import decode_groups, decode_values, encode_groups, encode_values

QUICK_CELLS = 32_768
"""The series of groups that have so many values, or are no larger, are made in half a millisecond."""

_NO_BUCKETS = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, eq=False, slots=True)
class GroupPlaces:
    """Which bucket and which group each of m values is of.

    ``buckets``: int64, shape (m,), ascending: places among the buckets. ``labels``: their groups.
    """

    buckets: Codes
    labels: Labels


@dataclass(frozen=True, eq=False, slots=True)
class BucketValues:
    """The values of n buckets; NaN is "no value".

    ``buckets``: int64, shape (n,), ascending: all that are known, those without samples among them.
    ``values``: float64: without groups of each bucket, else of each bucket's groups.
    """

    buckets: Times
    values: Floats
    groups: GroupPlaces | None = None

    @classmethod
    def of_states(cls, reduction: Reduction, states: States) -> BucketValues:
        """Finish the states that are not lost."""
        known = {bucket: state for bucket, state in states.items() if state is not None}
        return cls.of_finals(reduction, (), known, np.array(sorted(known), dtype=np.int64))

    @classmethod
    def of_finals(
        cls, reduction: Reduction, found: Sequence[Finals], shared: Mapping[int, State], some: Times
    ) -> BucketValues:
        """Put together what blocks say of some ascending buckets; of what they ``share`` there are states.

        Those of which they say nothing have no samples.
        """
        parts = [each for each in found if len(each.buckets)]
        if shared:
            parts.append(_of_states(reduction, shared))
        if not parts:
            parts.append(Finals())
        values = np.concatenate([each.values for each in parts])
        buckets = np.concatenate([each.buckets for each in parts])
        places, held = some.searchsorted(buckets), are_among(buckets, some)
        if not held.all():
            places, values = places[held], values[held]
        if not reduction.is_grouped:
            empty = REDUCES[reduction.reduce].empty
            whole = np.full(len(some), np.nan if empty is None else empty)
            whole[places] = values
            return cls(some, whole)
        labels = _numbered([each.groups for each in parts])
        codes = labels.codes if held.all() else labels.codes[held]
        if shared:
            order = np.argsort(places, kind="stable")
            places, codes, values = places[order], codes[order], values[order]
        return cls(some, values, GroupPlaces(places, Labels(codes, labels.keys)))

    @classmethod
    def joined(cls, parts: Sequence[BucketValues]) -> BucketValues:
        """Put values of one reduction together, in order of time; there is one part at least."""
        if len(parts) == 1:
            return parts[0]
        buckets = np.concatenate([each.buckets for each in parts])
        values = np.concatenate([each.values for each in parts])
        groups = [each.groups for each in parts if each.groups is not None]
        if not groups:
            return cls(buckets, values)
        firsts = np.cumsum([0, *(len(each.buckets) for each in parts[:-1])]).tolist()
        places = [each.buckets + first for each, first in zip(groups, firsts, strict=True)]
        labels = _numbered([each.labels for each in groups])
        return cls(buckets, values, GroupPlaces(np.concatenate(places), labels))

    @classmethod
    def decoded(cls, contents: Mapping[int, bytes], *, grouped: bool) -> BucketValues:
        """Read the "value" contents of buckets."""
        buckets = np.fromiter(contents, np.int64, len(contents))
        if (buckets[1:] < buckets[:-1]).any():
            contents = dict(sorted(contents.items()))
            buckets.sort()
        if not grouped:
            return cls(buckets, decode_values(contents.values()))
        places, labels, values = decode_groups(list(contents.values()))
        return cls(buckets, values, GroupPlaces(places, labels))

    @property
    def bytes(self) -> int:
        """What the arrays take."""
        groups = 0 if self.groups is None else self.groups.buckets.nbytes + self.groups.labels.codes.nbytes
        return self.buckets.nbytes + self.values.nbytes + groups

    def only(self, buckets: Times) -> BucketValues:
        """Return those of some buckets, which ascend."""
        return self._where(are_among(self.buckets, buckets))

    def without(self, buckets: Times) -> BucketValues:
        """Return those of all but some buckets, which ascend."""
        return self._where(~are_among(self.buckets, buckets))

    def contents(self) -> Encoded:
        """Make the "value" content of each bucket; see `evaluator.engine.states`."""
        groups = self.groups
        if groups is not None:
            edges = groups.buckets.searchsorted(np.arange(len(self.buckets) + 1))
            return dict(
                zip(self.buckets.tolist(), encode_groups(edges, groups.labels, self.values), strict=True)
            )
        return dict(zip(self.buckets.tolist(), encode_values(self.values), strict=True))

    def _where(self, held: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> BucketValues:
        if held.all():
            return self
        if self.groups is None:
            return BucketValues(self.buckets[held], self.values[held])
        kept, labels = held[self.groups.buckets], self.groups.labels
        places = (np.cumsum(held) - 1)[self.groups.buckets[kept]]
        groups = GroupPlaces(places, Labels(labels.codes[kept], labels.keys))
        return BucketValues(self.buckets[held], self.values[kept], groups)


class FoundBuckets(NamedTuple):
    """What there is of some buckets, of one kind: contents that were cached, and what was computed."""

    cached: Encoded
    computed: Sequence[FlightPart[BucketValues | Encoded]]

    @classmethod
    def of(cls, values: BucketValues) -> FoundBuckets:
        """Return values that no revision vouches for."""
        return cls({}, [FlightPart(BucketRevisions(values.buckets, np.ones_like(values.buckets)), values)])

    @property
    def bytes(self) -> int:
        return sum(map(len, self.cached.values())) + sum(bytes_of(part.contents) for part in self.computed)

    def is_quick(self, buckets: int, *, grouped: bool) -> bool:
        """Tell whether a series of so many buckets is made of it as fast as a hop between threads is."""
        if not grouped:
            return len(self.cached) <= THREAD_ROWS
        if self.cached:
            return False
        cells = 0
        for _, values in self._computed_values():
            cells += len(values.values) + buckets * len(_groups(values).labels.keys)
        return cells <= QUICK_CELLS

    def lacks_any(self, numbers: BucketRevisions) -> bool:
        """Tell whether there is nothing of some of the buckets."""
        missing = numbers.without(np.array(sorted(self.cached), dtype=np.int64))
        for gaps, values in self._computed_values():
            missing = missing.without(gaps.only(values.buckets).buckets)
        return bool(missing)

    def series(
        self, job: ReductionJob, numbers: BucketRevisions, span: Span, limits: EvaluatorLimits
    ) -> Series:
        """Make the series of a job, of what was found of its values; ``numbers``: the revisions."""
        grouped = job.reduction.is_grouped
        values = [BucketValues.decoded(self.cached, grouped=grouped)] if self.cached else []
        values += [values.only(gaps.buckets) for gaps, values in self._computed_values()]
        return read_series(job, numbers, values, span, limits)

    def _computed_values(self) -> Iterator[tuple[Gaps, BucketValues]]:
        for gaps, values in self.computed:
            if not isinstance(values, BucketValues):
                raise TypeError("partials were found where values are asked for")
            yield gaps, values


NOTHING_FOUND: Final = FoundBuckets({}, ())


def bytes_of(contents: BucketValues | Encoded) -> int:
    """Return what values take in memory, or the contents of partials."""
    return contents.bytes if isinstance(contents, BucketValues) else sum(map(len, contents.values()))


def read_series(
    job: ReductionJob,
    numbers: BucketRevisions,
    parts: Sequence[BucketValues],
    span: Span,
    limits: EvaluatorLimits,
) -> Series:
    """Make the series of a job of values of some buckets of a span.

    ``numbers``: the revisions. Of the buckets without a value some are lost; the others are empty.
    """
    reduction, buckets = job.reduction, job.grid.buckets(span)
    check_size(limits, len(buckets), 0)
    empty = REDUCES[reduction.reduce].empty
    default = np.full(len(buckets), np.nan if empty is None else empty)
    default[places_of(job.lost(numbers, known_buckets(parts), span), buckets)] = np.nan
    placed = [(places_of(part.buckets, buckets), part) for part in parts]
    if reduction.is_grouped:
        return Series(default, scattered(default, placed, partial(check_size, limits, len(buckets))))
    for places, part in placed:
        default[places] = part.values
    return Series(default)


def known_buckets(parts: Sequence[BucketValues]) -> Times:
    """Return the buckets of which values are known, ascending."""
    if len(parts) == 1:
        return parts[0].buckets
    return np.unique(np.concatenate([_NO_BUCKETS, *(part.buckets for part in parts)]))


def scattered(
    default: Floats, parts: Sequence[tuple[Codes, BucketValues]], check: Callable[[int], None]
) -> dict[GroupKey, Floats]:
    """Return the series of each group of some values, whose buckets are at places of the ``default``.

    ``check`` is told how many groups there are before they are made into arrays.
    """
    numbers: dict[GroupKey, int] = {}
    tables: list[Codes] = []
    for _, each in parts:
        labels = _groups(each).labels
        used = np.flatnonzero(np.bincount(labels.codes, minlength=len(labels.keys)))
        table = np.zeros(len(labels.keys), dtype=np.int64)
        for code in used.tolist():
            key = labels.keys[code]
            if key is None:
                raise ValueError("a value without a group is among those of groups")
            table[code] = numbers.setdefault(key, len(numbers))
        tables.append(table)
    check(len(numbers))
    found = np.repeat(default[np.newaxis], len(numbers), axis=0)
    for (places, each), table in zip(parts, tables, strict=True):
        groups = _groups(each)
        found[table[groups.labels.codes], places[groups.buckets]] = each.values
    return dict(zip(numbers, found, strict=True))


def _groups(values: BucketValues) -> GroupPlaces:
    if values.groups is None:
        raise ValueError("values without groups are among those of groups")
    return values.groups


def _of_states(reduction: Reduction, states: Mapping[int, State]) -> Finals:
    """Finish states as if a block had told them."""
    cells = [(bucket, *each) for bucket, state in states.items() for each in finished(reduction, state)]
    if reduction.is_grouped:
        cells = [cell for cell in cells if cell[1] is not None]
    return Finals(
        np.array([bucket for bucket, _, _ in cells], dtype=np.int64),
        Labels.of(key for _, key, _ in cells),
        np.array([value for _, _, value in cells], dtype=np.float64),  # None is NaN
    )


def _numbered(parts: Sequence[Labels]) -> Labels:
    """Number the groups of several blocks as one."""
    if len(parts) == 1:
        return parts[0]
    numbers: dict[GroupKey | None, int] = {}
    codes = [
        np.array([numbers.setdefault(key, len(numbers)) for key in part.keys], dtype=np.int64)[part.codes]
        for part in parts
    ]
    return Labels(np.concatenate(codes), list(numbers))
