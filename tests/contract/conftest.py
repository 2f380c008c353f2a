"""One database a test, of every kind in `databases.DATABASES`, and MongoDB's over both clients."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cube.store.ports import Store
from tests.mongo_server import mongo_server

from .databases import DATABASES, Database
from .mongo_databases import CLIENTS, MongoDatabase

__all__ = ["mongo_server"]


@pytest.fixture(params=[*sorted(DATABASES), *sorted(CLIENTS)])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    """An empty database."""
    kind: str = request.param
    if kind in CLIENTS:
        making = MongoDatabase.make(request.getfixturevalue("mongo_server"), CLIENTS[kind])
    else:
        making = DATABASES[kind](tmp_path)
    async with making as made:
        yield made


@pytest.fixture
async def store(database: Database) -> Store:
    """That database, opened."""
    return await database.open()
