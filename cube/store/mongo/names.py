"""Groups of names: a document each in ``cube_names``."""

from __future__ import annotations

from collections.abc import Sequence

from pymongo import UpdateOne
from pymongo.errors import BulkWriteError

from cube.store.mongo.faults import answered
from cube.store.mongo.layout import Layout
from cube.store.mongo.writing import written

_DUPLICATE_KEY = 11000


class MongoNames:
    """A `Names` for any number of processes on one database."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    async def claim(self, group: str, names: Sequence[str], limit: int) -> frozenset[str]:
        """Add names to a group as far as its limit; return all that it has."""
        there = await self._read(group)
        new = [name for name in dict.fromkeys(names) if name not in there][: max(0, limit - len(there))]
        if not new:
            return there
        await self._add(group, new, limit)
        return await self._read(group)

    async def _read(self, group: str) -> frozenset[str]:
        async with answered():
            found = await self._layout.names.find_one({"_id": group})
        return frozenset() if found is None else frozenset(found["names"])

    async def _add(self, group: str, names: Sequence[str], limit: int) -> None:
        room = {"_id": group, f"names.{limit - 1}": {"$exists": False}}
        begin = UpdateOne({"_id": group}, {"$setOnInsert": {"names": []}}, upsert=True)
        additions = [UpdateOne(room, {"$addToSet": {"names": name}}) for name in names]
        try:
            async with written():
                await self._layout.names.bulk_write([begin, *additions], ordered=True)
        except BulkWriteError as error:
            if any(one["code"] != _DUPLICATE_KEY for one in error.details["writeErrors"]):
                raise
            # Two processes began the group at once: it is there now.
            async with written():
                await self._layout.names.bulk_write(additions, ordered=True)
