"""An asynchronous MongoDB client with a gate before every call to the server."""

from __future__ import annotations

from typing import Any

from tests.promise.actors import gate

_CALLS = frozenset(
    {
        "bulk_write",
        "command",
        "create_index",
        "drop",
        "find_one_and_replace",
        "index_information",
        "insert_many",
        "list_collection_names",
        "to_list",
    }
)
_PARTS = frozenset({"get_database", "get_collection", "with_options", "find", "limit", "sort", "batch_size"})


class Gated:
    """Any part of a client: a database, a collection, a cursor."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name in _CALLS:
            return _gated_call(found)
        if name in _PARTS:
            return lambda *arguments, **options: Gated(found(*arguments, **options))
        return found

    def __getitem__(self, name: str) -> Gated:
        return Gated(self._inner[name])


def _gated_call(method: Any) -> Any:
    async def call(*arguments: Any, **options: Any) -> Any:
        await gate()
        return await method(*arguments, **options)

    return call
