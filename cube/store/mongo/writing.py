"""Writes: bounded by the server too; repeated where an upsert met its own first try; telling whose fault."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pymongo
from bson.errors import BSONError
from pymongo.errors import BulkWriteError, PyMongoError

from cube.model.event import Event
from cube.store.mongo.faults import answered, only_duplicates, rejected_document

WRITE_SECONDS = 45.0
"""The server itself ends a write after so long (``maxTimeMS``): none lands long after we gave it up."""

_ATTEMPTS = 5


class RejectedEvent(Exception):
    """The server, or its driver, refuses one event for its own sake."""

    def __init__(self, event: Event, reason: str) -> None:
        super().__init__(reason)
        self.event = event
        self.reason = reason


@asynccontextmanager
async def written() -> AsyncIterator[None]:
    """Bound a write as `answered` does, and have the server end it by itself after `WRITE_SECONDS`.

    PyMongo's own timeout repeats a retryable write for as long, so an ordinary election is outlived.
    """
    async with answered():
        with pymongo.timeout(WRITE_SECONDS):
            yield


@asynccontextmanager
async def storing(events: Sequence[Event]) -> AsyncIterator[None]:
    """Bound a write of a document for each of some events; raise `RejectedEvent` where one is at fault."""
    try:
        async with written():
            yield
    except (PyMongoError, BSONError) as error:
        found = rejected_document(error, len(events))
        if found is None:
            raise
        place, reason = found
        raise RejectedEvent(events[place], reason) from error


async def upsert(collection: Any, changes: Sequence[Any]) -> None:
    """Write changes that may be repeated, in order.

    Two first upserts of one document may collide, or one with its own first try whose reply was lost:
    then all is written again.
    """
    for attempt in range(_ATTEMPTS):
        try:
            async with written():
                await collection.bulk_write(changes, ordered=True)
            return
        except BulkWriteError as error:
            if only_duplicates(error) is None or attempt == _ATTEMPTS - 1:
                raise
