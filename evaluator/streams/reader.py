"""What streams read of the store: revisions, buckets, and events in order."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np

from cube.columns import Block, has_patterns, project, selected
from cube.expression.nodes import EventExpression
from cube.model.event import ABSENT, EventId
from cube.model.tier import TEN_SECONDS, Span
from cube.store.bucket_revisions import BucketRevisions
from cube.store.find import search
from cube.store.ports import ReadSession, Revisions
from cube.store.read_options import TimeSlice
from cube.store.slices import Slices
from evaluator.engine.reading import runs

_ENCODER = msgspec.msgpack.Encoder(enc_hook=repr)


class Arrival(NamedTuple):
    """One event that a stream found; ``data`` as its expression shows it.

    ``digest``: tells apart all that differ in time, id or any of their data, shown or not. ``size``: about
    the bytes that it holds.
    """

    time: int
    id: EventId
    data: Any
    digest: int
    size: int = 0


class StreamReader:
    """One session of the store, for the events that one expression selects."""

    def __init__(self, session: ReadSession, time_slice: TimeSlice, expression: EventExpression) -> None:
        self.time_slice: Final = time_slice
        self._session = session
        self._expression = expression
        self._slices = Slices(time_slice, searched=has_patterns(expression))

    async def revisions(self, spans: Sequence[Span]) -> Revisions:
        """Read the revisions of 10 s of some aligned spans, as those of one."""
        read = [
            await self._session.revisions(self._expression.type, TEN_SECONDS, span)
            for span in spans or [Span(0, 0)]
        ]
        numbers = {bucket: number for each in read for bucket, number in each.numbers.items()}
        return replace(read[-1], numbers=BucketRevisions.of(numbers))

    def in_order(
        self, span: Span, *, limit: int | None = None, newest_first: bool = False
    ) -> AsyncGenerator[list[Arrival], None]:
        """Find events as `cube.store.find.find` does."""
        return search(
            self._session,
            self._expression,
            span,
            partial(select, self._expression),
            None,
            limit=limit,
            newest_first=newest_first,
            time_slice=self.time_slice,
        )

    async def in_buckets(self, buckets: Iterable[int], numbers: Mapping[int, int]) -> list[Arrival]:
        """Return the events of some buckets; ``numbers``: the revisions of all that are known of around."""
        found: list[Arrival] = []
        buckets = set(buckets)
        for span in runs(buckets, numbers.keys() | buckets, TEN_SECONDS):
            scan = self._session.scan(self._expression.type, span, None, ids=True)
            async with aclosing(scan) as blocks:
                async for block in blocks:
                    selections = self._slices.each(block, partial(select, self._expression))
                    async with aclosing(selections) as parts:
                        async for arrivals in parts:
                            found += arrivals
        return found


def is_unbuilt(revisions: Revisions) -> bool:
    """Tell whether the revisions of a type have to be built first: another tool has filled it."""
    return revisions.known and not revisions.complete and not revisions.foreign


def select(expression: EventExpression, block: Block) -> list[Arrival]:
    """Return the events of a block, which has ids and whole data, that an expression selects."""
    rows = np.flatnonzero(selected(expression, block)).tolist()
    times, ids, data = block.times.tolist(), block.known_ids, block.data
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
    """Return an event's digest, good in this process, and the bytes that it was made of.

    Python hashes bytes with SipHash and a key of the process: 64 bits that nobody outside can aim at.
    """
    content = _ENCODER.encode((time, id, data is ABSENT, None if data is ABSENT else data))
    return hash(content), len(content)
