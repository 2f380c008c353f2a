"""Calls to the server, bounded in time, whose failures are `Unavailable`, a `RejectedEvent` or a fault.

Writes are repeated where an upsert met its own first try.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pymongo
from bson.errors import BSONError
from pymongo.errors import BulkWriteError, PyMongoError

from cube.errors import Unavailable
from cube.model.event import Event
from cube.store.mongo.faults import only_duplicates, rejected_document, unavailable

OPERATION_SECONDS = 60.0
"""No single call to the server takes longer, whatever the client's own timeouts are."""

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
async def answered(seconds: float | None = None) -> AsyncIterator[None]:
    """Bound the time of calls to the server (None: `OPERATION_SECONDS`), and raise `Unavailable` over it.

    Every other error passes as it is. The messages name no address: a URL may hold a password.
    """
    seconds = OPERATION_SECONDS if seconds is None else seconds
    task = asyncio.current_task()
    cancelling = task.cancelling() if task else 0
    try:
        async with asyncio.timeout(seconds):
            yield
        # PyMongo waits with `wait_for`, which may swallow a cancellation in Python 3.11.
        if task is not None and task.cancelling() > cancelling:
            raise asyncio.CancelledError
    except TimeoutError:
        raise Unavailable(f"MongoDB did not answer within {seconds:g} s.") from None
    except asyncio.CancelledError as error:
        if task is None or task.cancelling() > cancelling:
            raise
        # Nobody cancelled us: what we waited for in PyMongo was, as it gave up a connection.
        raise Unavailable("MongoDB's connection was given up.") from error
    except PyMongoError as error:
        sentence = unavailable(error)
        if sentence is None:
            raise
        raise Unavailable(sentence) from error


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


async def fetched(cursor: Any) -> list[dict[str, Any]]:
    """Return all documents that a cursor has."""
    async with answered():
        documents: list[dict[str, Any]] = await cursor.to_list(None)
    return documents


async def upsert(collection: Any, changes: Sequence[Any]) -> None:
    """Write changes, if there are any, that may be repeated, in order."""
    if changes:
        await repeated(lambda: collection.bulk_write(changes, ordered=True))


async def repeated(write: Callable[[], Awaitable[Any]]) -> None:
    """Do a write of upserts that may be repeated.

    Two first upserts of one document may collide, or one with its own first try whose reply was lost:
    then all is written again.
    """
    for attempt in range(_ATTEMPTS):
        try:
            async with written():
                await write()
            return
        except BulkWriteError as error:
            if only_duplicates(error) is None or attempt == _ATTEMPTS - 1:
                raise
