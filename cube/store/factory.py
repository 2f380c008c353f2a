"""Opening the databases that a store URL leads to: the one place that chooses between MongoDB and SQLite.

Both are imported only where they are used: a daemon on SQLite starts without pymongo.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from cube.model.environment import Environment
from cube.store.ports import KeyStore, Store
from cube.store.url import StoreUrl


@dataclass(frozen=True, slots=True)
class Databases:
    """The opened databases: a store for each environment by its name, and the keys of all of them."""

    stores: Mapping[str, Store]
    keys: KeyStore


@asynccontextmanager
async def opened(
    url: str,
    environments: Iterable[Environment],
    keys_database: str,
    *,
    foreign: Collection[str] = (),
    late: bool = False,
) -> AsyncIterator[Databases]:
    """Open the databases of some environments, and close them at the end.

    ``late``: a MongoDB need not answer yet; a `ping` of each store has to succeed before it is written to.
    Raises `Unavailable` where the store does not answer, `InvalidSettings` where the URL is not a store's.
    """
    async with AsyncExitStack() as stack:
        location = StoreUrl.parse(url)
        opener = _OPENERS[location.scheme](location.location, foreign=foreign, late=late)
        stack.push_async_callback(opener.close)
        stores: dict[str, Store] = {}
        for environment in environments:
            store = await opener.store(environment.database)
            stack.push_async_callback(store.close)
            stores[environment.name] = store
        yield Databases(stores, opener.keys(keys_database))


@asynccontextmanager
async def opened_keys(url: str, database: str) -> AsyncIterator[KeyStore]:
    """Open the keys of a database alone; see `opened`."""
    async with opened(url, (), database) as databases:
        yield databases.keys


async def is_there(url: str, keys_database: str, databases: Iterable[str]) -> bool:
    """Tell whether a store has keys in a database already, or anything in one of some other databases.

    Nothing is made. Raises as `opened` does.
    """
    location = StoreUrl.parse(url)
    opener = _OPENERS[location.scheme](location.location)
    try:
        return await opener.holds_anything(keys_database, databases)
    finally:
        await opener.close()


class _Opener(Protocol):
    """What opens the databases of one kind of store; where it leads is the first argument that makes it."""

    async def store(self, database: str) -> Store: ...

    def keys(self, database: str) -> KeyStore: ...

    async def holds_anything(self, keys_database: str, databases: Iterable[str]) -> bool: ...

    async def close(self) -> None: ...


class _Sqlite:
    def __init__(self, directory: str, **_: Any) -> None:
        self._directory = Path(directory).absolute()

    async def store(self, database: str) -> Store:
        from cube.store.sqlite import open_store

        return await open_store(self._directory, database)

    def keys(self, database: str) -> KeyStore:
        from cube.store.sqlite import SqliteKeys

        return SqliteKeys(self._directory / f"{database}.keys.db")

    async def holds_anything(self, keys_database: str, databases: Iterable[str]) -> bool:
        names = (f"{keys_database}.keys.db", *(f"{database}.events.db" for database in databases))
        return any((self._directory / name).exists() for name in names)

    async def close(self) -> None:
        """Do nothing: each database is closed by itself."""


class _Mongo:
    """All environments share one client, and so one pool of connections."""

    def __init__(self, url: str, *, foreign: Collection[str] = (), late: bool = False) -> None:
        from cube.store.mongo import connect

        self._url = url
        self._client = connect(url)
        self._foreign = foreign
        self._late = late

    async def store(self, database: str) -> Store:
        from cube.store.mongo import open_store

        return await open_store(
            self._url, database, foreign=self._foreign, client=self._client, late=self._late
        )

    def keys(self, database: str) -> KeyStore:
        from cube.store.mongo import MongoKeys

        return MongoKeys(self._client, database)

    async def holds_anything(self, keys_database: str, databases: Iterable[str]) -> bool:
        from cube.store.mongo import holds_anything

        return await holds_anything(self._client, {keys_database, *databases})

    async def close(self) -> None:
        from cube.store.mongo import disconnect

        await disconnect(self._client)


_OPENERS: dict[str, Callable[..., _Opener]] = {"mongodb": _Mongo, "sqlite": _Sqlite}
"""What opens a store, by the scheme of its URL."""
