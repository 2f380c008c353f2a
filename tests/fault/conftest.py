"""One MongoDB for all tests of a worker, and a proxy before it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fault.proxy import FaultyProxy
from tests.mongo_server import MongoServer, mongo_server

__all__ = ["mongo_server"]


@pytest.fixture
def proxy(mongo_server: MongoServer) -> Iterator[FaultyProxy]:
    with FaultyProxy(mongo_server.port) as running:
        yield running
