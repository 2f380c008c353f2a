"""Indexes on fields: ``{"d.<field>": 1, t: 1}``, which the server builds beside all else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

from pymongo.errors import OperationFailure, PyMongoError

from cube.errors import InvalidRequest, NotFound, Unavailable, shown
from cube.store.equality import BuildProgress, FieldPath, text_of
from cube.store.mongo import revisions
from cube.store.mongo.calls import answered
from cube.store.mongo.documents import is_escaped
from cube.store.mongo.layout import Layout, path_of
from cube.store.mongo.maintenance import ensure

PROGRESS_SECONDS = 2.0
"""How often the server is asked how far it is."""


class MongoFieldIndexes:
    """The `FieldIndexes` of a database: those on a field and ``t``, whoever made them."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    async def all(self, type: str) -> list[FieldPath]:
        return sorted(await self._names(type))

    async def make(
        self, type: str, path: FieldPath, progress: BuildProgress, *, anyway: bool = False
    ) -> bool:
        """Make an index; the server goes on with it where this process ends, and no save waits for it."""
        _refuse_escaped(path)
        if not await revisions.exists(self._layout, type):
            raise NotFound(f"There are no events of the type {shown(type)}; `cube types` lists all.")
        if path in await self._names(type):
            return False
        collection = self._layout.events(type)
        async with answered():
            events = await collection.estimated_document_count()
        progress(0, events)
        async with self._told(collection.name, events, progress):
            try:
                await ensure(collection, path_of(path), "t")
            except OperationFailure as error:
                reason = (error.details or {}).get("errmsg", error.code)
                raise Unavailable(f"The MongoDB refused the index on {text_of(path)}: {reason}") from None
        progress(events, events)
        return True

    async def drop(self, type: str, path: FieldPath) -> bool:
        name = (await self._names(type)).get(path)
        if name is not None:
            async with answered():
                await self._layout.events(type).drop_index(name)
        return name is not None

    async def _names(self, type: str) -> Mapping[FieldPath, str]:
        """Return the indexes' names by their fields."""
        if not await revisions.exists(self._layout, type):
            return {}
        async with answered():
            indexes = await self._layout.events(type).index_information()
        return {
            tuple(index["key"][0][0].split(".")[1:]): name
            for name, index in indexes.items()
            if _is_ours(index["key"])
        }

    @asynccontextmanager
    async def _told(self, collection: str, events: int, progress: BuildProgress) -> AsyncIterator[None]:
        """Tell meanwhile how far the server is."""
        telling = asyncio.create_task(self._tell(collection, events, progress))
        try:
            yield
        finally:
            telling.cancel()
            with suppress(asyncio.CancelledError):
                await telling

    async def _tell(self, collection: str, events: int, progress: BuildProgress) -> None:
        while True:
            await asyncio.sleep(PROGRESS_SECONDS)
            progress(await self._done(collection), events)

    async def _done(self, collection: str) -> int:
        """Return how many documents the server has read; 0 where it does not say, or may not."""
        try:
            async with answered():
                found = await self._layout.client.get_database("admin").command("currentOp")
        except (Unavailable, PyMongoError):
            return 0
        building = [one for one in found.get("inprog", ()) if _is_build(one, collection)]
        return max((int(one.get("progress", {}).get("done", 0)) for one in building), default=0)


def _is_ours(key: Any) -> bool:
    """Tell whether an index is on a field of the data, upwards, and the time."""
    (first, order), *rest = key
    return bool(first.startswith("d.") and order == 1 and [tuple(each) for each in rest] == [("t", 1)])


def _is_build(operation: Mapping[str, Any], collection: str) -> bool:
    command = operation.get("command", {})
    return "createIndexes" in command and command["createIndexes"] == collection


def _refuse_escaped(path: FieldPath) -> None:
    if any(map(is_escaped, path)):
        raise InvalidRequest(
            f"Got the field {text_of(path)}; accepted on a MongoDB is one whose names have no dot, no leading"
            " dollar sign, no NUL and no % before 2E, 24, 00 or 25: they are stored under other names."
        )
