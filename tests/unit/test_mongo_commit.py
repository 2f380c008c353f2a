"""The order of a commit on MongoDB, and what becomes of one that breaks off between its steps."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from bson.datetime_ms import DatetimeMS
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import AutoReconnect, OperationFailure, PyMongoError, ServerSelectionTimeoutError

from cube.errors import Unavailable
from cube.model.tier import CACHED_TIERS, HOUR, TEN_SECONDS
from cube.store.mongo import open_store
from cube.store.mongo.store import MongoStore
from tests.mongo_server import MongoServer, mongo_server
from tests.unit.mongo_support import (
    T0,
    Commands,
    Database,
    all_numbers,
    database,
    event,
    numbers,
    rows,
    sockets_dropped,
)

__all__ = ["database", "mongo_server", "sockets_dropped"]

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # see sockets_dropped


async def test_a_first_save_marks_notes_inserts_and_raises_in_this_order(database: Database) -> None:
    commands = Commands()
    store = await database.open(commands)

    await store.events.save("test", [event(T0), event(T0 + 10_000)])

    assert commands.writes() == [
        ("update", "cube_format"),
        ("update", "test_revisions"),
        ("update", "cube_notes"),
        ("insert", "test_events"),
        ("update", "test_revisions"),
    ]


async def test_a_later_save_into_the_same_hour_reuses_the_note(database: Database) -> None:
    commands = Commands()
    store = await database.open(commands)
    await store.events.save("test", [event(T0)])
    commands.sent.clear()

    await store.events.save("test", [event(T0 + 1)])

    assert commands.writes() == [("insert", "test_events"), ("update", "test_revisions")]


async def test_a_save_that_is_too_long_for_one_message_is_stored_all_the_same(database: Database) -> None:
    store = await database.open()
    texts = [letter * 2**20 for letter in "abcdefghijklmnopq"]
    await store.events.save("test", [event(T0 + at, at, text) for at, text in enumerate(texts)])
    assert [(id, data[:1], len(data)) for _, id, data in await rows(store)] == [
        (at, letter, 2**20) for at, letter in enumerate("abcdefghijklmnopq")
    ]


@pytest.mark.parametrize(
    ("refused", "error"),
    [
        ("insert", OperationFailure("Write batch sizes must be between 1 and 2. Got 3 operations.", 21)),
        ("update", OperationFailure("Write batch sizes must be between 1 and 2. Got 7 operations.", 21)),
        ("insert", AutoReconnect("connection closed")),
        ("update", AutoReconnect("connection closed")),
    ],
)
async def test_what_one_command_cannot_do_is_done_once_more(
    database: Database, monkeypatch: pytest.MonkeyPatch, refused: str, error: PyMongoError
) -> None:
    """The tests' server takes any number; MongoDB refuses the whole of more than 100 000, with that error."""
    store, command, met = await database.open(), AsyncDatabase.command, []
    await store.events.save("test", [event(T0, "first")])
    before = await all_numbers(store, T0)

    async def refusing(self: AsyncDatabase[Any], name: Any, *arguments: Any, **options: Any) -> Any:
        if name != refused:
            return await command(self, name, *arguments, **options)
        met.append(name)
        raise error

    monkeypatch.setattr(AsyncDatabase, "command", refusing)
    await store.events.save("test", [event(T0 + at, at) for at in range(3)])
    assert met == [refused]
    assert {id for _, id, _ in await rows(store)} == {"first", 0, 1, 2}
    assert all(a != b for a, b in zip(before, await all_numbers(store, T0), strict=True))


@pytest.mark.parametrize(("failing", "repeating"), [("insert", "insert_many"), ("update", "bulk_write")])
async def test_a_server_that_is_away_is_not_waited_for_by_a_second_write(
    database: Database, monkeypatch: pytest.MonkeyPatch, failing: str, repeating: str
) -> None:
    """The driver itself waits for one; whoever does so again holds up twice as long."""
    store, command, waits = await database.open(), AsyncDatabase.command, []
    await store.events.save("test", [event(T0)])

    async def away(self: AsyncDatabase[Any], name: Any, *arguments: Any, **options: Any) -> Any:
        if name != failing:
            return await command(self, name, *arguments, **options)
        waits.append(name)
        raise ServerSelectionTimeoutError("No servers found yet")

    async def again(*_: Any, **__: Any) -> None:
        waits.append("again")
        raise ServerSelectionTimeoutError("No servers found yet")

    monkeypatch.setattr(AsyncDatabase, "command", away)
    monkeypatch.setattr(AsyncCollection, repeating, again)
    with pytest.raises(Unavailable, match="MongoDB does not answer"):
        await store.events.save("test", [event(T0)])
    assert failing in waits
    assert "again" not in waits


async def test_revisions_are_raised_finest_first_in_one_ordered_bulk(database: Database) -> None:
    commands = Commands()
    store = await database.open(commands)

    await store.events.save("test", [event(T0), event(T0 + 1_000_000), event(T0 + 7_200_000)])

    raised = [command for name, _, command in commands.sent if name == "update"][-1]
    ids = [update["q"]["_id"] for update in raised["updates"]]
    steps = [int(name.partition(":")[0]) for name in ids]
    assert raised["ordered"] is True
    assert steps == sorted(steps)
    assert set(steps) == {tier.step for tier in CACHED_TIERS}
    assert len(ids) == len(set(ids))


async def test_all_but_the_cache_is_written_to_a_majority_and_its_journals(database: Database) -> None:
    commands = Commands()
    store = await database.open(commands)

    await store.events.save("test", [event(id="a")])
    await store.events.save("test", [event(T0 + 60_000, id="a")])

    concerns = [command["writeConcern"] for name, _, command in commands.sent if "writeConcern" in command]
    assert len(concerns) >= len(commands.writes())
    assert all(concern["w"] == "majority" and concern["j"] is True for concern in concerns)


async def test_documents_hold_id_time_and_data_and_nothing_else(database: Database) -> None:
    store = await database.open()

    await store.events.save(
        "test", [event(id=b"x" * 12), event(id="a", data=None), event(id=7, data={"b": 1})]
    )

    found = [document async for document in database.raw.test_events.find()]
    time = found[0]["t"]
    assert sorted(found, key=lambda document: str(document["_id"])) == [
        {"_id": 7, "t": time, "d": {"b": 1}},
        {"_id": ObjectId(b"x" * 12), "t": time},
        {"_id": "a", "t": time, "d": None},
    ]
    assert "t_1" in await database.raw.test_events.index_information()


async def test_a_dead_writer_between_insert_and_raise_is_settled_by_a_sweep(database: Database) -> None:
    """The writer dies after its note and its insert: so that is all it leaves."""
    reader = await database.open(lease_seconds=0)
    await reader.events.save("test", [event(T0)])
    before = await all_numbers(reader, T0)
    await _dead_process(database, note=T0)
    await database.raw.test_events.insert_one({"_id": "unraised", "t": DatetimeMS(T0), "d": 1})

    settled = await reader.events.sweep()

    assert settled >= 1
    assert all(a != b for a, b in zip(before, await all_numbers(reader, T0), strict=True))
    assert await database.raw.cube_notes.count_documents({"process": "dead"}) == 0


async def test_a_sweep_raises_both_times_of_a_dead_replacement(database: Database) -> None:
    store = await database.open(lease_seconds=0)
    old, new = T0, T0 + 7_200_000
    await store.events.save("test", [event(old), event(new)])
    before = await numbers(store, TEN_SECONDS, old, new)
    await database.raw.cube_intents.insert_one(
        {"_id": ObjectId(), "process": "dead", "type": "test", "key": "k", "old": old, "new": new}
    )

    await store.events.sweep()

    after = await numbers(store, TEN_SECONDS, old, new)
    assert all(a != b for a, b in zip(before, after, strict=True))
    assert await database.raw.cube_intents.count_documents({}) == 0


async def test_a_sweep_leaves_the_living_alone(database: Database) -> None:
    writer, sweeper = await database.open(), await database.open()
    await writer.events.save("test", [event(T0)])
    before = await all_numbers(sweeper, T0)

    assert await sweeper.events.sweep() == 0
    assert await all_numbers(sweeper, T0) == before
    assert await database.raw.cube_notes.count_documents({"type": "test"}) == 1


async def test_a_closed_store_leaves_no_notes(database: Database) -> None:
    store = await database.open()
    await store.events.save("test", [event(T0)])
    await store.close()

    assert await database.raw.cube_notes.count_documents({}) == 0


async def test_a_failed_insert_is_raised_before_its_error_and_again_by_the_sweep(database: Database) -> None:
    """A unique index of the user's makes the insert fail after some events are stored."""
    await database.raw.test_events.create_index([("d.u", 1)], unique=True)
    store = await database.open()
    await store.events.save("test", [event(T0, "first", {"u": 1})])
    before = await all_numbers(store, T0)

    with pytest.raises(Unavailable, match="code 11000"):
        await store.events.save("test", [event(T0, "kept", {"u": 2}), event(T0, "refused", {"u": 1})])

    raised = await all_numbers(store, T0)
    assert all(a != b for a, b in zip(before, raised, strict=True))
    assert await store.events.sweep() == 1
    assert all(a != b for a, b in zip(raised, await all_numbers(store, T0), strict=True))
    assert await store.events.sweep() == 0


async def test_a_cancelled_save_is_raised_all_the_same(database: Database) -> None:
    store = await database.open()
    await store.events.save("test", [event(T0)])
    before = await all_numbers(store, T0)
    saving = asyncio.create_task(store.events.save("test", [event(T0, i) for i in range(5_000)]))
    while not await database.raw.test_events.find_one({"_id": {"$gte": 0}}):
        assert not saving.done()
    saving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await saving

    assert all(a != b for a, b in zip(before, await all_numbers(store, T0), strict=True))


async def test_an_event_is_replaced_across_times_and_both_are_raised(database: Database) -> None:
    store = await database.open()
    old, new = T0, T0 + 86_400_000
    await store.events.save("test", [event(old, "a", 1), event(new, "b")])
    before = await numbers(store, TEN_SECONDS, old, new)

    await store.events.save("test", [event(new, "a", 2)])

    after = await numbers(store, TEN_SECONDS, old, new)
    assert all(a != b for a, b in zip(before, after, strict=True))
    assert sorted((id, time) for time, id, _ in await rows(store)) == [("a", new), ("b", new)]
    assert await database.raw.cube_intents.count_documents({}) == 0


async def test_a_replacement_raises_the_open_intents_of_its_id_too(database: Database) -> None:
    """Another writer moved the event from `first` to `second`, and died before it raised."""
    store = await database.open()
    first, second, third = T0, T0 + HOUR.step, T0 + 2 * HOUR.step
    commands = Commands()
    other = await database.open(commands)
    await store.events.save("test", [event(first, "a")])
    await other.events.save("test", [event(second, "a")])
    intent = next(
        c["documents"][0] for name, at, c in commands.sent if (name, at) == ("insert", "cube_intents")
    )
    await database.raw.cube_intents.insert_one(dict(intent))
    before = await numbers(store, TEN_SECONDS, first, second)

    await store.events.save("test", [event(third, "a")])

    after = await numbers(store, TEN_SECONDS, first, second)
    assert all(a != b for a, b in zip(before, after, strict=True))


async def test_racing_replacements_leave_one_event_and_no_intent(database: Database) -> None:
    stores = [await database.open() for _ in range(3)]
    await stores[0].events.save("test", [event(T0, "a", -1)])
    saves = [
        stores[i % 3].events.save("test", [event(T0 + i * HOUR.step, "a", i), event(T0 + i, f"other{i}")])
        for i in range(12)
    ]

    await asyncio.gather(*saves)

    found = [(time, shown) for time, id, shown in await rows(stores[1]) if id == "a"]
    assert len(found) == 1
    assert found[0][0] == T0 + found[0][1] * HOUR.step
    assert await database.raw.cube_intents.count_documents({}) == 0


async def test_a_server_that_is_away_is_unavailable_until_it_is_back(tmp_path: Path) -> None:
    with MongoServer(tmp_path / "db") as server:
        store = await open_store(f"{server.url}/?serverSelectionTimeoutMS=500", "cube")
        try:
            await store.events.save("test", [event(T0, "acknowledged")])
            server.kill()

            with pytest.raises(Unavailable):
                await store.events.save("test", [event(T0, "refused")])

            server.start()
            await _answers(store)
            assert [id for _, id, _ in await rows(store)] == ["acknowledged"]
        finally:
            await store.close()


async def _answers(store: MongoStore) -> None:
    while True:
        try:
            return await store.ping()
        except Unavailable:
            await asyncio.sleep(0.05)


async def _dead_process(database: Database, note: int) -> None:
    hour = HOUR.floor(note)
    await database.raw.cube_notes.update_one({"_id": "dead"}, {"$currentDate": {"seen": True}}, upsert=True)
    await database.raw.cube_notes.insert_one(
        {"_id": f"dead:test:{hour}", "process": "dead", "type": "test", "hour": hour}
    )
