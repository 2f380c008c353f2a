"""What other tools stored in the database: events of any BSON, types beside Cube, Square's caches."""

from __future__ import annotations

import asyncio
import math
import re
import uuid
from datetime import UTC, datetime
from typing import Any

import bson
import pytest
from bson import DBRef, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.binary import Binary, UuidRepresentation
from bson.code import Code
from bson.codec_options import CodecOptions
from bson.datetime_ms import DatetimeMS

from cube.expression import parse_event
from cube.model import instant
from cube.model.event import ABSENT, EventId
from cube.model.tier import HOUR, TEN_SECONDS, Span
from cube.store.find import find
from cube.store.metric_ports import CachedBucket, CacheKey
from cube.store.mongo.documents import DocumentDecoder, encode, event_id, plain
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
        (Decimal128("Infinity"), math.inf),
        (Decimal128("1E+6000"), math.inf),
        (uuid.UUID(int=1), "AAAAAAAAAAAAAAAAAAAAAQ=="),
        (-0.0, -0.0),
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
    options = CodecOptions[dict[str, Any]](uuid_representation=UuidRepresentation.STANDARD)
    batch = bson.encode({"t": DatetimeMS(T0), "d": {"x": stored}}, codec_options=options)

    [data] = DocumentDecoder(ids=False).block(batch).data

    assert data == {"x": shown}
    assert type(data["x"]) is type(shown)


@pytest.mark.parametrize("text", ["NaN", "sNaN", "-sNaN"])
def test_a_decimal_that_is_no_number_costs_nobody_a_scan(text: str) -> None:
    batch = bson.encode({"_id": Decimal128(text), "t": DatetimeMS(T0), "d": {"x": Decimal128(text)}})

    block = DocumentDecoder(ids=True).block(batch)

    assert math.isnan(block.data[0]["x"])
    assert block.ids == ["nan"]


@pytest.mark.parametrize(
    ("kind", "content", "shown"),
    [
        (b"\x06", b"", None),  # undefined
        (b"\x0e", b"\x02\x00\x00\x00s\x00", "s"),  # symbol
        (b"\x0c", b"\x02\x00\x00\x00c\x00" + bytes(12), {"$ref": "c", "$id": "0" * 24}),  # DBPointer
    ],
)
def test_kinds_that_bson_has_given_up_are_read(kind: bytes, content: bytes, shown: Any) -> None:
    """The driver cannot write them any more; old databases hold them."""
    data = kind + b"x\x00" + content + b"\x00"
    inner = (len(data) + 4).to_bytes(4, "little") + data
    fields = b"\x09t\x00" + T0.to_bytes(8, "little") + b"\x03d\x00" + inner + b"\x00"

    block = DocumentDecoder(ids=False).block((len(fields) + 4).to_bytes(4, "little") + fields)

    assert block.data == [{"x": shown}]


async def test_an_id_that_the_server_takes_for_another_is_replaced_under_that(database: Database) -> None:
    """A decimal 5 is 5 to MongoDB; to the driver it is not."""
    await database.raw.test_events.insert_one({"_id": Decimal128("5"), "t": DatetimeMS(T0), "d": "old"})
    store = await database.open()

    async with asyncio.timeout(20):
        await store.events.save("test", [event(T0 + 1, 5, "new"), event(T0 + 2, 6, "other")])

    found = {(id, data) for _, id, data in await rows(store)}
    assert found in ({(5, "new"), (6, "other")}, {(5, "new"), (5.0, "old"), (6, "other")})


async def test_ids_are_equal_as_the_collections_collation_has_it(database: Database) -> None:
    collation = {"locale": "en", "strength": 2}
    await database.raw.create_collection("test_events", collation=collation)
    store = await database.open()
    await store.events.save("test", [event(T0, "A", 1)])

    async with asyncio.timeout(20):
        await store.events.save("test", [event(T0 + 1, "a", 2)])

    found = [data for _, _, data in await rows(store)]
    assert found in ([2], [1, 2])  # one document to a MongoDB, two where the server has no collation of ids


def test_text_that_is_no_utf_8_is_read_with_replacement_characters() -> None:
    batch = bson.encode({"t": DatetimeMS(T0), "d": "abc"}).replace(b"abc", b"a\xffc")

    assert DocumentDecoder(ids=False).block(batch).data == ["a\ufffdc"]


def test_an_array_of_dates_in_place_of_the_time_is_left_out() -> None:
    batch = bson.encode({"t": [DatetimeMS(T0)], "d": 1}) + bson.encode({"t": DatetimeMS(T0), "d": 2})

    assert DocumentDecoder(ids=False).block(batch).data == [2]


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

    await store.metrics.save(KEY, TEN_SECONDS, {T0: CachedBucket(1, b"x")})

    assert await store.metrics.read(KEY, TEN_SECONDS, SPAN) == {T0: CachedBucket(1, b"x")}
    assert await database.raw.test_metrics.count_documents({}) == 1
    assert "test_metrics is a cache of another format" in caplog.text


async def test_a_hash_collision_is_a_miss_and_changes_nothing(database: Database) -> None:
    store = await database.open()
    await store.metrics.save(KEY, TEN_SECONDS, {T0: CachedBucket(1, b"x")})
    await database.raw.test_metrics.update_one({}, {"$set": {"k": "another key"}})

    assert await store.metrics.read(KEY, TEN_SECONDS, SPAN) == {}
    await store.metrics.save(KEY, TEN_SECONDS, {T0: CachedBucket(2, b"y")})
    [document] = [found async for found in database.raw.test_metrics.find()]
    assert document["k"] == "another key"
    assert WHOLE.start < T0


async def test_an_index_hides_no_value_that_is_read_as_the_text_of_a_filter(database: Database) -> None:
    """A filter that the server applies finds what the same filter finds among the values as they are read."""
    stored = [
        *("0" * 24, ObjectId("0" * 24), "YWI=", b"ab", Binary(b"ab", 128), "/^a/", Regex("^a"), Code("/^a/")),
        *("MinKey", MinKey(), datetime(2011, 7, 19, tzinfo=UTC), "2011-07-19T00:00:00.000Z", Timestamp(1, 2)),
        *(["YWI=", 1], [b"ab"], [ObjectId("0" * 24), "x"], "other", 1, None),
    ]
    at = datetime.fromtimestamp(T0 / 1_000, UTC)
    await database.raw.test_events.insert_many(
        {"_id": number, "t": at, "d": {"a": value}} for number, value in enumerate(stored)
    )
    store = await database.open()
    texts = ["0" * 24, "YWI=", "/^a/", "MinKey", "2011-07-19T00:00:00.000Z", "1970-01-01T00:00:01.000Z"]
    expressions = [parse_event(f'test.eq(a, "{text}")') for text in texts]

    async def found() -> list[list[EventId]]:
        async with store.events.read() as session:
            return [
                [one.id async for part in find(session, expression, WHOLE, limit=None) for one in part]
                for expression in expressions
            ]

    plainly = await found()
    assert [len(each) for each in plainly[:3]] == [3, 5, 3]
    await database.raw.test_events.create_index([("d.a", 1)])
    assert await found() == plainly
