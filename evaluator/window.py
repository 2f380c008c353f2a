"""What a stream knows of the recent past: which events it has met, as digests, by bucket."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from cube.columns import Block, project, selected
from cube.event import ABSENT, EventId
from cube.expression.nodes import EventExpression
from cube.span import Span
from cube.tier import TEN_SECONDS

_DIGEST_BYTES = 8
_ENCODER = msgspec.msgpack.Encoder(enc_hook=repr)


class Arrival(NamedTuple):
    """One event that a stream met; ``data`` as its expression shows it.

    ``digest``: tells apart all that differ in time, id or any of their data. ``size``: about the bytes
    that it holds.
    """

    time: int
    id: EventId
    data: Any
    digest: int
    size: int = 0


@dataclass(frozen=True, slots=True)
class _Bucket:
    revision: int
    digests: npt.NDArray[np.int64]


class Window:
    """The buckets of 10 s that a stream watches: 8 bytes an event, so that an hour fits."""

    def __init__(self) -> None:
        self._buckets: dict[int, _Bucket] = {}

    def changed(self, numbers: Mapping[int, int]) -> set[int]:
        """Return the buckets whose revisions are not those that were last seen."""
        known = self._buckets
        return {
            bucket
            for bucket, number in numbers.items()
            if bucket not in known or known[bucket].revision != number
        }

    def take(
        self, changed: Collection[int], numbers: Mapping[int, int], met: Iterable[Arrival]
    ) -> list[Arrival]:
        """Replace the contents of changed buckets by what a scan met; return what is new."""
        contents: dict[int, list[Arrival]] = {bucket: [] for bucket in changed}
        for arrival in met:
            bucket = TEN_SECONDS.floor(arrival.time)
            if bucket in contents:
                contents[bucket].append(arrival)
        fresh: list[Arrival] = []
        for bucket, arrivals in contents.items():
            known = self._digests(bucket)
            fresh += [arrival for arrival in arrivals if arrival.digest not in known]
            digests = np.array([arrival.digest for arrival in arrivals], dtype=np.int64)
            self._buckets[bucket] = _Bucket(numbers[bucket], digests)
        return fresh

    def held(self, arrivals: Iterable[Arrival]) -> list[Arrival]:
        """Return those that are still stored as they were met, as far as the last look knows."""
        held: list[Arrival] = []
        known: dict[int, set[int]] = {}
        for arrival in arrivals:
            bucket = TEN_SECONDS.floor(arrival.time)
            if bucket not in known:
                known[bucket] = self._digests(bucket)
            if arrival.digest in known[bucket]:
                held.append(arrival)
        return held

    def trim(self, span: Span) -> None:
        """Forget the buckets before a span."""
        for bucket in [bucket for bucket in self._buckets if bucket < span.start]:
            del self._buckets[bucket]

    def _digests(self, bucket: int) -> set[int]:
        known = self._buckets.get(bucket)
        return set() if known is None else set(known.digests.tolist())


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


def _digest(time: int, id: EventId, data: Any) -> tuple[int, int]:
    """Return an event's digest, and the bytes that it was made of."""
    content = _ENCODER.encode((time, id, data is ABSENT, None if data is ABSENT else data))
    digest = blake2b(content, digest_size=_DIGEST_BYTES).digest()
    return int.from_bytes(digest, "big", signed=True), len(content)
