"""A tier that is added to a filled store, and a store of a later format, on both stores."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pymongo import AsyncMongoClient

from cube.errors import InvalidSettings
from cube.model.environment import DEFAULT, Environment
from cube.model.tier import FIRST_STEPS, are_cached_steps, cached_steps
from cube.store.factory import opened
from cube.store.mongo import open_store
from cube.store.mongo.layout import FORMAT
from tests.added_tier import QUARTER
from tests.daemon import CHECKOUT
from tests.evaluator_running import DAY, bench_on, event
from tests.mongo_server import MongoServer, mongo_server
from tests.tools import SLOW

__all__ = ["mongo_server"]

HOUR = 3_600_000
EXPRESSION = "sum(test(n))"


@pytest.fixture(params=["sqlite", pytest.param("mongodb", marks=SLOW)])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """The URL of a store whose database ``test`` is empty, and a server of its own where it needs one."""
    if request.param == "sqlite":
        yield f"sqlite:{tmp_path}"
        return
    with MongoServer() as server:
        yield server.url


def with_another_tier(store: str, step: int, stop: int) -> list[float | None]:
    command = [sys.executable, "-m", "tests.added_tier", store, str(step), str(DAY), str(stop), EXPRESSION]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    answer: list[float | None] = json.loads(done.stdout)
    return answer


async def test_a_tier_added_to_a_filled_store_is_built_and_so_is_what_is_built_from_it(store: str) -> None:
    """And again when it is gone, and back: what was stored meanwhile raised other tiers."""
    await fill(store, 1)
    assert await ask(store, HOUR, DAY + 2 * HOUR) == [1, 1]

    assert with_another_tier(store, QUARTER, DAY + HOUR) == [1, 0, 0, 0]
    assert with_another_tier(store, HOUR, DAY + 2 * HOUR) == [1, 1]

    await fill(store, 2)
    assert await ask(store, HOUR, DAY + 2 * HOUR) == [3, 3]
    assert with_another_tier(store, QUARTER, DAY + HOUR) == [3, 0, 0, 0]
    assert with_another_tier(store, HOUR, DAY + 2 * HOUR) == [3, 3]


async def test_a_database_of_a_later_format_is_refused(mongo_server: MongoServer) -> None:
    name = mongo_server.database()
    async with AsyncMongoClient[dict[str, object]](mongo_server.url) as client:
        await client[name].cube_format.insert_one({"_id": "format", "version": FORMAT + 1})
    with pytest.raises(InvalidSettings, match=f"made by a later Cube .its format is {FORMAT + 1}"):
        await open_store(mongo_server.url, name)
    mongo_server.forget(name)


def test_a_marker_without_tiers_is_about_those_there_were() -> None:
    assert are_cached_steps(None) is (sorted(FIRST_STEPS) == cached_steps())
    assert are_cached_steps(cached_steps())
    assert not are_cached_steps(cached_steps()[1:])
    assert not are_cached_steps([*cached_steps(), QUARTER])


async def fill(store: str, n: int) -> None:
    """Store an event in each of two hours."""
    async with opened(store, [Environment(DEFAULT, "test")], "test") as databases:
        events = [event(DAY, {"n": n}), event(DAY + HOUR, {"n": n})]
        await databases.stores[DEFAULT].events.save("test", events)


async def ask(store: str, step: int, stop: int) -> list[float | None]:
    environments = [Environment(DEFAULT, "test")]
    async with (
        opened(store, environments, "test") as databases,
        bench_on(databases.stores[DEFAULT]) as bench,
    ):
        return await bench.values(EXPRESSION, step, DAY, stop)
