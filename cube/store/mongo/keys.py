"""The API keys: ``cube_keys``, with documents as `_document` makes them."""

from __future__ import annotations

from typing import Any

from pymongo import AsyncMongoClient, ReadPreference
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import DuplicateKeyError

from cube.errors import InvalidRequest
from cube.model.environment import Key, Scope
from cube.store.mongo.faults import answered, fetched, written
from cube.store.mongo.layout import DURABLE, Document

_NAME = "cube_keys"


class MongoKeys:
    """A `KeyStore` on one database; the client is its caller's."""

    def __init__(self, client: AsyncMongoClient[Document], database: str) -> None:
        self._keys: AsyncCollection[Document] = client.get_database(database).get_collection(
            _NAME, read_preference=ReadPreference.PRIMARY, write_concern=DURABLE
        )

    async def all(self) -> list[Key]:
        """Return all keys, ordered by environment and id."""
        return sorted(
            map(_key, await fetched(self._keys.find({}))), key=lambda key: (key.environment, key.id)
        )

    async def were_added(self) -> bool:
        """Tell whether the collection is there, even an empty one."""
        async with answered():
            return bool(await self._keys.database.list_collection_names(filter={"name": _NAME}))

    async def add(self, key: Key) -> None:
        """Store a key durably."""
        try:
            async with written():
                await self._keys.insert_one(_document(key))
        except DuplicateKeyError:
            if key in await self.all():  # our own first try, whose reply was lost
                return
            raise InvalidRequest(f"The environment {key.environment} has a key {key.id} already.") from None

    async def revoke(self, environment: str, id: str) -> bool:
        """Remove a key durably; tell whether it was there."""
        async with written():
            result = await self._keys.delete_one({"_id": f"{environment}:{id}"})
        return result.deleted_count == 1


def _document(key: Key) -> Document:
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
