"""The file of API keys: ``<database>.keys.db``, one table."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from cube import files
from cube.errors import InvalidRequest, Unavailable
from cube.model.environment import Key, Scope
from cube.store.sqlite.database import answering, connect, immediate

T = TypeVar("T")

_CACHE_BYTES = 256 * 1024
_SCHEMA = """CREATE TABLE IF NOT EXISTS keys (environment TEXT NOT NULL, id TEXT NOT NULL,
    digest BLOB NOT NULL, scopes TEXT NOT NULL, types TEXT NOT NULL, filter TEXT NOT NULL,
    PRIMARY KEY (environment, id)) WITHOUT ROWID"""


class SqliteKeys:
    """A `KeyStore` on one file, made when the first key is added; several processes may share it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._seen = False

    async def all(self) -> list[Key]:
        """Return all keys, ordered by environment and id.

        Raises `Unavailable` where the file was there and is not any more: nobody revokes keys so.
        """
        return await asyncio.to_thread(self._all)

    async def were_added(self) -> bool:
        """Tell whether the file is there, even an empty one."""
        return await asyncio.to_thread(self._path.exists)

    async def add(self, key: Key) -> None:
        """Store a key durably, in a directory that is made if it is missing."""
        await asyncio.to_thread(files.make_directory, self._path.parent)
        await asyncio.to_thread(self._run, lambda connection: _add(connection, key))

    async def revoke(self, environment: str, id: str) -> bool:
        """Remove a key durably; tell whether it was there."""
        query = "DELETE FROM keys WHERE environment = ? AND id = ?"

        def delete(connection: sqlite3.Connection) -> bool:
            return connection.execute(query, (environment, id)).rowcount == 1

        return self._path.exists() and await asyncio.to_thread(self._run, delete)

    def _all(self) -> list[Key]:
        if not self._path.exists():
            if self._seen:
                raise Unavailable("The file of keys was deleted while the daemon runs: put it back.")
            return []
        self._seen = True
        query = "SELECT * FROM keys ORDER BY environment, id"
        return self._run(lambda connection: [_key(*row) for row in connection.execute(query)])

    def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with (
            self._lock,
            answering(self._path),
            closing(connect(self._path, synchronous="FULL", cache_bytes=_CACHE_BYTES)) as connection,
        ):
            connection.execute(_SCHEMA)
            with immediate(connection):
                return work(connection)


def _add(connection: sqlite3.Connection, key: Key) -> None:
    types = json.dumps(None if key.types is None else sorted(key.types))
    scopes = json.dumps(sorted(key.scopes))
    added = connection.execute(
        "INSERT OR IGNORE INTO keys VALUES (?, ?, ?, ?, ?, ?)",
        (key.environment, key.id, key.digest, scopes, types, key.filter),
    ).rowcount
    if not added:
        raise InvalidRequest(f"The environment {key.environment} has a key {key.id} already.")


def _key(environment: str, id: str, digest: bytes, scopes: str, types: str, filter: str) -> Key:
    named = json.loads(types)
    return Key(
        id,
        bytes(digest),
        environment,
        frozenset(map(Scope, json.loads(scopes))),
        None if named is None else frozenset(named),
        filter,
    )
