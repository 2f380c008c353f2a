"""The small records that a database has beside its events: groups of names, boards, definitions and API keys.

Their documents are those of `cube.store.mongo.layout`; those of ``cube_keys`` are made by `_key_document`.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from typing import Any

from bson import Int64
from pymongo import AsyncMongoClient, DeleteMany, ReadPreference, UpdateOne
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import DuplicateKeyError

from cube.errors import InvalidRequest
from cube.model.deletion import KEPT_MS, Deletion
from cube.model.environment import Key, Scope
from cube.store.mongo.calls import answered, fetched, upsert, written
from cube.store.mongo.layout import DURABLE, Document, Layout
from cube.store.record_ports import ANY_REVISION, NO_REVISION, StoredText, text_conflict

_KEYS = "cube_keys"


class MongoNames:
    """A `Names` for any number of processes on one database."""

    def __init__(self, layout: Layout) -> None:
        self._names = layout.own("names")

    async def claim(self, group: str, names: Sequence[str], limit: int) -> frozenset[str]:
        there = await self._read(group)
        new = [name for name in dict.fromkeys(names) if name not in there][: max(0, limit - len(there))]
        if not new:
            return there
        begin = UpdateOne({"_id": group}, {"$setOnInsert": {"names": []}}, upsert=True)
        room = {"_id": group, f"names.{limit - 1}": {"$exists": False}}
        await upsert(self._names, [begin, *(UpdateOne(room, {"$addToSet": {"names": name}}) for name in new)])
        return await self._read(group)

    async def _read(self, group: str) -> frozenset[str]:
        async with answered():
            found = await self._names.find_one({"_id": group})
        return frozenset() if found is None else frozenset(found["names"])


class MongoTexts:
    """A `TextStore` for any number of processes on one database; ``what``: "board" or "definition".

    Each change is one write that names the revision in its filter, so no two processes make it at once.
    """

    def __init__(self, layout: Layout, what: str) -> None:
        self._texts = layout.own(f"{what}s")
        self._what = what

    async def all(self) -> list[StoredText]:
        found = await fetched(self._texts.find({}))
        return sorted(map(_text, found), key=lambda text: text.name)

    async def find(self, name: str) -> StoredText | None:
        async with answered():
            found = await self._texts.find_one({"_id": name})
        return None if found is None else _text(found)

    async def save(self, text: StoredText, expected: int, most: int) -> None:
        if expected == NO_REVISION:
            done = await self._insert(text, most)
        else:
            async with written():
                replaced = await self._texts.replace_one(_known(text.name, expected), _text_document(text))
            done = replaced.matched_count == 1
        if not done:
            await self._refuse(text.name, text.revision)

    async def delete(self, name: str, expected: int) -> None:
        async with written():
            removed = await self._texts.delete_one(_known(name, expected))
        if removed.deleted_count == 0:
            await self._refuse(name)

    async def note_opened(self, name: str, time: int) -> None:
        async with written():
            await self._texts.update_one({"_id": name}, {"$max": {"opened": time}})

    async def _insert(self, text: StoredText, most: int) -> bool:
        async with answered():
            count = await self._texts.count_documents({})
        if count >= most and await self.find(text.name) is None:
            raise InvalidRequest(
                f"There are {count} {self._what}s already; accepted are {most}: delete one first."
            )
        try:
            async with written():
                await self._texts.insert_one(_text_document(text))
        except DuplicateKeyError:
            return False
        return True

    async def _refuse(self, name: str, own: int | None = None) -> None:
        """Raise a `Conflict`, unless what is there is our own first try, whose reply was lost."""
        found = await self.find(name)
        if found is None or found.revision != own:
            raise text_conflict(self._what, name, found)


class MongoDeletions:
    """A `DeletionStore` for any number of processes on one database."""

    def __init__(self, layout: Layout) -> None:
        self._deletions = layout.own("deletions")

    async def note(self, deletion: Deletion) -> None:
        """Add a deletion; what a repeated write adds once more is a number of events alone."""
        key = hashlib.sha256(f"{deletion.stop} {deletion.expression}".encode()).hexdigest()[:32]
        change = {
            "$setOnInsert": {
                "type": deletion.type,
                "expression": deletion.expression,
                "stop": Int64(deletion.stop),
            },
            "$min": {"start": Int64(deletion.start)},
            "$max": {"at": Int64(deletion.at)},
            "$set": {"by": deletion.by},
            "$inc": {"events": Int64(deletion.events)},
        }
        old = DeleteMany({"at": {"$lt": Int64(deletion.at - KEPT_MS)}})
        stamp = {"$set": {"stamp": Int64(1 + secrets.randbits(62))}}
        changes = [UpdateOne({"_id": key}, change, upsert=True), old]
        await upsert(
            self._deletions, [*changes, UpdateOne({"_id": _stamp_id(deletion.type)}, stamp, upsert=True)]
        )

    async def all(self) -> list[Deletion]:
        found = await fetched(self._deletions.find({"expression": {"$exists": True}}, {"_id": 0}))
        return sorted((Deletion(**one) for one in found), key=lambda deletion: deletion.at)

    async def stamp(self, type: str) -> int:
        found = await fetched(self._deletions.find({"_id": _stamp_id(type)}))
        return int(found[0]["stamp"]) if found else 0


def _stamp_id(type: str) -> str:
    return f"stamp:{type}"


class MongoKeys:
    """A `KeyStore` on one database; the client is its caller's."""

    def __init__(self, client: AsyncMongoClient[Document], database: str) -> None:
        self._keys: AsyncCollection[Document] = client.get_database(database).get_collection(
            _KEYS, read_preference=ReadPreference.PRIMARY, write_concern=DURABLE
        )

    async def all(self) -> list[Key]:
        return sorted(
            map(_key, await fetched(self._keys.find({}))), key=lambda key: (key.environment, key.id)
        )

    async def were_added(self) -> bool:
        """Tell whether the collection is there, even an empty one."""
        async with answered():
            return bool(await self._keys.database.list_collection_names(filter={"name": _KEYS}))

    async def add(self, key: Key) -> None:
        try:
            async with written():
                await self._keys.insert_one(_key_document(key))
        except DuplicateKeyError:
            if key in await self.all():  # our own first try, whose reply was lost
                return
            raise InvalidRequest(f"The environment {key.environment} has a key {key.id} already.") from None

    async def revoke(self, environment: str, id: str) -> bool:
        async with written():
            result = await self._keys.delete_one({"_id": f"{environment}:{id}"})
        return result.deleted_count == 1


def _known(name: str, expected: int) -> Document:
    return {"_id": name} if expected == ANY_REVISION else {"_id": name, "revision": expected}


def _text_document(text: StoredText) -> Document:
    return {
        "_id": text.name,
        "revision": text.revision,
        "saved": text.saved,
        "content": text.content,
        "by": text.by,
        "opened": text.opened,
    }


def _text(document: dict[str, Any]) -> StoredText:
    # BSON's long is a subclass of int, which the JSON encoder refuses.
    revision, saved, opened = (int(document[name]) for name in ("revision", "saved", "opened"))
    return StoredText(document["_id"], revision, saved, document["content"], document["by"], opened)


def _key_document(key: Key) -> Document:
    return {
        "_id": f"{key.environment}:{key.id}",
        "environment": key.environment,
        "id": key.id,
        "digest": key.digest,
        "scopes": sorted(key.scopes),
        "types": None if key.types is None else sorted(key.types),
        "filter": key.filter,
    }


def _key(document: dict[str, Any]) -> Key:
    return Key(
        document["id"],
        bytes(document["digest"]),
        document["environment"],
        frozenset(map(Scope, document["scopes"])),
        None if document["types"] is None else frozenset(document["types"]),
        document["filter"],
    )
