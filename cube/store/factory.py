"""Opening the databases that a store URL leads to: the one place that chooses between MongoDB and SQLite.

Both are imported only where they are used: a daemon on SQLite starts without pymongo.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from cube.model.environment import Environment
from cube.store.ports import Store
from cube.store.record_ports import KeyStore
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
    turns: Path | None = None,
) -> AsyncIterator[Databases]:
    """Open the databases of some environments, and close them at the end.

    ``late``: a MongoDB need not answer yet; a `ping` of each store has to succeed before it is written to.
    ``turns``: a directory that all processes have which write to the same SQLite files much.
    Raises `Unavailable` where the store does not answer, `InvalidSettings` where the URL is not a store's.
    """
    async with AsyncExitStack() as stack:
        location = StoreUrl.parse(url)
        opening = _OPENERS[location.scheme](location.location, foreign=foreign, late=late, turns=turns)
        opener = await stack.enter_async_context(opening)
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
    async with _OPENERS[location.scheme](location.location) as opener:
        return await opener.holds_anything(keys_database, databases)


class _Opener(NamedTuple):
    """What opens the databases of one kind of store; ``holds_anything``: as `is_there`."""

    store: Callable[[str], Awaitable[Store]]
    keys: Callable[[str], KeyStore]
    holds_anything: Callable[[str, Iterable[str]], Awaitable[bool]]


@asynccontextmanager
async def _sqlite(place: str, *, turns: Path | None = None, **_: Any) -> AsyncIterator[_Opener]:
    from cube.store.sqlite import SqliteKeys, open_store

    directory = _absolute(place)

    async def holds_anything(keys_database: str, databases: Iterable[str]) -> bool:
        names = (f"{keys_database}.keys.db", *(f"{database}.events.db" for database in databases))
        return any((directory / name).exists() for name in names)

    def keys(database: str) -> KeyStore:
        return SqliteKeys(directory / f"{database}.keys.db")

    yield _Opener(partial(open_store, directory, turns=turns), keys, holds_anything)


def _absolute(place: str) -> Path:
    return Path(place).absolute()


@asynccontextmanager
async def _mongo(url: str, *, turns: Path | None = None, **options: Any) -> AsyncIterator[_Opener]:
    """All environments share one client, and so one pool of connections."""
    from cube.store import mongo

    client = mongo.connect(url)

    async def holds_anything(keys_database: str, databases: Iterable[str]) -> bool:
        return await mongo.holds_anything(client, {keys_database, *databases})

    try:
        yield _Opener(
            partial(mongo.open_store, url, client=client, **options),
            partial(mongo.MongoKeys, client),
            holds_anything,
        )
    finally:
        await mongo.disconnect(client)


_OPENERS: dict[str, Callable[..., AbstractAsyncContextManager[_Opener]]] = {
    "mongodb": _mongo,
    "sqlite": _sqlite,
}
"""What opens a store, by the scheme of its URL."""
