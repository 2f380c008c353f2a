"""Some thousands of hostile inputs; see `tests.fuzz`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.campaign import random_seed, run, target
from tests.mongo_server import MongoServer, mongo_server
from tests.tools import LONG, SLOW

__all__ = ["mongo_server"]

INPUTS = 1_000 if LONG else 300


@pytest.mark.timeout(600)  # on a busy machine the making of requests takes its time
@pytest.mark.parametrize("kind", ["sqlite", pytest.param("mongodb", marks=SLOW)])
def test_whatever_is_sent_the_daemons_answer_and_give_nothing_away(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    store = f"sqlite:{tmp_path}"
    if kind == "mongodb":
        server: MongoServer = request.getfixturevalue("mongo_server")
        store = server.url
    seed = random_seed()
    print(f"seed {seed}")  # shown where it fails
    with target(store, tmp_path) as aimed:
        sent = run(aimed, INPUTS, seed, described=kind == "sqlite")
    assert sum(sent.values()) >= INPUTS
