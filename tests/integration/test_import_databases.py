"""`cube import` from a MongoDB of Square's Cube, and from another Cube: everything once, and resumable."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import bson
import pytest
from bson import DBRef, Decimal128, Int64, ObjectId, Timestamp
from pymongo import MongoClient

from cube.importing import databases, sender
from cube.importing.sender import CollectorConnection
from cube.store.mongo import foreign_events
from tests.both_daemons import both_daemons
from tests.importing import Imports
from tests.mongo_server import MongoServer, mongo_server

__all__ = ["mongo_server"]

FIRST = datetime(2012, 5, 1, 12, 0, 0, 123000, UTC)
TIME = 1335873600123


@pytest.fixture
def imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Imports:
    return Imports(tmp_path, monkeypatch, batch=10)


@pytest.fixture
def square(mongo_server: MongoServer) -> str:
    """Fill a database as Square's Cube and other tools do, and return its address."""
    name = mongo_server.database()
    ids = [ObjectId(f"4f9fd5c0{n:016x}") for n in range(40)]
    odd = {"n": Int64(2**53 + 1), "at": FIRST, "who": ids[0], "price": Decimal128("1.5"), "list": [FIRST]}
    with MongoClient(mongo_server.url) as client:
        database = client[name]
        database["request_events"].insert_many(
            [{"_id": id, "t": FIRST, "d": {"n": n}} for n, id in enumerate(ids)]
        )
        database["request_events"].insert_many(
            [{"_id": id, "t": FIRST, "d": {}} for id in ("text", 7, 1.5, {"a": 1}, Timestamp(1, 1), b"\xaa")]
        )
        database["odd_events"].insert_many(
            [
                {"_id": 1, "t": FIRST, "d": odd},
                {"_id": 2, "t": FIRST},
                {"_id": 3, "t": "yesterday", "d": {"n": 1}},
            ]
        )
        database["request_metrics"].insert_one({"_id": {"e": "x"}})
        database["system_Users"].insert_one({"_id": 1})
    return (
        f"{mongo_server.url.rstrip('/')}/{name}"
        if "?" not in mongo_server.url
        else _named(mongo_server.url, name)
    )


def _named(url: str, database: str) -> str:
    head, _, options = url.partition("?")
    return f"{head.rstrip('/')}/{database}?{options}"


def test_a_database_of_square_s_cube_is_imported_once_with_its_ids(imports: Imports, square: str) -> None:
    for _ in range(2):
        result = imports.run(square)
        assert (result.exit_code, result.stdout) == (2, "48 events stored.\n"), result.output
    events = imports.collector.stored
    assert len(events) == 48
    assert events["request", "4f9fd5c00000000000000000"].data == {"n": 0}
    assert events["request", "4f9fd5c00000000000000000"].time == TIME
    assert {id for type, id in events if type == "request" and len(str(id)) < 20} >= {"text", 7, 1.5}
    told = "2012-05-01T12:00:00.123Z"
    assert events["odd", 1].data == {
        "n": 2**53 + 1, "at": told, "who": "4f9fd5c00000000000000000", "price": 1.5, "list": [told],
    }  # fmt: skip
    (rejects,) = imports.folder.glob("*.rejects.jsonl")
    assert ["Its t is not a date" in line["reason"] for line in imports.rejects(rejects.name)] == [True]


def test_an_import_of_a_database_goes_on_behind_the_last_event(
    imports: Imports, square: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between any two kinds of ids as well."""
    monkeypatch.setattr(sender, "BATCH_EVENTS", 3)
    runs = 0
    imports.collector.fails_after = 1
    while imports.run(square, "--type", "request").exit_code != 0:
        imports.collector.fails_after = imports.collector.requests + 1
        runs += 1
        assert runs < 40
    assert runs > 10
    assert len(imports.collector.stored) == 46
    assert imports.collector.received == 46
    assert not list(imports.folder.glob("*.cube-import"))


def test_every_kind_of_an_id_has_a_place_in_the_order_of_the_server() -> None:
    ids = [
        None,
        True,
        1,
        Int64(1),
        1.5,
        Decimal128("1"),
        "a",
        {"a": 1},
        DBRef("a", 1),
        b"a",
        ObjectId(),
        FIRST,
    ]
    for id in [*ids[1:], Timestamp(1, 1)]:
        stored = bson.decode(bson.encode({"_id": id}), foreign_events.CODEC)["_id"]
        assert foreign_events.kind(stored) in foreign_events.KINDS


@pytest.mark.parametrize(
    ("url", "part"),
    [
        ("mongodb://user:secret@127.0.0.1:1", "names no database"),
        ("mongodb://user:se:cret@127.0.0.1:1/x", "percent-encoded"),
        (
            "mongodb://user:secret@127.0.0.1:1/x?serverSelectionTimeoutMS=1",
            "cannot be read. MongoDB does not answer: ",
        ),
    ],
)
def test_a_database_that_is_not_there_is_said_without_its_password(
    imports: Imports, url: str, part: str
) -> None:
    result = imports.run(url)
    assert result.exit_code in (1, 2)
    assert part in result.stderr
    assert "secret" not in result.output


def test_a_database_without_events_and_options_that_do_not_apply_are_said(
    imports: Imports, square: str
) -> None:
    assert "There is no collection other_events" in imports.run(square, "--type", "other").stderr
    assert "Got --time for a database" in imports.run(square, "--time", "t").stderr


def test_another_cube_is_imported_once_with_ids_for_events_that_have_none(
    imports: Imports, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many equal events of one time lie across the pages, and each is stored."""
    monkeypatch.setattr(databases, "PAGE_EVENTS", 7)
    monkeypatch.setattr(sender, "BATCH_EVENTS", 4)
    same = [{"type": "same", "time": TIME, "data": {"n": n % 2}} for n in range(30)]
    others = [{"type": "other", "time": TIME + n, "id": f"own-{n}", "data": [n]} for n in range(5)]
    bare = [{"type": "other", "time": TIME + 9}]
    with both_daemons(imports.folder) as both:
        with CollectorConnection(both.collector.http) as connection:
            connection.post([json.dumps(event).encode() for event in (*same, *others, *bare)])
        assert imports.run(both.evaluator.http).stdout == "36 events stored.\n"
        first = dict(imports.collector.stored)
        imports.collector.fails_after = imports.collector.requests
        runs = 0
        while imports.run(both.evaluator.http).exit_code != 0:
            imports.collector.fails_after = imports.collector.requests + 3
            runs += 1
            assert runs < 30
        imports.collector.fails_after = None
        assert imports.run(both.evaluator.http, "--type", "other").stdout == "6 events stored.\n"
        assert "it has the types other, same" in imports.run(both.evaluator.http, "--type", "no").stderr
    assert runs > 1
    assert imports.collector.stored == first
    assert len(first) == 36
    assert first["other", "own-3"].data == [3]
    assert (
        sorted(event.data["n"] for (type, _), event in first.items() if type == "same") == [0] * 15 + [1] * 15
    )
