"""Opening the databases that a store URL leads to: the one place that chooses between MongoDB and SQLite.

Both are imported only where they are used: a daemon on SQLite starts without pymongo.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cube.environment import Environment
from cube.store.ports import KeyStore, Store
from cube.store.url import StoreUrl

if TYPE_CHECKING:
    from cube.mongo import Client


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
    Raises `Unavailable` where the store does not answer, `InvalidSettings` where the URL is none.
    """
    async with AsyncExitStack() as stack:
        location = StoreUrl.parse(url)
        opener = (
            _Sqlite(location.location)
            if location.scheme == "sqlite"
            else await _mongo(url, foreign, stack, late=late)
        )
        stores: dict[str, Store] = {}
        for environment in environments:
            store = await opener.store(environment.database)
            stack.push_async_callback(store.close)
            stores[environment.name] = store
        keys = opener.keys(keys_database)
        stack.push_async_callback(keys.close)
        yield Databases(stores, keys)


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
    if location.scheme == "sqlite":
        directory = Path(location.location)
        names = (f"{keys_database}.keys.db", *(f"{database}.events.db" for database in databases))
        return any((directory / name).exists() for name in names)
    from cube.mongo import connect, disconnect, holds_anything

    client = connect(url)
    try:
        return await holds_anything(client, {keys_database, *databases})
    finally:
        await disconnect(client)


class _Sqlite:
    def __init__(self, directory: str) -> None:
        self._directory = Path(directory).absolute()

    async def store(self, database: str) -> Store:
        from cube.sqlite import open_store

        return await open_store(self._directory, database)

    def keys(self, database: str) -> KeyStore:
        from cube.sqlite import SqliteKeys

        return SqliteKeys(self._directory / f"{database}.keys.db")


class _Mongo:
    """All environments share one client, and so one pool of connections."""

    def __init__(self, url: str, client: Client, foreign: Collection[str], *, late: bool) -> None:
        self._url = url
        self._client = client
        self._foreign = foreign
        self._late = late

    async def store(self, database: str) -> Store:
        from cube.mongo import open_store

        return await open_store(
            self._url, database, foreign=self._foreign, client=self._client, late=self._late
        )

    def keys(self, database: str) -> KeyStore:
        from cube.mongo import MongoKeys

        return MongoKeys(self._client, database)


async def _mongo(url: str, foreign: Collection[str], stack: AsyncExitStack, *, late: bool) -> _Mongo:
    from cube.mongo import connect, disconnect

    client = connect(url)
    stack.push_async_callback(disconnect, client)
    return _Mongo(url, client, foreign, late=late)
