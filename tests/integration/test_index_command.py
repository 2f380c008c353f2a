"""`cube index` on both stores: what it makes, lists and drops, and the one sentence of what it refuses."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from click.testing import CliRunner

from cube.cli.main import main
from cube.model.environment import Environment
from cube.model.event import Event
from cube.store.factory import opened
from tests.mongo_server import MongoServer, mongo_server

__all__ = ["mongo_server"]


@pytest.fixture(params=["sqlite", "mongodb"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """The URL of a store and a database in it, with some events of the environment ``staging``."""
    if request.param == "sqlite":
        place = (f"sqlite:{tmp_path / 'data'}", "test")
    else:
        server: MongoServer = request.getfixturevalue("mongo_server")
        place = (server.url, server.database())
    asyncio.run(_filled(*place))
    return place


async def _filled(url: str, database: str) -> None:
    async with opened(url, [Environment("default", database)], database) as databases:
        events = [Event("request", n, n, {"host": f"w{n % 9}", "a": {"b c": n}}) for n in range(99)]
        await databases.stores["default"].events.save("request", events)


def index(where: tuple[str, str], *arguments: str) -> tuple[int, str]:
    """Run ``cube index`` in this process; return its status, and what it says."""
    store, database = where
    words = ["index", "--store", store, "--database", database, *arguments]
    ended = CliRunner().invoke(main, words, env={"CUBE_CONFIG": None})
    return ended.exit_code, ended.output


def test_an_index_is_made_listed_and_dropped(where: tuple[str, str]) -> None:
    assert index(where, "request") == (0, "")
    status, output = index(where, "request", "host")
    assert (status, output.splitlines()[-1]) == (0, "The index on host of request is made.")
    assert "Indexing host of request, about 99 events." in output
    assert index(where, "request", 'a["b c"]')[0] == 0
    assert index(where, "request", "host") == (0, "The index on host of request was there already.\n")
    assert index(where, "request") == (0, '{"field":"a[\\"b c\\"]"}\n{"field":"host"}\n')
    assert index(where, "request", "host", "--drop") == (0, "The index on host of request is dropped.\n")
    assert index(where, "request") == (0, '{"field":"a[\\"b c\\"]"}\n')


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ("request", "host", "--drop"),
            "There is no index on host of request; `cube index request` lists all.",
        ),
        (("unknown", "host"), 'There are no events of the type "unknown"; `cube types` lists all.'),
        (("Request", "host"), 'Got the type "Request"; accepted is [a-z_][a-zA-Z0-9_]*.'),
        (("request", "--drop"), "Got --drop without a field; accepted is cube index request FIELD --drop."),
        (("request", "a[0].b"), "Got the field a[0].b, with an element of an array in it; accepted is"),
        (("request", "a,b"), 'Got the field "a,b"; accepted is one, as status'),
        (("request", "a).eq(a,1"), 'Got the field "a).eq(a,1"; accepted is one, as status'),
        (("request", "a..b"), "Expected "),
        (("request", '["\\u0000"]'), 'Got the field ["\\u0000"]; accepted on '),
        (("request", "a", "--environment", "no"), 'Got the environment "no", which is not configured; '),
    ],
)
def test_what_cannot_be_is_told_in_a_sentence(
    where: tuple[str, str], arguments: tuple[str, ...], sentence: str
) -> None:
    status, output = index(where, *arguments)
    assert (status, output.count("\n")) == (2, 1)
    assert output.startswith(f"cube: {sentence}")


def test_a_store_without_a_database_is_not_made(tmp_path: Path) -> None:
    status, output = index((f"sqlite:{tmp_path / 'none'}", "test"), "request")
    assert status == 2
    assert "accepted is one that a daemon has made" in output
    assert not (tmp_path / "none").exists()
