"""Making a type ready: indexes, the marker of a new one, revisions of one that another tool filled."""

from __future__ import annotations

import logging
from typing import Any

import pymongo
from pymongo import UpdateOne
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import OperationFailure

from cube.model import instant
from cube.model.tier import Span
from cube.store.mongo import revisions
from cube.store.mongo.faults import answered, upsert
from cube.store.mongo.layout import FORMAT, Document, Layout
from cube.store.mongo.session import MongoSession, indexed
from cube.store.ports import UNBOUNDED

_log = logging.getLogger(__name__)

_NAMESPACE_EXISTS = 48  # another process made the collection at the same moment
_ANOTHER_LIKE_IT = (85, 86)  # an index on this key exists with other options: it serves as well
_ATTEMPTS = 5

BUILD_SECONDS = 7 * 86_400.0
"""A build takes as long as it takes: hundreds of millions of events are hours."""

_FORMAT = ({"_id": "format"}, {"$setOnInsert": {"version": FORMAT}})

EVER = Span(instant.EARLIEST, instant.LATEST + 1)


async def begin(layout: Layout, type: str, state: Document) -> bool:
    """Prepare the first save of this process into a type, whose state document was just read.

    Returns whether its time index is there for certain.

    Whoever finds no events marks the type complete *before* writing any. Another Cube process that
    writes meanwhile raises what it writes; what another tool wrote before the second look is raised
    here; what it writes after that makes the type a foreign one, which the settings must say.
    """
    await upsert(layout.own("format"), [UpdateOne(*_FORMAT, upsert=True)])
    if not revisions.is_complete(state) and type not in layout.foreign and await _is_empty(layout, type):
        await ensure(layout.events(type), "t")
        await revisions.mark_complete(layout, type)
        if not await _is_empty(layout, type):
            await raise_all(layout, type)
        return True
    return False


async def index(layout: Layout, type: str) -> None:
    """Make a type's time index unless it is there; that of a large collection takes its time, and is said."""
    if not await revisions.exists(layout, type):
        return
    collection = layout.events(type)
    if "t" not in await indexed(collection):
        _log.info("building the index on t of %s; it goes on in the server if we end", collection.name)
        await ensure(collection, "t")
        _log.info("built the index on t of %s", collection.name)


async def build(layout: Layout, type: str) -> None:
    """Raise every bucket of a type, then mark it complete; nothing to do if it is, or is foreign."""
    if type in layout.foreign or revisions.is_complete(await revisions.state(layout, type)):
        return
    if await revisions.exists(layout, type):
        await raise_all(layout, type)
        await revisions.mark_complete(layout, type)


async def raise_all(layout: Layout, type: str) -> None:
    """Raise every bucket that has a revision or an event, reading nothing but times.

    Not those that have expired: nobody could compute their metrics again.
    """
    await ensure(layout.events(type), "t")
    live = int((await revisions.state(layout, type)).get("expired_before", EVER.start))
    await revisions.raise_known(layout, type, live)
    session = MongoSession(layout, None, UNBOUNDED)
    async for block in session.scan(type, Span(live, EVER.stop), (), batch_events=20_000):
        await revisions.raise_times(layout, type, set(block.times.tolist()))


async def _is_empty(layout: Layout, type: str) -> bool:
    async with answered():
        return not await layout.events(type).find({}, {"_id": 1}).limit(1).to_list(None)


async def ensure(collection: AsyncCollection[Any], field: str) -> None:
    """Make the ascending index on `field`, and the collection, unless they are there."""
    for attempt in range(_ATTEMPTS):
        try:
            async with answered(BUILD_SECONDS):
                with pymongo.timeout(BUILD_SECONDS):  # in place of the socket's own
                    await collection.create_index([(field, 1)])
        except OperationFailure as error:
            if error.code in _ANOTHER_LIKE_IT:
                return
            if error.code != _NAMESPACE_EXISTS or attempt == _ATTEMPTS - 1:
                raise
        else:
            return
