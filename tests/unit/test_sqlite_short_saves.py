"""Saves of few events in one statement: the same is stored as in the usual way, or that is taken."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from cube.errors import InvalidEvent, Unavailable
from cube.model.event import ABSENT, Event
from cube.model.made_id import make_id
from cube.model.tier import CACHED_TIERS, Span
from cube.store.sqlite import SqliteStore, open_store, short_saves
from cube.store.sqlite.short_saves import MOST_EVENTS, ShortSave, ShortSaves
from cube.store.sqlite.writer import WriteJob, Writer

T0 = 1_311_033_600_000
DAY = Span(T0, T0 + 86_400_000)
WHOLE = Span(0, 10**14)


class Counted:
    """Counts the saves that were one statement, and those that had to be done the usual way."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.outcomes: list[bool] = []
        save = ShortSaves.save

        def counted(saves: ShortSaves, type: str, events: Sequence[Event], connection: Any) -> bool:
            self.outcomes.append(save(saves, type, events, connection))
            return self.outcomes[-1]

        monkeypatch.setattr(ShortSaves, "save", counted)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    return Counted(monkeypatch)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = await open_store(tmp_path, "x")
    await opened.events.save("test", [event(0)])
    yield opened
    await opened.close()


def event(at: int, id: Any = None, data: Any = None) -> Event:
    return Event("test", T0 + at, make_id() if id is None else id, {"v": at} if data is None else data)


async def stored(store: SqliteStore) -> list[tuple[int, Any, Any]]:
    found: list[tuple[int, Any, Any]] = []
    async with store.events.read() as session:
        async for block in session.scan("test", DAY, None, ids=True):
            ids = block.ids or ()
            found += [
                (time - T0, id, data) for time, id, data in zip(block.times, ids, block.data, strict=True)
            ]
    return found


async def revisions(store: SqliteStore) -> dict[tuple[int, int], int]:
    async with store.events.read() as session:
        return {
            (tier.step, start): number
            for tier in CACHED_TIERS
            for start, number in (await session.revisions("test", tier, WHOLE)).numbers.items()
        }


async def test_few_events_are_one_statement_and_raise_all_their_buckets(
    store: SqliteStore, counted: Counted
) -> None:
    before = await revisions(store)
    await store.events.save(
        "test", [event(10, "a"), event(25_000, 7), Event("test", T0 + 11, "none", ABSENT)]
    )

    assert counted.outcomes == [True]
    assert [(time, id) for time, id, _ in await stored(store)][1:] == [(10, "a"), (11, "none"), (25_000, 7)]
    after = await revisions(store)
    touched = {(tier.step, tier.floor(T0 + at)) for tier in CACHED_TIERS for at in (10, 11, 25_000)}
    assert {bucket for bucket, number in after.items() if before.get(bucket) != number} == touched


async def test_of_equal_ids_in_one_save_the_last_counts_and_both_buckets_are_raised(
    store: SqliteStore, counted: Counted
) -> None:
    before = await revisions(store)
    await store.events.save("test", [event(10_000, "a"), event(70_000, "a")])

    assert counted.outcomes == [True]
    assert [time for time, _, _ in await stored(store)] == [0, 70_000]
    after = await revisions(store)
    assert all(after[10_000, T0 + at] != before.get((10_000, T0 + at)) for at in (10_000, 70_000))


async def test_an_event_that_is_stored_already_is_replaced_the_usual_way(
    store: SqliteStore, counted: Counted
) -> None:
    await store.events.save("test", [event(10, "a")])
    await store.events.save("test", [event(70_000, "a"), event(5, "b")])
    await store.events.save("test", [event(6, "c")])

    assert counted.outcomes == [True, False, False]
    assert [(time, id) for time, id, _ in await stored(store)][1:] == [(5, "b"), (6, "c"), (70_000, "a")]


async def test_an_id_that_a_pack_has_is_replaced_there(store: SqliteStore, counted: Counted) -> None:
    packed = [event(at) for at in range(40)]
    await store.events.save("test", packed)
    await store.events.save("test", [Event("test", T0 + 500, packed[7].id, {"v": "again"})])

    assert counted.outcomes == [False]
    assert [data for _, id, data in await stored(store) if id == packed[7].id] == [{"v": "again"}]
    assert len(await stored(store)) == 1 + len(packed)


async def test_expired_events_are_refused_whoever_has_expired_them(
    store: SqliteStore, counted: Counted, tmp_path: Path
) -> None:
    await store.events.save("test", [event(1)])
    other = await open_store(tmp_path, "x")
    await other.events.expire("test", T0 + 10_000)
    await other.close()

    with pytest.raises(InvalidEvent, match="expired") as refused:
        await store.events.save("test", [event(20_000), event(9_999)])
    await store.events.save("test", [event(20_000, "kept")])
    with pytest.raises(InvalidEvent, match="expired"):
        await store.events.save("test", [event(9_999)])

    assert refused.value.details["index"] == 1
    assert counted.outcomes == [True, False, True, False]
    assert "kept" in [id for _, id, _ in await stored(store)]


async def test_saves_that_wait_together_are_one_and_what_one_of_them_is_refused_for_is_its_own(
    store: SqliteStore, counted: Counted
) -> None:
    await store.events.expire("test", T0 + 1_000)
    saves = [store.events.save("test", [event(2_000 + number, f"id {number}")]) for number in range(9)]
    saves.insert(4, store.events.save("test", [event(1_500, "fine"), event(1, "old")]))
    outcomes = await asyncio.gather(*saves, return_exceptions=True)

    assert [place for place, outcome in enumerate(outcomes) if outcome is not None] == [4]
    assert isinstance(outcomes[4], InvalidEvent)
    assert outcomes[4].details["index"] == 1
    assert {id for _, id, _ in await stored(store) if isinstance(id, str)} == {f"id {n}" for n in range(9)}
    assert len(counted.outcomes) < len(saves)


async def test_of_saves_that_wait_together_the_last_one_of_an_id_counts(store: SqliteStore) -> None:
    first = store.events.save("test", [event(0, "busy")])
    await asyncio.gather(first, *(store.events.save("test", [event(n, "one")]) for n in range(1, 30)))

    assert [time for time, id, _ in await stored(store) if id == "one"] == [29]


async def test_several_types_and_more_events_than_a_statement_takes_are_stored(store: SqliteStore) -> None:
    await asyncio.gather(
        *(store.events.save(type, [Event(type, T0 + n, make_id(), {})]) for n in range(40) for type in "ab"),
        *(store.events.save("test", [event(n * 1_000) for n in range(MOST_EVENTS)]) for _ in range(3)),
    )

    assert len(await stored(store)) == 1 + 3 * MOST_EVENTS
    async with store.events.read() as session:
        for type in "ab":
            assert sum([len(block) async for block in session.scan(type, DAY, ())]) == 40


async def test_an_index_on_a_field_finds_what_was_saved_so(store: SqliteStore, counted: Counted) -> None:
    await store.field_indexes.make("test", "v", lambda done, of: None)
    await store.events.save("test", [event(3)])

    assert counted.outcomes == [True]
    assert {"v": 3} in [data for _, _, data in await stored(store)]


async def test_what_was_half_made_for_a_type_is_made_when_it_is_saved_again(
    store: SqliteStore, counted: Counted
) -> None:
    with pytest.MonkeyPatch.context() as broken:
        broken.setattr(short_saves, "_TRIGGER", "CREATE TEMP TRIGGER {view}_insert")
        with pytest.raises(sqlite3.OperationalError):
            await store.events.save("test", [event(1)])
    await store.events.save("test", [event(2)])

    assert counted.outcomes == [True]
    assert [time for time, _, _ in await stored(store)] == [0, 2]


async def test_of_several_types_in_one_transaction_each_is_refused_for_itself(store: SqliteStore) -> None:
    async def save(type: str, at: int, id: str) -> None:
        await store.events.save(type, [Event(type, T0 + at, id, {})])

    await asyncio.gather(save("other", 0, "first"), store.events.expire("test", T0 + 1_000))
    times = [2_000, 2_000, 1, 2_000, 2_000, 2, 2_000, 2_000]
    types = ["test", "other"] * 4
    outcomes = await asyncio.gather(
        *(save(type, at, f"id {n}") for n, (type, at) in enumerate(zip(types, times, strict=True))),
        return_exceptions=True,
    )

    assert [place for place, outcome in enumerate(outcomes) if outcome is not None] == [2]
    assert isinstance(outcomes[2], InvalidEvent)
    assert outcomes[2].details["index"] == 0
    assert {id for _, id, _ in await stored(store) if isinstance(id, str)} == {"id 0", "id 4", "id 6"}
    async with store.events.read() as session:
        assert sum([len(block) async for block in session.scan("other", DAY, ())]) == 5


async def test_a_failure_of_those_that_are_told_apart_is_not_told_of_what_is_committed(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def job(type: str, at: int, id: str) -> WriteJob:
        short = ShortSave(store.events._short_saves, type, [Event(type, T0 + at, id, {})])
        return WriteJob(short.prepare, 1, asyncio.get_running_loop().create_future(), short)

    await store.events.save("other", [Event("other", T0, "first", {})])
    await store.events.expire("test", T0 + 1_000)
    write, writes = Writer._write_all, 0

    def fails_later(writer: Writer, prepares: Any) -> Any:
        nonlocal writes
        writes += 1
        if writes > 1:
            raise Unavailable("The disk is full.")
        return write(writer, prepares)

    monkeypatch.setattr(Writer, "_write_all", fails_later)
    writer = store.events._writer  # whose thread has nothing to do
    outcomes = writer._write_together([job("test", 2_000, "a"), job("test", 1, "b"), job("other", 1, "c")])

    assert [str(outcome) for outcome in outcomes] == ["The disk is full."] * 2 + ["None"]
    async with store.events.read() as session:
        assert sum([len(block) async for block in session.scan("other", DAY, ())]) == 2


async def test_a_commit_waits_for_as_many_events_as_the_one_before_had(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups: list[int] = []
    commit = Writer._commit

    def counted(writer: Writer, group: Sequence[WriteJob]) -> None:
        groups.append(len(group))
        commit(writer, group)

    def awaits_three(writer: Writer, group: Sequence[WriteJob]) -> None:
        writer._awaited, writer._awaited_until = 3, time.monotonic() + 60

    monkeypatch.setattr(Writer, "_commit", counted)
    monkeypatch.setattr(Writer, "_await_as_many", awaits_three)
    await store.events.save("test", [event(1)])
    saves = [asyncio.ensure_future(store.events.save("test", [event(2)], more=True))]
    await asyncio.sleep(0)
    saves += [asyncio.ensure_future(store.events.save("test", [event(at)], more=True)) for at in (3, 4)]
    await asyncio.gather(*saves)
    await store.events.save("test", [event(5)])  # who is alone waits for nobody

    assert groups == [1, 3, 1]
    assert len(await stored(store)) == 6


async def test_nobody_is_waited_for_behind_a_commit_that_was_not_short(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    awaited: dict[int, int] = {}
    await_as_many = Writer._await_as_many

    def noted(writer: Writer, group: Sequence[WriteJob]) -> None:
        await_as_many(writer, group)
        awaited[sum(job.weight for job in group)] = writer._awaited

    monkeypatch.setattr(Writer, "_await_as_many", noted)
    await store.events.save("test", [event(1), event(2)], more=True)
    await store.events.save("test", [event(at) for at in range(MOST_EVENTS + 1)], more=True)
    await store.events.expire("test", 5)
    await store.events.save("test", [event(3)])
    await store.events.save("test", [event(at) for at in range(MOST_EVENTS)], more=True)
    await store.probe()  # what was noted of the save before it is there when this one has begun

    assert awaited == {1: 0, 2: 2, MOST_EVENTS + 1: 0, MOST_EVENTS: MOST_EVENTS}
