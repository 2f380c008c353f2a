"""The databases that the contract runs over. To add a store: a class here, and its entry in `DATABASES`."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Protocol

import msgspec

from cube.model.event import ABSENT, Event
from cube.store import sqlite
from cube.store.ports import Store
from cube.store.sqlite import catalog


class Database(Protocol):
    """One empty database on one kind of store, made for one test."""

    async def open(self) -> Store:
        """Open it once more, as another process would; closed when the test ends."""

    async def fill(self, type: str, events: Sequence[Event]) -> None:
        """Store events as another tool does: no revisions, no marker; ids must be new."""


class SqliteDatabase:
    """Files in a directory of the test's."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._opened: list[Store] = []

    @classmethod
    @asynccontextmanager
    async def make(cls, directory: Path) -> AsyncIterator[SqliteDatabase]:
        database = cls(directory)
        try:
            yield database
        finally:
            for store in database._opened:
                await store.close()

    async def open(self) -> Store:
        store = await sqlite.open_store(self._directory, "contract")
        self._opened.append(store)
        return store

    async def fill(self, type: str, events: Sequence[Event]) -> None:
        await (await self.open()).ping()
        connection = sqlite3.connect(self._directory / "contract.events.db")
        with connection:
            entry = catalog.register(connection, type, catalog.find(connection, type))
            connection.execute("UPDATE types SET complete = 0 WHERE name = ?", (type,))
            connection.executemany(
                f"INSERT INTO {entry.events} (time, id, data) VALUES (?, ?, ?)",
                [
                    (
                        event.time,
                        event.id,
                        None if event.data is ABSENT else msgspec.json.encode(event.data).decode(),
                    )
                    for event in events
                ],
            )
        connection.close()


DATABASES: dict[str, Callable[[Path], AbstractAsyncContextManager[Database]]] = {
    "sqlite": SqliteDatabase.make,
}
