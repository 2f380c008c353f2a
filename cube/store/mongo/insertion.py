"""Inserting events: one command, whose documents the driver encodes in one call.

`insert_many` looks at each document, and encodes it by itself: as long again as all else that an event takes.
But it repeats a write that an election meets, or whose reply is lost, and parts one that is too long for a
message, or has more documents than the server takes at once. So what the command fails with for such a reason
is done once more with it; but where no server was to be found, which the driver has waited for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import bson
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo.errors import (
    BulkWriteError,
    ConnectionFailure,
    DocumentTooLarge,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)

from cube.model.event import Event
from cube.store.mongo.calls import fetched, storing
from cube.store.mongo.documents import encode, encode_all, stored_id
from cube.store.mongo.faults import is_passing, only_duplicates
from cube.store.mongo.layout import DURABLE, Document, Layout

_INVALID_LENGTH: Final = 21
"""What a server says to more documents than its ``maxWriteBatchSize``, which is 100 000; it stores none."""


_RAW: Final[CodecOptions[RawBSONDocument]] = CodecOptions(document_class=RawBSONDocument)


class Inserted(NamedTuple):
    """What became of an insert: the events whose ids are stored already.

    ``repeated``: it was done twice, so that events which the first try stored, where only its reply was lost,
    may be among them.
    """

    duplicates: list[Event]
    repeated: bool = False


async def insert(layout: Layout, type: str, events: Sequence[Event]) -> Inserted:
    """Insert events in one unordered write."""
    if not events:
        return Inserted([])
    documents, repeated = encode_all(events), False
    try:
        async with storing(events):
            if not await _insert(layout, type, documents):
                repeated = True
                await layout.events(type).insert_many(documents, ordered=False)
    except BulkWriteError as error:
        places = only_duplicates(error)
        if places is None:
            raise
        return Inserted([events[place] for place in places], repeated)
    return Inserted([], repeated)


async def differing(layout: Layout, type: str, events: Sequence[Event]) -> list[Event]:
    """Return those of some events, with ids that are stored, of which not the very same is stored."""
    collection = layout.events(type).with_options(codec_options=_RAW)
    found = await fetched(collection.find({"_id": {"$in": [stored_id(event.id) for event in events]}}))
    stored = {document.raw for document in found}  # type: ignore[attr-defined]  # see `_RAW`
    return [event for event in events if bson.encode(encode(event)) not in stored]


async def _insert(layout: Layout, type: str, documents: Sequence[Document]) -> bool:
    """Insert by a command; return False where it has to be done once more. Raises as `insert_many` does."""
    name = layout.events(type).name
    concern = DURABLE.document
    try:
        reply = await layout.database.command(
            "insert", name, documents=documents, ordered=False, writeConcern=concern
        )
    except DocumentTooLarge:  # all of them together, which the driver says before it sends anything
        return False
    except ServerSelectionTimeoutError:  # nothing was sent, and a server has been waited for
        raise
    except PyMongoError as error:
        if isinstance(error, ConnectionFailure) or is_passing(error) or _are_too_many(error):
            return False
        raise
    failures = _failures(reply)
    if failures is None:
        return True
    failed = BulkWriteError(failures)
    if failures["writeConcernErrors"] and is_passing(failed):
        return False
    raise failed


def _are_too_many(error: PyMongoError) -> bool:
    return isinstance(error, OperationFailure) and error.code == _INVALID_LENGTH


def _failures(reply: Document) -> dict[str, Any] | None:
    """Return the details of a `BulkWriteError` about what a reply says has failed; None: nothing has."""
    written, concern = reply.get("writeErrors", []), reply.get("writeConcernError")
    if not written and concern is None:
        return None
    concerns = [] if concern is None else [concern]
    labels = reply.get("errorLabels", [])
    return {
        "nInserted": reply.get("n", 0),
        "writeErrors": written,
        "writeConcernErrors": concerns,
        "errorLabels": labels,
    }
