"""Inserting events: one command, or, where that is not enough, `insert_many`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import bson
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo.errors import BulkWriteError

from cube.model.event import Event
from cube.store.mongo.calls import fetched, storing
from cube.store.mongo.documents import encode, encode_all, stored_id
from cube.store.mongo.faults import only_duplicates
from cube.store.mongo.layout import Layout
from cube.store.mongo.single_command import insert_at_once

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
            collection = layout.events(type)
            if not await insert_at_once(layout, collection.name, documents):
                repeated = True
                await collection.insert_many(documents, ordered=False)
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
