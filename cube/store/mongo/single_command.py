"""Writes that are one command, whose documents the driver encodes in one call.

`insert_many` and `bulk_write` look at each document, encode it by itself, and keep account of each: with many
documents that takes as long again as all else that an event takes, with few a third of the call. But they
repeat a write that an election meets, or whose reply is lost, and part one that is too long for a message, or
has more documents than the server takes at once. So what the command fails with for such a reason is to be
done once more with them; but where no server was to be found, which the driver has waited for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from pymongo.errors import (
    BulkWriteError,
    ConnectionFailure,
    DocumentTooLarge,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)

from cube.store.mongo.faults import is_passing
from cube.store.mongo.layout import DURABLE, Document, Layout

_INVALID_LENGTH: Final = 21
"""What a server says to more documents than its ``maxWriteBatchSize``, which is 100 000; it stores none."""

_CONCERN: Final = DURABLE.document


async def insert_at_once(layout: Layout, collection: str, documents: Sequence[Document]) -> bool:
    """Insert documents, in no order; return False where that has to be done once more with `insert_many`.

    Raises as that does.
    """
    return await _is_done(layout, "insert", collection, documents=documents, ordered=False)


async def update_at_once(layout: Layout, collection: str, updates: Sequence[Document]) -> bool:
    """Do updates (``{q, u, upsert}``) in their order; return False where `bulk_write` has to do all again.

    Raises as that does.
    """
    return await _is_done(layout, "update", collection, updates=updates, ordered=True)


async def _is_done(layout: Layout, name: str, collection: str, **fields: Any) -> bool:
    try:
        reply = await layout.database.command(name, collection, **fields, writeConcern=_CONCERN)
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
