"""What other tools stored in the database: events of any BSON, types beside Cube, Square's caches."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import bson
import pytest
from bson import DBRef, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.binary import Binary
from bson.code import Code
from bson.datetime_ms import DatetimeMS

from cube import instant
from cube.event import ABSENT
from cube.mongo.documents import Decoder, encode, event_id, plain
from cube.span import Span
from cube.store.ports import CacheKey, Cell
from cube.tier import HOUR, TEN_SECONDS
from tests.mongo_server import mongo_server
from tests.unit.mongo_support import T0, WHOLE, Database, database, event, numbers, rows, sockets_dropped

__all__ = ["database", "mongo_server", "sockets_dropped"]

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # see sockets_dropped

KEY = CacheKey("test", "sum(test(i))", "value", 1)
SPAN = Span(T0, T0 + 10_000_000)


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        (Int64(2**40), 2**40),
        (datetime(2011, 7, 19, tzinfo=UTC), datetime(2011, 7, 19, tzinfo=UTC)),
        (DatetimeMS(2**62), instant.to_datetime(instant.LATEST)),
        (DatetimeMS(-(2**62)), instant.to_datetime(instant.EARLIEST)),
        (ObjectId("0" * 24), "0" * 24),
        (Decimal128("1.5"), 1.5),
        (Binary(b"ab", 128), "YWI="),
        (b"ab", "YWI="),
        (Regex("^a", "i"), "/^a/"),
        (re.compile("^a"), "/^a/"),
        (Code("f()"), "f()"),
        (Timestamp(1, 2), datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)),
        (MinKey(), "MinKey"),
        (MaxKey(), "MaxKey"),
        (DBRef("c", ObjectId("0" * 24)), {"$ref": "c", "$id": "0" * 24}),
        ([{"a": ObjectId("0" * 24)}], [{"a": "0" * 24}]),
        (None, None),
        (True, True),
    ],
)
def test_every_kind_of_bson_becomes_a_plain_value(stored: Any, shown: Any) -> None:
    batch = bson.encode({"t": DatetimeMS(T0), "d": {"x": stored}})

    [data] = Decoder(ids=False).block(batch).data

    assert data == {"x": shown}
    assert type(data["x"]) is type(shown)


def test_text_that_is_no_utf_8_is_read_with_replacement_characters() -> None:
    batch = bson.encode({"t": DatetimeMS(T0), "d": "abc"}).replace(b"abc", b"a\xffc")

    assert Decoder(ids=False).block(batch).data == ["a\ufffdc"]


def test_an_array_of_dates_in_place_of_the_time_is_left_out() -> None:
    batch = bson.encode({"t": [DatetimeMS(T0)], "d": 1}) + bson.encode({"t": DatetimeMS(T0), "d": 2})

    assert Decoder(ids=False).block(batch).data == [2]


def test_ids_of_kinds_that_no_event_has_become_text() -> None:
    assert [event_id(id_) for id_ in (True, {"a": 1}, None)] == ["True", "{'a': 1}", "None"]
    assert event_id(Decimal128("2.5")) == 2.5
    assert plain(event_id(ObjectId("0" * 24))) == "A" * 16


async def test_a_database_that_squares_cube_filled_is_read_and_built(database: Database) -> None:
    made = ObjectId()
    await database.raw.test_events.insert_many(
        [
            {"_id": made, "t": DatetimeMS(T0), "d": {"i": 1}},
            {"_id": "client", "t": DatetimeMS(T0 + 1), "d": {"at": DatetimeMS(T0), "by": made}},
            {"_id": {"odd": 1}, "t": DatetimeMS(T0 + 2)},
        ]
    )
    store = await database.open()
    async with store.events.read() as session:
        before = await session.revisions("test", TEN_SECONDS, SPAN)
        assert await session.types() == ["test"]
    assert (before.known, before.complete) == (True, False)

    await store.events.build("test")

    assert [found[1:] for found in await rows(store)] == [
        (made.binary, {"i": 1}),
        ("client", {"at": instant.to_datetime(T0), "by": str(made)}),
        ("{'odd': 1}", ABSENT),
    ]
    async with store.events.read() as session:
        after = await session.revisions("test", TEN_SECONDS, SPAN)
    assert after.complete
    assert set(after.numbers) == {T0}


async def test_a_stored_time_that_is_no_date_can_be_replaced(database: Database) -> None:
    await database.raw.test_events.insert_many([{"_id": "a", "t": "yesterday"}, {"_id": "b"}])
    store = await database.open()

    await store.events.save("test", [event(T0, "a", 1), event(T0 + 1, "b", 2, timed=False)])

    assert await rows(store) == [(T0, "a", 1), (T0 + 1, "b", 2)]


async def test_fields_are_projected_and_data_that_are_no_objects_have_none(database: Database) -> None:
    store = await database.open()
    shapes = [{"a": 1, "b": 2}, 5, [{"a": 1, "b": 2}, 3], None]
    await store.events.save("test", [event(T0 + i, i, shape) for i, shape in enumerate(shapes)])

    found = [data for _, _, data in await rows(store, ["a"])]

    assert found[0] == {"a": 1}
    assert found[2] == [{"a": 1}]
    assert not any(isinstance(data, dict) for data in (found[1], found[3]))


async def test_a_foreign_type_is_never_complete_and_shows_no_revisions(database: Database) -> None:
    await (await database.open()).events.save("test", [event(T0)])
    store = await database.open(foreign=["test"])
    await store.events.save("test", [event(T0)])
    await store.events.build("test")

    async with store.events.read() as session:
        found = await session.revisions("test", TEN_SECONDS, SPAN)

    assert (found.foreign, found.complete, found.known, found.numbers) == (True, False, True, {})


async def test_a_type_that_is_foreign_no_longer_is_built_again(database: Database) -> None:
    """The other tool took an event away and added one: both buckets change."""
    first = await database.open()
    await first.events.save("test", [event(T0, "gone")])
    [before] = await numbers(first, TEN_SECONDS, T0)
    await database.open(foreign=["test"])
    await database.raw.test_events.delete_one({"_id": "gone"})
    await database.raw.test_events.insert_one(encode(event(T0 + HOUR.step, "new")))

    await first.events.build("test")

    gone, new = await numbers(first, TEN_SECONDS, T0, T0 + HOUR.step)
    assert gone != before
    assert new is not None


@pytest.mark.parametrize("capped", [True, False])
async def test_a_cache_of_another_make_is_dropped_with_a_log_line(
    database: Database, capped: bool, caplog: pytest.LogCaptureFixture
) -> None:
    if capped:
        await database.raw.create_collection("test_metrics", capped=True, size=100_000)
    await database.raw.test_metrics.insert_one({"_id": {"e": "sum(test)", "l": 10_000, "t": T0}, "v": 1})
    store = await database.open()

    await store.metrics.save(KEY, TEN_SECONDS, {T0: Cell(1, b"x")})

    assert await store.metrics.read(KEY, TEN_SECONDS, SPAN) == {T0: Cell(1, b"x")}
    assert await database.raw.test_metrics.count_documents({}) == 1
    assert "test_metrics is a cache of another make" in caplog.text


async def test_a_hash_collision_is_a_miss_and_changes_nothing(database: Database) -> None:
    store = await database.open()
    await store.metrics.save(KEY, TEN_SECONDS, {T0: Cell(1, b"x")})
    await database.raw.test_metrics.update_one({}, {"$set": {"k": "another key"}})

    assert await store.metrics.read(KEY, TEN_SECONDS, SPAN) == {}
    await store.metrics.save(KEY, TEN_SECONDS, {T0: Cell(2, b"y")})
    [document] = [found async for found in database.raw.test_metrics.find()]
    assert document["k"] == "another key"
    assert WHOLE.start < T0
