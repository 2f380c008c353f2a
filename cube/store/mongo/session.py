"""Reading: one query's view of the events."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import aclosing, suppress
from typing import Any, Final

from bson.datetime_ms import DatetimeMS

from cube.columns import PackedBlock
from cube.columns.block import Block
from cube.columns.values import Path
from cube.errors import Unavailable
from cube.model import instant
from cube.model.event import is_type
from cube.model.place import EventPlace
from cube.model.tier import Span, Tier
from cube.process.threads import run_in_thread
from cube.store.equality import NOTHING_WANTED, FieldPath, Scalar, Wanted
from cube.store.mongo import revisions
from cube.store.mongo.calls import answered
from cube.store.mongo.column_decoder import ColumnDecoder
from cube.store.mongo.documents import (
    MARK,
    NUMBER_KINDS,
    TEXT_KINDS,
    DocumentDecoder,
    is_escaped,
    parts,
    stored_id,
)
from cube.store.mongo.layout import EVENTS_SUFFIX, Document, Layout, path_of
from cube.store.ports import Revisions
from cube.store.read_options import ReadOptions

BLOCK_EVENTS = 5_000
"""Events in a block, at most; the server ends a batch at 16 MB, too."""

BLOCK_BYTES = 256 * 1024
"""Larger batches are decoded as several blocks: a time slice's worth of BSON each."""

CLOSE_SECONDS = 5.0


class MongoSession:
    """A `ReadSession`: reads of the primary.

    On sets and clusters they are those of one causally consistent session, which begins where the
    latest read of this process had come, and read what a majority holds: so events are never older
    than the revisions that were read before them, whichever server answers.
    """

    orders_ids: Final = False  # a sort by the id as well would be one of the whole span, in memory

    def __init__(self, layout: Layout, session: Any, options: ReadOptions) -> None:
        self._layout = layout
        self._session = session
        self._time_slice = options.time_slice
        seconds = options.seconds
        self._milliseconds = None if seconds is None else max(1, round(seconds * 1000))

    async def types(self) -> list[str]:
        async with answered():
            names = await self._layout.database.list_collection_names(session=self._session)
        types = (name.removesuffix(EVENTS_SUFFIX) for name in names if name.endswith(EVENTS_SUFFIX))
        return sorted(filter(is_type, types))

    async def revisions(self, type: str, tier: Tier, span: Span) -> Revisions:
        return await revisions.read(self._layout, type, tier, span, self._session, self._milliseconds)

    async def scan(
        self,
        type: str,
        span: Span,
        fields: Sequence[str] | None,
        *,
        ids: bool = False,
        newest_first: bool = False,
        wanted: Wanted = NOTHING_WANTED,
        after: EventPlace | None = None,
        batch_events: int = BLOCK_EVENTS,
    ) -> AsyncGenerator[Block, None]:
        """Read events as raw batches and decode each as blocks, in threads, in time slices.

        Named fields are projected as ``d.<field>``, which drops data that are not objects; those have
        no fields, so filters and values find the same in them; not for a name that may be stored escaped: all
        data are read for it.
        """
        names = _named(fields)
        decoder = DocumentDecoder(ids=ids) if ids or names is None else ColumnDecoder(names)
        batches = self.parts(
            type,
            span,
            _projection(fields, ids),
            wanted,
            newest_first=newest_first,
            after=after,
            batch_events=batch_events,
        )
        async with aclosing(batches):
            async for part in batches:
                async with self._time_slice():
                    block = await run_in_thread(decoder.block, part)
                if len(block):
                    yield block

    async def packed(
        self, type: str, span: Span, paths: Collection[Path]
    ) -> AsyncGenerator[Sequence[PackedBlock], None]:
        fields = sorted({str(path[0]) for path in paths})
        names = _named(fields)
        decoder = DocumentDecoder(ids=False) if names is None else ColumnDecoder(names)

        def pack(part: bytes) -> PackedBlock:
            return PackedBlock.of(decoder.block(part), paths)

        async with aclosing(self.parts(type, span, _projection(fields, ids=False))) as batches:
            async for part in batches:
                async with self._time_slice():
                    block = await run_in_thread(pack, part)
                if len(block):
                    yield [block]

    async def parts(
        self,
        type: str,
        span: Span,
        projection: Document,
        wanted: Wanted = NOTHING_WANTED,
        *,
        newest_first: bool = False,
        after: EventPlace | None = None,
        batch_events: int = BLOCK_EVENTS,
    ) -> AsyncGenerator[bytes, None]:
        """Read the documents of a span, ordered by time, as raw BSON of about `BLOCK_BYTES` each time."""
        events = self._layout.events(type, self._session)
        cursor = events.find_raw_batches(
            {**await self._filter(events, span, wanted), **_without_passed(after, newest_first=newest_first)},
            projection,
            sort=[("t", -1 if newest_first else 1)],
            batch_size=batch_events,
            allow_disk_use=True,
            session=self._session,
            max_time_ms=self._milliseconds,
        )
        try:
            while (batch := await _next(cursor)) is not None:
                for part in parts(batch, BLOCK_BYTES):
                    yield part
        finally:
            with suppress(Unavailable):  # the server forgets an untold cursor after ten minutes
                async with answered(CLOSE_SECONDS):
                    await cursor.close()

    async def stored_parts(self, type: str, span: Span) -> None:
        """Return None: any document may be replaced where it is."""

    async def indexed(self, type: str, span: Span, wanted: Wanted, most: int) -> int | None:
        events = self._layout.events(type, self._session)
        filter = await self._filter(events, span, wanted)
        if "$and" not in filter:
            return None
        bounds = {} if self._milliseconds is None else {"maxTimeMS": self._milliseconds}
        async with answered():
            return int(await events.count_documents(filter, limit=most, session=self._session, **bounds))

    async def _filter(self, events: Any, span: Span, wanted: Wanted) -> Document:
        """Return the query for the events of a span.

        Values whose field an index begins with are part of it, beside what is read as such and stored as
        something else; without an index the server would look for long with nothing to give.
        """
        filter: Document = {"t": {"$gte": _date(span.start), "$lte": _date(span.stop - 1)}}
        sent = {path_of(names): value for names, value in wanted.items() if _is_sent(names, value)}
        first = await indexed(events, self._session) if sent else frozenset()
        selective = [
            {"$or": [{path: value}, {path: {"$type": _kinds(value)}}]}
            for path, value in sent.items()
            if path in first
        ]
        return filter | {"$and": selective} if selective else filter


def _kinds(value: Scalar) -> list[str]:
    """Return the server's names of the kinds that are read as one that a value may equal."""
    return TEXT_KINDS if isinstance(value, str) else NUMBER_KINDS


def _is_sent(names: FieldPath, value: Scalar) -> bool:
    """Tell whether the server means the same: not by escaped names, nor by text that stands for no UTF-8."""
    return not any(map(is_escaped, names)) and not any("\ufffd" in str(part) for part in (*names, value))


async def indexed(collection: Any, session: Any = None) -> frozenset[str]:
    """Return the fields that indexes of a collection begin with."""
    async with answered():
        indexes = await collection.index_information(session=session)
    return frozenset(index["key"][0][0] for index in indexes.values())


async def _next(cursor: Any) -> bytes | None:
    async with answered():
        batch: bytes | None = await anext(cursor, None)
    return batch


def _named(fields: Sequence[str] | None) -> Sequence[str] | None:
    """Return the names that are projected; None where whole data are read."""
    return None if fields is None or any(map(is_escaped, fields)) else fields


def _projection(fields: Sequence[str] | None, ids: bool) -> Document:
    names = _named(fields)
    paths = ["d"] if names is None else [f"d.{name}" for name in names]
    return {"_id": ids, "t": 1, MARK: 1, **dict.fromkeys(paths, 1)}


def _without_passed(after: EventPlace | None, *, newest_first: bool) -> Document:
    """Return the query that leaves out what a walk has passed, where the server orders ids as we do.

    Texts it orders by the collection's collation, and some doubles are texts to us.
    """
    if after is None or not isinstance(after.id, bytes | int):
        return {}
    end, kinds = "$gte" if newest_first else "$lte", "objectId" if isinstance(after.id, bytes) else "long int"
    passed = {end: stored_id(after.id), "$type": kinds.split()}
    return {"$nor": [{"t": _date(after.time), "_id": passed}]}


def _date(time: int) -> DatetimeMS:
    return DatetimeMS(min(max(time, instant.EARLIEST), instant.LATEST))
