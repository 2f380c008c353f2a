"""What a stream knows of the recent past: which events its buckets had, as digests."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from cube.columns import Block, project, selected
from cube.expression.nodes import EventExpression
from cube.model.event import ABSENT, EventId
from cube.model.span import Span
from cube.model.tier import TEN_SECONDS

Digests: TypeAlias = npt.NDArray[np.int64]

_ENCODER = msgspec.msgpack.Encoder(enc_hook=repr)
_NONE: Digests = np.array([], dtype=np.int64)


class Arrival(NamedTuple):
    """One event that a stream met; ``data`` as its expression shows it.

    ``digest``: tells apart all that differ in time, id or any of their data, shown or not. ``size``: about
    the bytes that it holds.
    """

    time: int
    id: EventId
    data: Any
    digest: int
    size: int = 0


class Content(NamedTuple):
    """What a bucket was found to have: digests of everything, and the events that it had not before."""

    digests: Digests
    fresh: list[Arrival]


@dataclass(frozen=True, slots=True)
class _Bucket:
    revision: int
    digests: Digests
    turn: int


class Window:
    """The buckets of 10 s that a stream watches: 8 bytes an event, so that an hour fits.

    A bucket is *taken in* once its digests are known. One that was there when a follower began is *past*
    until then: its revision is known, or None where there is none to go by (a foreign type).
    """

    def __init__(self) -> None:
        self._taken: dict[int, _Bucket] = {}
        self._past: dict[int, int | None] = {}
        self._turns = 0

    @property
    def has_past(self) -> bool:
        """Whether any bucket is still to be taken in."""
        return bool(self._past)

    def see(self, numbers: Mapping[int, int] | Mapping[int, None], watched: Sequence[Span]) -> None:
        """Note the buckets that are there, with their revisions, as a follower begins.

        Those are left out that others have ``watched``: what these have not met yet is new to them.
        """
        for bucket, number in numbers.items():
            if bucket not in self._taken and not any(bucket in span for span in watched):
                self._past.setdefault(bucket, number)

    def behind(self, numbers: Mapping[int, int | None]) -> set[int]:
        """Return the buckets that are known at another revision than these, or not known."""
        return {
            bucket
            for bucket, number in numbers.items()
            if (self._taken[bucket].revision if bucket in self._taken else self._past.get(bucket)) != number
        }

    def past(self, count: int) -> list[int]:
        """Return some buckets that are still to be taken in: the latest."""
        return sorted(self._past, reverse=True)[:count]

    def is_past(self, bucket: int) -> bool:
        """Tell whether a bucket is still to be taken in."""
        return bucket in self._past

    def changed(self, numbers: Mapping[int, int]) -> list[int]:
        """Return the buckets that are not past and whose revision is another one than that last taken in.

        Those come first that were taken in the longest time ago, among equals the latest.
        """
        buckets = [
            bucket
            for bucket, number in numbers.items()
            if bucket not in self._past
            and (bucket not in self._taken or self._taken[bucket].revision != number)
        ]
        return sorted(buckets, key=lambda bucket: (self._turn(bucket), -bucket))

    def compare(self, buckets: Collection[int], met: Iterable[Arrival]) -> dict[int, Content]:
        """Sort what a scan met into buckets; changes nothing, so it may run in a thread."""
        contents: dict[int, list[Arrival]] = {bucket: [] for bucket in buckets}
        for arrival in met:
            bucket = TEN_SECONDS.floor(arrival.time)
            if bucket in contents:
                contents[bucket].append(arrival)
        return {bucket: self._content(bucket, arrivals) for bucket, arrivals in contents.items()}

    def take(self, contents: Mapping[int, Content], numbers: Mapping[int, int]) -> None:
        """Take buckets in, at the revisions that were read before they were scanned (0: it had none)."""
        self._turns += 1
        for bucket, content in contents.items():
            self._past.pop(bucket, None)
            self._taken[bucket] = _Bucket(numbers.get(bucket, 0), content.digests, self._turns)

    def take_past(self, contents: Mapping[int, Content], numbers: Mapping[int, int]) -> list[Content]:
        """Do so with those that are still past, and return them; others have been taken in later."""
        past = {bucket: content for bucket, content in contents.items() if bucket in self._past}
        self.take(past, numbers)
        return list(past.values())

    def held(self, arrivals: Sequence[Arrival]) -> list[Arrival]:
        """Return those that were there when their bucket was last taken in, or whose bucket is past.

        One that came in later comes with its bucket.
        """
        held: list[Arrival] = []
        known: dict[int, frozenset[int] | None] = {}
        for arrival in arrivals:
            bucket = TEN_SECONDS.floor(arrival.time)
            if bucket not in known:
                known[bucket] = None if bucket in self._past else frozenset(self._digests(bucket).tolist())
            digests = known[bucket]
            if digests is None or arrival.digest in digests:
                held.append(arrival)
        return held

    def trim(self, spans: Sequence[Span]) -> None:
        """Forget the buckets that begin in none of some spans."""
        for buckets in (self._taken, self._past):
            for bucket in [bucket for bucket in buckets if not any(bucket in span for span in spans)]:
                del buckets[bucket]

    def _content(self, bucket: int, arrivals: Sequence[Arrival]) -> Content:
        digests = np.array([arrival.digest for arrival in arrivals], dtype=np.int64)
        fresh = np.flatnonzero(~np.isin(digests, self._digests(bucket)))
        return Content(digests, [arrivals[row] for row in fresh.tolist()])

    def _digests(self, bucket: int) -> Digests:
        taken = self._taken.get(bucket)
        return _NONE if taken is None else taken.digests

    def _turn(self, bucket: int) -> int:
        taken = self._taken.get(bucket)
        return 0 if taken is None else taken.turn


def meet(expression: EventExpression, block: Block) -> list[Arrival]:
    """Return the events of a block, which has ids and whole data, that an expression selects."""
    if block.ids is None:
        raise ValueError("a stream needs a block with ids")
    rows = np.flatnonzero(selected(expression, block)).tolist()
    times, ids, data = block.times.tolist(), block.ids, block.data
    return [
        Arrival(
            times[row],
            ids[row],
            project(expression.fields, data[row]),
            *_digest(times[row], ids[row], data[row]),
        )
        for row in rows
    ]


def merged(spans: Iterable[Span]) -> list[Span]:
    """Return the fewest spans that cover the same, in order."""
    joined: list[Span] = []
    for span in sorted((span for span in spans if span), key=lambda span: span.start):
        if joined and span.start <= joined[-1].stop:
            joined[-1] = Span(joined[-1].start, max(joined[-1].stop, span.stop))
        else:
            joined.append(span)
    return joined


def _digest(time: int, id: EventId, data: Any) -> tuple[int, int]:
    """Return an event's digest, good in this process, and the bytes that it was made of.

    Python hashes bytes with SipHash and a key of the process: 64 bits that nobody outside can aim at.
    """
    content = _ENCODER.encode((time, id, data is ABSENT, None if data is ABSENT else data))
    return hash(content), len(content)
