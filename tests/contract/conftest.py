"""One database a test, of every kind in `databases.DATABASES`, and MongoDB's over both clients.

What takes minutes is in the long runs alone: Motor's client, and a cluster that loses the reply to a write.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cube.store.ports import Store
from tests.mongo_server import mongo_server
from tests.tools import LONG

from .databases import DATABASES, Database
from .mongo_databases import CLIENTS, MongoDatabase, on_cluster

__all__ = ["mongo_server"]

CLUSTER = "mongo-cluster"
KINDS = [*sorted(DATABASES), "mongo", *(["mongo-motor", CLUSTER] if LONG else [])]


@pytest.fixture(params=KINDS)
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    """An empty database."""
    kind: str = request.param
    if kind in CLIENTS:
        making = MongoDatabase.make(request.getfixturevalue("mongo_server"), CLIENTS[kind])
    elif kind == CLUSTER:
        making = on_cluster(request.getfixturevalue("mongo_server"))
    else:
        making = DATABASES[kind](tmp_path)
    async with making as made:
        yield made


@pytest.fixture
def many(request: pytest.FixtureRequest) -> int:
    """How many events are many: several blocks of them, and on the tests' MongoDB no more than that takes."""
    if request.node.callspec.params["database"] in DATABASES:
        return 10_000
    return 3_000 if LONG else 1_800  # four times that are two blocks of its


@pytest.fixture
def large(request: pytest.FixtureRequest) -> int:
    """How many events a large save has: fewer on the cluster, where a lost reply makes replacements of all.

    The tests' server needs seconds to delete the intents of a thousand of those.
    """
    return 1_800 if request.node.callspec.params["database"] == CLUSTER else 10_000


@pytest.fixture
async def store(database: Database) -> Store:
    """That database, opened."""
    return await database.open()
