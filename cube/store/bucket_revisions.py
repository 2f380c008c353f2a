"""The revisions of buckets as arrays: thousands of them are compared, cut and passed on at once."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, KeysView, Mapping, ValuesView
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from cube.model.tier import Span

Numbers: TypeAlias = npt.NDArray[np.int64]
Mask: TypeAlias = npt.NDArray[np.bool_]


class BucketRevisions(Mapping[int, int]):
    """A mapping from the starts of buckets to their revisions, that never changes.

    ``buckets``: int64, shape (n,), ascending. ``revisions``: int64, shape (n,). To look a single bucket up
    makes a dict of all, once.
    """

    __slots__ = ("_by_bucket", "buckets", "revisions")

    def __init__(self, buckets: Numbers, revisions: Numbers) -> None:
        self.buckets = buckets
        self.revisions = revisions
        self._by_bucket: dict[int, int] | None = None

    @classmethod
    def of(cls, revisions: Mapping[int, int]) -> BucketRevisions:
        """Make arrays of any mapping; what has them is returned as it is."""
        if isinstance(revisions, BucketRevisions):
            return revisions
        count = len(revisions)
        return cls.sorted(
            np.fromiter(revisions.keys(), np.int64, count), np.fromiter(revisions.values(), np.int64, count)
        )

    @classmethod
    def sorted(cls, buckets: Numbers, revisions: Numbers) -> BucketRevisions:
        """Put buckets, each there once, in order where they are not."""
        if (buckets[1:] < buckets[:-1]).any():
            order = np.argsort(buckets)
            buckets, revisions = buckets[order], revisions[order]
        return cls(buckets, revisions)

    def __len__(self) -> int:
        return len(self.buckets)

    def __iter__(self) -> Iterator[int]:
        return iter(self._dict)

    def __getitem__(self, bucket: int) -> int:
        return self._dict[bucket]

    def __contains__(self, bucket: object) -> bool:
        return bucket in self._dict

    def __eq__(self, other: object) -> bool:
        if isinstance(other, BucketRevisions):
            return np.array_equal(self.buckets, other.buckets) and np.array_equal(
                self.revisions, other.revisions
            )
        return self._dict == other

    def __hash__(self) -> int:
        return hash((self.buckets.tobytes(), self.revisions.tobytes()))

    def __repr__(self) -> str:
        return f"BucketRevisions({self._dict})"

    def keys(self) -> KeysView[int]:
        return self._dict.keys()

    def values(self) -> ValuesView[int]:
        return self._dict.values()

    def items(self) -> ItemsView[int, int]:
        return self._dict.items()

    def span(self, step: int) -> Span:
        """Return what the buckets, each of so many milliseconds, reach over; there is at least one."""
        return Span(int(self.buckets[0]), int(self.buckets[-1]) + step)

    def part(self, span: Span) -> BucketRevisions:
        """Return the buckets that begin in a span."""
        return self.rows(*self.buckets.searchsorted((span.start, span.stop)).tolist())

    def rows(self, start: int, stop: int) -> BucketRevisions:
        """Return the buckets from one place up to another."""
        if start <= 0 and stop >= len(self):
            return self
        return BucketRevisions(self.buckets[start:stop], self.revisions[start:stop])

    def where(self, wanted: Mask) -> BucketRevisions:
        """Return the buckets of which a mask says so."""
        return self if wanted.all() else BucketRevisions(self.buckets[wanted], self.revisions[wanted])

    def only(self, buckets: Numbers) -> BucketRevisions:
        """Return those that are among some buckets, which ascend."""
        return self.where(are_among(self.buckets, buckets))

    def without(self, buckets: Numbers) -> BucketRevisions:
        """Return those that are not among some buckets, which ascend."""
        return self.where(~are_among(self.buckets, buckets))

    def joined(self, others: BucketRevisions) -> BucketRevisions:
        """Return these and others; no bucket is in both."""
        if not len(others):
            return self
        buckets = np.concatenate((self.buckets, others.buckets))
        return BucketRevisions.sorted(buckets, np.concatenate((self.revisions, others.revisions)))

    def at(self, buckets: Numbers) -> Numbers:
        """Return the revision of each of some buckets; 0, which none has, where there is none."""
        if not len(self):
            return np.zeros(len(buckets), dtype=np.int64)
        if len(buckets) == len(self) and np.array_equal(buckets, self.buckets):
            return self.revisions
        places = np.minimum(self.buckets.searchsorted(buckets), len(self) - 1)
        return np.where(self.buckets[places] == buckets, self.revisions[places], 0)

    def agreeing(self, other: BucketRevisions) -> BucketRevisions:
        """Return the buckets that have the same revision elsewhere."""
        return self.where(other.at(self.buckets) == self.revisions)

    def differing(self, other: BucketRevisions) -> Numbers:
        """Return the buckets, ascending, whose revision is another one elsewhere, or is there alone."""
        if self == other:
            return self.buckets[:0]
        ours = self.buckets[other.at(self.buckets) != self.revisions]
        theirs = other.buckets[self.at(other.buckets) != other.revisions]
        return np.union1d(ours, theirs)

    @property
    def _dict(self) -> dict[int, int]:
        if self._by_bucket is None:
            self._by_bucket = dict(zip(self.buckets.tolist(), self.revisions.tolist(), strict=True))
        return self._by_bucket


def are_among(some: Numbers, buckets: Numbers) -> Mask:
    """Tell which of some starts are among buckets, which ascend."""
    if not len(buckets):
        return np.zeros(len(some), dtype=np.bool_)
    if len(some) == len(buckets) and np.array_equal(some, buckets):
        return np.ones(len(some), dtype=np.bool_)
    places = np.minimum(buckets.searchsorted(some), len(buckets) - 1)
    found: Mask = buckets[places] == some
    return found


NO_REVISIONS = BucketRevisions(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))
