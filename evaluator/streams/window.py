"""What a stream knows of the recent past: which events its buckets had, as digests."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from cube.model.tier import TEN_SECONDS, Span
from evaluator.streams.reader import Arrival

Digests: TypeAlias = npt.NDArray[np.int64]


class BucketContent(NamedTuple):
    """What a bucket was found to have: digests of everything, and the events that it had not before."""

    digests: Digests
    fresh: list[Arrival]


@dataclass(frozen=True, slots=True)
class _Recorded:
    revision: int | None
    digests: Digests
    round: int


_NEVER = _Recorded(None, np.array([], dtype=np.int64), 0)


class Window:
    """The buckets of 10 s that a stream watches: 8 bytes an event, so that an hour fits.

    A bucket is *recorded* once its digests are known. One that was there when a subscriber began is in the
    *backlog* until then: its revision is known, or None where there is none to go by (a foreign type).
    """

    def __init__(self) -> None:
        self._recorded: dict[int, _Recorded] = {}
        self._backlog: dict[int, int | None] = {}
        self._rounds = 0

    @property
    def has_backlog(self) -> bool:
        """Whether any bucket is still to be recorded."""
        return bool(self._backlog)

    def add_backlog(self, numbers: Mapping[int, int] | Mapping[int, None], watched: Sequence[Span]) -> None:
        """Note the buckets that are there, with their revisions, as a subscriber begins.

        Those are left out that others have ``watched``: what these have not met yet is new to them.
        """
        for bucket, number in numbers.items():
            if bucket not in self._recorded and not any(bucket in span for span in watched):
                self._backlog.setdefault(bucket, number)

    def stale(self, numbers: Mapping[int, int | None]) -> set[int]:
        """Return the buckets that are known at another revision than these, or not known."""
        return {bucket for bucket, number in numbers.items() if self._revision(bucket) != number}

    def backlog(self, count: int) -> list[int]:
        """Return some buckets that are still to be recorded: the latest."""
        return sorted(self._backlog, reverse=True)[:count]

    @property
    def backlog_buckets(self) -> frozenset[int]:
        return frozenset(self._backlog)

    def changed(self, numbers: Mapping[int, int]) -> list[int]:
        """Return the buckets that are not in the backlog, and whose revision is not the one recorded.

        Those come first that were recorded the longest time ago, among equals the latest.
        """
        buckets = [
            bucket
            for bucket, number in numbers.items()
            if bucket not in self._backlog and self._recorded.get(bucket, _NEVER).revision != number
        ]
        return sorted(buckets, key=lambda bucket: (self._recorded.get(bucket, _NEVER).round, -bucket))

    def compare(self, buckets: Collection[int], arrivals: Iterable[Arrival]) -> dict[int, BucketContent]:
        """Sort what a scan found into buckets; changes nothing, so it may run in a thread."""
        found: dict[int, list[Arrival]] = {bucket: [] for bucket in buckets}
        for arrival in arrivals:
            bucket = TEN_SECONDS.floor(arrival.time)
            if bucket in found:
                found[bucket].append(arrival)
        return {bucket: self._content(bucket, inside) for bucket, inside in found.items()}

    def record(self, contents: Mapping[int, BucketContent], numbers: Mapping[int, int]) -> None:
        """Record buckets at the revisions that were read before they were scanned (0: it had none)."""
        self._rounds += 1
        for bucket, content in contents.items():
            self._backlog.pop(bucket, None)
            self._recorded[bucket] = _Recorded(numbers.get(bucket, 0), content.digests, self._rounds)

    def record_backlog(
        self, contents: Mapping[int, BucketContent], numbers: Mapping[int, int]
    ) -> list[BucketContent]:
        """Record those that are still in the backlog, and return them; others have been recorded later."""
        left = {bucket: content for bucket, content in contents.items() if bucket in self._backlog}
        self.record(left, numbers)
        return list(left.values())

    def known(self, arrivals: Sequence[Arrival], backlog: Collection[int]) -> list[Arrival]:
        """Return those that were there when their bucket was last recorded, and those of the backlog.

        One that came later comes with its bucket.
        """
        known: list[Arrival] = []
        by_bucket: dict[int, frozenset[int] | None] = {}
        for arrival in arrivals:
            bucket = TEN_SECONDS.floor(arrival.time)
            if bucket not in by_bucket:
                recorded = frozenset(self._recorded.get(bucket, _NEVER).digests.tolist())
                by_bucket[bucket] = None if bucket in backlog else recorded
            digests = by_bucket[bucket]
            if digests is None or arrival.digest in digests:
                known.append(arrival)
        return known

    def trim(self, spans: Sequence[Span]) -> None:
        """Forget the buckets that begin in none of some spans."""
        for buckets in (self._recorded, self._backlog):
            for bucket in [bucket for bucket in buckets if not any(bucket in span for span in spans)]:
                del buckets[bucket]

    def _content(self, bucket: int, arrivals: Sequence[Arrival]) -> BucketContent:
        digests = np.array([arrival.digest for arrival in arrivals], dtype=np.int64)
        fresh = np.flatnonzero(~np.isin(digests, self._recorded.get(bucket, _NEVER).digests))
        return BucketContent(digests, [arrivals[row] for row in fresh.tolist()])

    def _revision(self, bucket: int) -> int | None:
        recorded = self._recorded.get(bucket)
        return self._backlog.get(bucket) if recorded is None else recorded.revision


def merged(spans: Iterable[Span]) -> list[Span]:
    """Return the fewest spans that cover the same, in order."""
    joined: list[Span] = []
    for span in sorted((span for span in spans if span), key=lambda span: span.start):
        if joined and span.start <= joined[-1].stop:
            joined[-1] = Span(joined[-1].start, max(joined[-1].stop, span.stop))
        else:
            joined.append(span)
    return joined
