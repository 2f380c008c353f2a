"""Indexes that appear on first use, whoever comes first."""

from __future__ import annotations

from typing import Any

import pymongo
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import OperationFailure

from cube.store.mongo.faults import answered

_NAMESPACE_EXISTS = 48  # another process made the collection at the same moment
_ANOTHER_LIKE_IT = (85, 86)  # an index on this key exists with other options: it serves as well
_ATTEMPTS = 5

BUILD_SECONDS = 7 * 86_400.0
"""A build takes as long as it takes: hundreds of millions of events are hours."""


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


async def has_index(collection: AsyncCollection[Any], field: str) -> bool:
    """Tell whether an index begins with a field."""
    async with answered():
        indexes = await collection.index_information()
    return any(index["key"][0][0] == field for index in indexes.values())
