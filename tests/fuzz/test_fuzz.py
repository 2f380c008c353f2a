"""Some thousands of hostile inputs; see `tests.fuzz`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.campaign import run, target
from tests.mongo_server import MongoServer, mongo_server
from tests.tools import LONG, SLOW

__all__ = ["mongo_server"]

INPUTS = 1_000 if LONG else 300
SEED = 1
"""The same each time: `make fuzz` is for what has not been tried yet."""


@pytest.mark.timeout(600)  # on a busy machine the making of requests takes its time
@pytest.mark.parametrize("kind", ["sqlite", pytest.param("mongodb", marks=SLOW)])
def test_whatever_is_sent_the_daemons_answer_and_give_nothing_away(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    store = f"sqlite:{tmp_path}"
    if kind == "mongodb":
        server: MongoServer = request.getfixturevalue("mongo_server")
        store = server.url
    with target(store, tmp_path) as aimed:
        sent = run(aimed, INPUTS, SEED, described=kind == "sqlite")
    assert sum(sent.values()) >= INPUTS
