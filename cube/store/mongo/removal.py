"""Deleting some events by an expression, as a commit of its own: notes, the deletes, then the raise.

A document is deleted only while it is, value by value, the one that the expression selected: one that was
replaced meanwhile stays, and is looked at again.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, Final, NamedTuple

import bson
import numpy as np
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.datetime_ms import DatetimeMS
from bson.raw_bson import RawBSONDocument
from pymongo import DeleteOne

from cube.columns import selected
from cube.expression.nodes import EventExpression
from cube.model.tier import Span
from cube.process.threads import run_in_thread
from cube.store.equality import wanted_by
from cube.store.mongo import revisions
from cube.store.mongo.calls import fetched, written
from cube.store.mongo.commit import times_of
from cube.store.mongo.documents import MARK, DocumentDecoder
from cube.store.mongo.layout import Document, Layout
from cube.store.mongo.session import MongoSession
from cube.store.selected_places import SLICE_EVENTS, shown_by_filters

_RAW: Final[CodecOptions[RawBSONDocument]] = CodecOptions(
    document_class=RawBSONDocument, datetime_conversion=DatetimeConversion.DATETIME_MS
)
_PROJECTION: Final[Document] = {"_id": 1, "t": 1, "d": 1, MARK: 1}
_SENT: Final = 500  # deletes that are sent together, each with the data of its document


class DocumentRemoval:
    """Documents of one type that are to be deleted, in the form of a `Commit`.

    ``touched``: every time whose buckets this may change; it grows before the raise. ``deleted``: how many
    were deleted.
    """

    def __init__(
        self, layout: Layout, expression: EventExpression, documents: Sequence[RawBSONDocument]
    ) -> None:
        self.type = expression.type
        self.touched = {int(document["t"]) for document in documents}
        self.opened: list[object] = []
        self.deleted = 0
        self._layout = layout
        self._documents = documents
        self._is_whole = not (expression.filters or expression.fields)

    async def write(self, process: str) -> None:
        """Delete the documents that are still what they were.

        An event that is just being replaced may have left another bucket, which its writer has not raised
        yet: its intent, read after the deletes, names it.
        """
        collection = self._layout.events(self.type)
        for position in range(0, len(self._documents), _SENT):
            some = self._documents[position : position + _SENT]
            deletes = [DeleteOne(_exactly(document, is_whole=self._is_whole)) for document in some]
            async with written():
                result = await collection.bulk_write(deletes, ordered=False)
            self.deleted += result.deleted_count
        intents = await fetched(self._layout.own("intents").find({"type": self.type}))
        self.touched.update(times_of(intents))

    async def settle(self) -> None:
        """Raise what was touched."""
        await revisions.raise_times(self._layout, self.type, self.touched)


class Selection(NamedTuple):
    """The documents that a part of a scan selected, and the time of its last one, selected or not."""

    documents: list[RawBSONDocument]
    last: int


async def select(
    session: MongoSession, expression: EventExpression, span: Span
) -> AsyncGenerator[Selection, None]:
    """Find the documents of a span that an expression selects, in parts, ordered by time."""
    expression = shown_by_filters(expression)
    parts = session.parts(
        expression.type, span, _PROJECTION, wanted_by(expression.filters), batch_events=SLICE_EVENTS
    )
    async with aclosing(parts):
        async for part in parts:
            found = await run_in_thread(_selected, expression, part)
            if found is not None:
                yield found


def _selected(expression: EventExpression, part: bytes) -> Selection | None:
    """Select documents of a part; None where it has none with a time that is a date."""
    block = DocumentDecoder(ids=False).block(part)
    if not len(block):
        return None
    rows = np.flatnonzero(selected(expression, block)).tolist()
    documents = bson.decode_all(part, _RAW) if rows else []
    dated = [document for document in documents if isinstance(document["t"], DatetimeMS)]
    return Selection([dated[row] for row in rows], int(block.times[-1]))


def _exactly(document: RawBSONDocument, *, is_whole: bool) -> Document:
    """Return a filter that finds a document as long as it is the same; ``is_whole``: whatever its data.

    An equality also finds arrays that have such an element, and a query operator is no value of a document.
    """
    filter: Document = {"_id": document["_id"], "t": document["t"]}
    if is_whole:
        return filter
    filter[MARK] = document.get(MARK, {"$exists": False})
    data: Any = document.get("d", _exactly)
    if data is _exactly:
        filter["d"] = {"$exists": False}
    elif isinstance(data, RawBSONDocument):
        filter["d"] = {"$eq": data, "$not": {"$type": "array"}}
    else:
        filter["$expr"] = {"$eq": ["$d", {"$literal": data}]}
    return filter
