"""One database a test, of every kind in `databases.DATABASES`, and MongoDB's over both clients.

In the long runs also over a cluster that loses the reply to a write and interrupts a read.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cube.store.ports import Store
from tests.mongo_server import mongo_server

from .databases import DATABASES, Database
from .mongo_databases import CLIENTS, MongoDatabase, on_cluster

__all__ = ["mongo_server"]

CLUSTER = ["mongo-cluster"] if os.environ.get("CUBE_TEST_LONG") else []


@pytest.fixture(params=[*sorted(DATABASES), *sorted(CLIENTS), *CLUSTER])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    """An empty database."""
    kind: str = request.param
    if kind in CLIENTS:
        making = MongoDatabase.make(request.getfixturevalue("mongo_server"), CLIENTS[kind])
    elif kind in CLUSTER:
        making = on_cluster(request.getfixturevalue("mongo_server"))
    else:
        making = DATABASES[kind](tmp_path)
    async with making as made:
        yield made


@pytest.fixture
async def store(database: Database) -> Store:
    """That database, opened."""
    return await database.open()
