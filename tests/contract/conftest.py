"""One database a test, of every kind in `databases.DATABASES`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cube.store.ports import Store

from .databases import DATABASES, Database


@pytest.fixture(params=sorted(DATABASES))
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    """An empty database."""
    async with DATABASES[request.param](tmp_path) as made:
        yield made


@pytest.fixture
async def store(database: Database) -> Store:
    """That database, opened."""
    return await database.open()
