"""``cube shard``: what the driver sends to a mongos, and what is said where it cannot be done."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cube.cli.main import main
from tests.mongo_server import MongoServer, mongo_server
from tests.mongos import Mongos

__all__ = ["mongo_server"]

NAMES = [f"prod.request_{kind}" for kind in ("events", "revisions", "metrics")]
HASHED = {"_id": "hashed"}


@pytest.fixture
def mongos() -> Iterator[Mongos]:
    with Mongos() as server:
        yield server


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["shard", *arguments])


def shard(mongos: Mongos, type: str = "request") -> Result:
    return run(type, "--store", mongos.url, "--database", "prod")


def test_the_three_collections_of_a_type_are_sharded_by_hashed_id(mongos: Mongos) -> None:
    done = shard(mongos)
    assert (done.exit_code, done.stdout.splitlines()) == (
        0,
        [f"{name} is sharded by {{_id: hashed}}." for name in NAMES],
    )
    assert mongos.shard_keys == dict.fromkeys(NAMES, HASHED)


def test_the_database_comes_first_and_every_collection_has_its_index_before(mongos: Mongos) -> None:
    shard(mongos)
    admin = [command for database, command in mongos.sent if database == "admin"]
    assert [next(iter(command.items())) for command in admin] == [
        ("enableSharding", "prod"),
        *(("shardCollection", name) for name in NAMES),
    ]
    for command in admin[1:]:
        index = ("prod", command["shardCollection"].removeprefix("prod."))
        before = mongos.sent[: mongos.sent.index(("admin", command))]
        assert any(
            (database, sent.get("createIndexes")) == index and sent["indexes"][0]["key"] == HASHED
            for database, sent in before
        )


def test_collections_that_hold_documents_are_sharded_too(mongos: Mongos) -> None:
    mongos.filled.update(NAMES)
    assert shard(mongos).exit_code == 0
    assert mongos.shard_keys == dict.fromkeys(NAMES, HASHED)


def test_the_cache_of_squares_cube_is_dropped_since_a_capped_one_cannot_be_sharded(mongos: Mongos) -> None:
    mongos.capped.add(NAMES[2])
    assert shard(mongos).exit_code == 0
    assert ("prod", {"drop": "request_metrics"}) in [
        (database, {"drop": command.get("drop")}) for database, command in mongos.sent
    ]
    assert mongos.shard_keys == dict.fromkeys(NAMES, HASHED)


def test_doing_it_again_shards_nothing_and_says_so(mongos: Mongos) -> None:
    shard(mongos)
    mongos.sent.clear()
    done = shard(mongos)
    assert (done.exit_code, done.stdout) == (0, "The collections of request were sharded already.\n")
    assert not any("shardCollection" in command for _, command in mongos.sent)


def test_what_was_left_half_done_is_finished(mongos: Mongos) -> None:
    mongos.shard_keys[NAMES[0]] = HASHED
    assert shard(mongos).stdout.splitlines() == [
        f"{name} is sharded by {{_id: hashed}}." for name in NAMES[1:]
    ]


def test_a_collection_that_is_sharded_in_another_way_is_refused_before_anything_is_done(
    mongos: Mongos,
) -> None:
    mongos.shard_keys[NAMES[1]] = {"t": 1}
    done = shard(mongos)
    assert done.exit_code == 2
    assert (
        "prod.request_revisions is sharded by {'t': 1} already; accepted is {'_id': 'hashed'}" in done.stderr
    )
    assert mongos.sent == []


def test_a_lone_server_is_refused(mongo_server: MongoServer) -> None:
    done = run("request", "--store", mongo_server.url)
    assert done.exit_code == 2
    assert "is not a mongos; accepted is the address of one" in done.stderr


def test_sqlite_is_refused(tmp_path: Path) -> None:
    done = run("request", "--store", f"sqlite:{tmp_path}")
    assert done.exit_code == 2
    assert f"Got the store sqlite:{tmp_path}; accepted is the mongodb:// address" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_type_that_is_none_is_refused(mongos: Mongos) -> None:
    done = shard(mongos, "Re quest")
    assert (done.exit_code, mongos.sent) == (2, [])
    assert 'Got the type "Re quest"' in done.stderr


def test_a_dry_run_prints_what_mongosh_takes_and_asks_nobody(mongos: Mongos) -> None:
    printed = run("request", "--store", mongos.url, "--database", "prod", "--dry-run").stdout.splitlines()
    assert mongos.sent == []
    shard(mongos)
    commands = [
        (line.partition('"')[2].partition('"')[0], json.loads(line.partition("runCommand(")[2][:-1]))
        for line in printed
    ]
    assert len(commands) == 7
    assert [sent for sent in mongos.sent if sent in commands] == commands
