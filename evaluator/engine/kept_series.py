"""Series in memory, for those who ask again.

Each number with the revision that it was computed at; and those of whole expressions, with the version of the
store before they were asked for: as long as nobody has committed anything, no revision need be read.

A number counts where the revision that the question has read is the number's own, as in the cache of the
store, which then need not be read, nor decoded. Everything here runs on one event loop and awaits nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, replace
from sys import getsizeof
from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from cube.model.grid import Grid
from cube.model.tier import GroupKey, Span, part_keys
from cube.store.bucket_revisions import BucketRevisions
from evaluator.engine.series import Series, places_of

KEPT_BUCKETS = 10_000
"""Longer series are not kept: to compare their revisions would hold up the event loop."""

_KEPT_CELLS = 200_000
_SERIES_BYTES, _GROUP_BYTES = 1_000, 300
"""About what a series, and one group of it, take beside their numbers and texts."""

Revisions: TypeAlias = npt.NDArray[np.int64]
"""A revision for each bucket of a span, 0 where there is none."""


@dataclass(frozen=True, slots=True)
class KeptSeries:
    """The series of a reduction over a grid; ``revisions``: what each of its buckets was computed at."""

    grid: Grid
    span: Span
    revisions: Revisions
    series: Series

    @property
    def bytes(self) -> int:
        """What it takes, about; counted anew each time."""
        return bytes_of(self.series) + self.revisions.nbytes

    def known(self, span: Span, revisions: Revisions) -> npt.NDArray[np.bool_]:
        """Tell of which buckets of a span its numbers count: those at the very revisions that are given."""
        # A group is shown where it has a value in the span that is asked for, which arrays do not tell: all
        # buckets count, or none.
        if self.series.groups is not None:
            is_same = span == self.span and np.array_equal(self.revisions, revisions)
            return np.full(len(revisions), is_same)
        known = np.zeros(len(revisions), dtype=np.bool_)
        both = self.span.intersect(span)
        if both:
            ours, theirs = self.grid.places(both, self.span), self.grid.places(both, span)
            known[theirs] = self.revisions[ours] == revisions[theirs]
        return known

    def part(self, span: Span) -> Series:
        """Return the series of a span within its own."""
        if span == self.span:
            return self.series
        places = self.grid.places(span, self.span)
        return Series(self.series.default[places], vouched=int(np.count_nonzero(self.revisions[places])))

    def completed(self, span: Span, known: npt.NDArray[np.bool_], fresh: Series) -> Series:
        """Return the series of a span: its own numbers where they are known to count, else fresh ones."""
        if fresh.groups is not None or not known.any():
            return fresh
        values = fresh.default.copy()
        both = self.span.intersect(span)
        ours, theirs = self.grid.places(both, self.span), self.grid.places(both, span)
        values[theirs] = np.where(known[theirs], self.series.default[ours], values[theirs])
        return Series(values)

    def around(self, newer: KeptSeries) -> KeptSeries:
        """Return a newer series with what this one has before and after it, if it is not too long."""
        span = Span(min(self.span.start, newer.span.start), max(self.span.stop, newer.span.stop))
        is_apart = self.span.stop < newer.span.start or newer.span.stop < self.span.start
        if newer.series.groups is not None or is_apart or len(self.grid.buckets(span)) > KEPT_BUCKETS:
            return newer
        before = self.grid.places(Span(self.span.start, max(self.span.start, newer.span.start)), self.span)
        after = self.grid.places(Span(min(self.span.stop, newer.span.stop), self.span.stop), self.span)
        ours, theirs = self.series.default, newer.series.default
        values = np.concatenate((ours[before], theirs, ours[after]))
        revisions = np.concatenate((self.revisions[before], newer.revisions, self.revisions[after]))
        return KeptSeries(self.grid, span, revisions, whole(Series(values), revisions))


Entry = TypeVar("Entry", KeptSeries, "Answered")


@dataclass(frozen=True, slots=True)
class Answered:
    """The series of an expression; ``version``: of the store, before its revisions were read."""

    version: int
    series: Series

    @property
    def bytes(self) -> int:
        """As `KeptSeries.bytes`."""
        return bytes_of(self.series)


class SeriesCache:
    """The series of all stores of a process, within a bound of bytes; those used last stay."""

    def __init__(self, memory_bytes: int) -> None:
        self.bytes = 0
        self._bound = memory_bytes
        self._kept = _Sized[KeptSeries]()
        self._answered = _Sized[Answered]()

    def answer(self, key: Hashable, version: int) -> Series | None:
        """Return what was answered while the store had this version, which it has now."""
        found = self._answered.get(key)
        if found is None or found[0].version != version:
            return None
        self._answered.move_to_end(key)
        return found[0].series

    def keep_answer(self, key: tuple[Any, ...], newer: Answered) -> None:
        """Keep what revisions vouch for; the version was asked for before they were read."""
        self._take_out(self._answered, key)
        if newer.series.vouched is None or newer.series.rows > _KEPT_CELLS:
            return
        self._put(self._answered, key, newer)

    def get(self, key: Hashable) -> KeptSeries | None:
        found = self._kept.get(key)
        if found is None:
            return None
        self._kept.move_to_end(key)
        return found[0]

    def put(self, key: tuple[Any, ...], newer: KeptSeries) -> None:
        """Keep a series in the place of what there is, and with what that has around it."""
        older = self._take_out(self._kept, key)
        if older is not None:
            newer = older.around(newer)
        if newer.series.rows > _KEPT_CELLS:
            return
        self._put(self._kept, key, newer)

    def _put(self, entries: _Sized[Entry], key: tuple[Any, ...], entry: Entry) -> None:
        _freeze(entry.series)
        size = entry.bytes + sum(getsizeof(text) for text in key if isinstance(text, str))
        entries[key] = entry, size
        self.bytes += size
        while self.bytes > self._bound:
            self.bytes -= (self._answered or self._kept).popitem(last=False)[1][1]

    def _take_out(self, entries: _Sized[Entry], key: Hashable) -> Entry | None:
        entry, size = entries.pop(key, (None, 0))
        self.bytes -= size
        return entry


class _Sized(OrderedDict[Hashable, tuple[Entry, int]]):
    """What is kept by key, each with the bytes that it takes, in the order of their last use."""


def whole(series: Series, revisions: Revisions) -> Series:
    """Return a series of which each bucket was computed at its revision."""
    return replace(series, vouched=int(np.count_nonzero(revisions)))


def _freeze(series: Series) -> None:
    for values in (series.default, *(series.groups or {}).values()):
        values.flags.writeable = False


def bytes_of(series: Series) -> int:
    """Return what a series takes in memory where it is kept, about."""
    groups = series.groups or {}
    return (series.default.nbytes * (1 + len(groups))) + _SERIES_BYTES + sum(map(_bytes_of_group, groups))


def _bytes_of_group(key: GroupKey) -> int:
    """Return what a group takes beside its numbers, by the length of its name, or of all parts of it."""
    return _GROUP_BYTES + sum(getsizeof(part) for _, part in part_keys(key))


def dense(numbers: BucketRevisions, grid: Grid, span: Span) -> Revisions:
    """Return the revisions of a span's buckets as an array."""
    buckets = grid.buckets(span)
    revisions = np.zeros(len(buckets), dtype=np.int64)
    revisions[places_of(numbers.buckets, buckets)] = numbers.revisions
    return revisions


def unknown(
    numbers: BucketRevisions, known: npt.NDArray[np.bool_], grid: Grid, span: Span
) -> BucketRevisions:
    """Return the revisions of those of a span's buckets that are not known."""
    return numbers.where(~known[places_of(numbers.buckets, grid.buckets(span))])
