"""Many events of one second in a row: nobody who reads, replaces or deletes them sees a difference."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st

from cube.model.event import ABSENT, Event, EventId, id_key
from cube.model.made_id import make_id, make_ids
from cube.model.tier import TEN_SECONDS, Span
from cube.store.sqlite import SqliteStore, catalog, merging, open_store, packs, saving
from cube.store.sqlite.merging import MergedQuery
from cube.store.sqlite.packing import Packed
from cube.store.sqlite.packs import MIN_EVENTS
from cube.store.sqlite.scanning import BLOCK_BYTES, BLOCK_ROWS

T0 = 1_311_033_600_000
WHOLE = Span(T0 - 10_000, T0 + 3_600_000)
MANY = MIN_EVENTS + 8


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = await open_store(tmp_path, "x")
    yield opened
    await opened.close()


def _events(count: int = MANY, time: int = T0, **more: Any) -> list[Event]:
    return [Event("t", time + n, id, {"n": n, **more}) for n, id in enumerate(make_ids(count))]


async def _read(
    store: SqliteStore, span: Span = WHOLE, fields: tuple[str, ...] | None = None, **options: Any
) -> list[tuple[int, EventId, Any]]:
    async with store.events.read() as session:
        blocks = [block async for block in session.scan("t", span, fields, ids=True, **options)]
    return [row for one in blocks for row in zip(one.times.tolist(), one.known_ids, one.data, strict=True)]


async def _plain(store: SqliteStore, span: Span = WHOLE) -> list[tuple[int, Any]]:
    async with store.events.read() as session:
        blocks = [block async for block in session.scan("t", span, None)]
    return [pair for block in blocks for pair in zip(block.times.tolist(), block.data, strict=True)]


def _sizes(directory: Path) -> tuple[int, int]:
    """How many rows and packs are stored."""
    connection = sqlite3.connect(directory / "x.events.db")
    counts = [
        connection.execute(f"SELECT count(*) FROM {name}_1").fetchone()[0] for name in ("events", "packs")
    ]
    connection.close()
    return counts[0], counts[1]


def _expected(events: Sequence[Event]) -> list[tuple[int, EventId, Any]]:
    return sorted(
        ((event.time, event.id, event.data) for event in events), key=lambda row: (row[0], id_key(row[1]))
    )


async def test_a_batch_within_a_second_is_one_row(store: SqliteStore, tmp_path: Path) -> None:
    events = _events(900)
    await store.events.save("t", events)

    assert _sizes(tmp_path) == (0, 1)
    assert await _read(store) == _expected(events)
    assert await _plain(store) == [(event.time, event.data) for event in events]


async def test_a_second_of_more_events_than_a_block_has_is_read_as_its_packs_are(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In whatever order they came: 5 000 a second, posted by several, are decoded without a look at each."""
    saves = [_events(100, T0 + start) for start in range(0, 1_000, 100)]
    for some in (*saves[5:], *saves[:5]):
        await store.events.save("t", some)
    monkeypatch.setattr(merging, "BLOCK_ROWS", 350)
    monkeypatch.delattr(MergedQuery, "_merged")

    async with store.events.read() as session:
        blocks = [block async for block in session.scan("t", WHOLE, None)]
    assert [len(block) for block in blocks if len(block)] == [300, 300, 300, 100]
    assert await _plain(store) == [(event.time, event.data) for some in saves for event in some]


@pytest.mark.parametrize("seed", range(12))
async def test_seconds_of_any_packs_are_read_in_the_order_of_time_and_id(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    drawn = random.Random(seed)
    monkeypatch.setattr(merging, "BLOCK_ROWS", drawn.choice((60, 100, 10_000)))
    every: list[Event] = []
    for _ in range(8):
        start = T0 + drawn.choice((0, 100, 139, 140, 300, 1_000, 1_900, 2_000))
        count = MANY if drawn.random() < 0.8 else 3
        some = [Event("t", start + n * drawn.choice((0, 1)), id, n) for n, id in enumerate(make_ids(count))]
        every += some
        await store.events.save("t", some)

    expected = _expected(every)
    assert await _read(store) == expected
    assert await _plain(store) == [(time, data) for time, _, data in expected]


async def test_few_events_clients_ids_and_events_without_data_are_rows(
    store: SqliteStore, tmp_path: Path
) -> None:
    saved = [
        _events(MIN_EVENTS - 1),
        [Event("t", T0 + n, f"id {n}", {"n": n}) for n in range(MANY)],
        [Event("t", T0 + n, make_id()) for n in range(MANY)],
        [Event("t", T0 + 1_000 * n, make_id(), {"n": n}) for n in range(MANY)],
    ]
    for events in saved:
        await store.events.save("t", events)

    assert _sizes(tmp_path) == (4 * MANY - 9, 0)
    assert await _read(store) == _expected([event for events in saved for event in events])


async def test_data_of_packs_are_json_that_sqlite_reads(store: SqliteStore, tmp_path: Path) -> None:
    data = [{"path": "/é"}, [1, None], "a ☃", 7, 0.5, True, False, None] * 5
    await store.events.save("t", [Event("t", T0 + n, make_id(), each) for n, each in enumerate(data)])
    await store.events.save("t", [Event("t", T0 + 99, "a", {"path": "/row"})])

    connection = sqlite3.connect(tmp_path / "x.events.db")
    found = connection.execute("SELECT time, json(data) FROM all_events_1 ORDER BY time").fetchall()
    paths = connection.execute("SELECT json_extract(data, '$.path') FROM all_events_1").fetchall()
    connection.close()
    texts = ['{"path":"/é"}', "[1,null]", '"a ☃"', "7", "0.5", "true", "false", "null"] * 5
    assert found == [*((T0 + n, text) for n, text in enumerate(texts)), (T0 + 99, '{"path":"/row"}')]
    assert [path for (path,) in paths].count("/é") == 5


async def test_an_event_that_comes_again_is_counted_once(store: SqliteStore, tmp_path: Path) -> None:
    events = _events()
    await store.events.save("t", events)
    await store.events.save("t", events)  # all of them
    await store.events.save("t", [events[3]])
    moved = Event("t", T0 + 90_000, events[5].id, "moved")
    await store.events.save("t", [moved, *_events(MANY, T0 + 5_000)][:1])

    assert await _read(store) == _expected([*(event for event in events if event.id != moved.id), moved])
    assert _sizes(tmp_path) == (MANY, 0)
    async with store.events.read() as session:
        numbers = (await session.revisions("t", TEN_SECONDS, WHOLE)).numbers
    assert set(numbers) == {T0, T0 + 90_000}


async def test_a_new_event_looks_into_no_pack(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    await store.events.save("t", _events())
    opened: list[object] = []
    ids_of = packs.ids_of

    def count(*pack: Any) -> list[bytes]:
        opened.append(pack)
        return ids_of(*pack)

    events = [Packed.of(_events()).packs, *(_events(1)[0] for _ in range(3))]
    monkeypatch.setattr(packs, "ids_of", count)
    await store.events.save("t", events[1:])  # type: ignore[arg-type]  # the events

    assert not opened


async def test_long_events_make_no_long_packs_and_no_long_blocks(store: SqliteStore, tmp_path: Path) -> None:
    events = [*_events(4_000, text="x" * 900), *_events(MANY, T0 + 5_000, text="x" * 2_000)]
    await store.events.save("t", events)

    assert _sizes(tmp_path) == (MANY, 4)
    assert await _read(store) == _expected(events)
    async with store.events.read() as session:
        blocks = [block async for block in session.scan("t", WHOLE, None)]
    assert max(block.size for block in blocks) <= BLOCK_BYTES


@pytest.mark.parametrize("together", [1, 3])
async def test_a_second_of_very_many_events_is_rows_which_are_read_in_parts(
    store: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, together: int
) -> None:
    monkeypatch.setattr(packs, "MOST_EVENTS", 40 * MANY)
    monkeypatch.setattr(saving, "MOST_ROWS", 20 * MANY)
    events = [event for _ in range(60 * together) for event in _events()]
    for start in range(0, len(events), together * MANY):
        await store.events.save("t", events[start : start + together * MANY])
    others = _events(time=T0 + 1_000)
    await store.events.save("t", others)

    rows, packed = _sizes(tmp_path)
    assert (rows, packed) == (len(events), 1)
    assert await _read(store) == _expected([*events, *others])
    async with store.events.read() as session:
        blocks = [block async for block in session.scan("t", WHOLE, None, newest_first=True)]
    assert max(map(len, blocks)) <= BLOCK_ROWS
    await store.events.save("t", events[-MANY:])
    assert _sizes(tmp_path) == (rows, packed)


async def test_a_second_of_very_many_rows_gets_no_packs(
    store: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saving, "MOST_ROWS", MANY)
    rows, new = [Event("t", T0 + n % 9, f"id{n}", n) for n in range(MANY + 1)], _events()
    for some in (rows, new):
        await store.events.save("t", some)

    assert _sizes(tmp_path) == (2 * MANY + 1, 0)
    assert await _read(store) == _expected([*rows, *new])


async def test_what_has_expired_is_deleted_from_packs_to_the_millisecond(
    store: SqliteStore, tmp_path: Path
) -> None:
    events = [*_events(time=T0 - 5_000), *_events(time=T0), *_events(time=T0 + 5_000)]
    await store.events.save("t", events)
    await store.events.expire("t", T0 + 10)

    assert await store.events.delete_events("t", T0 + 10) == MANY + 10
    assert await _read(store) == _expected([event for event in events if event.time >= T0 + 10])
    assert _sizes(tmp_path) == (MANY - 10, 1)
    assert await store.events.delete_events("t", T0 + 10) == 0


async def test_a_type_of_packs_alone_is_not_taken_for_empty(store: SqliteStore, tmp_path: Path) -> None:
    await store.events.save("t", _events())
    connection = sqlite3.connect(tmp_path / "x.events.db")
    with connection:
        connection.execute("UPDATE types SET complete = 0")
        connection.execute("DELETE FROM revisions_1")
    connection.close()
    await store.events.save("t", [Event("t", T0 + 60_000, "a")])

    async with store.events.read() as session:
        assert not (await session.revisions("t", TEN_SECONDS, WHOLE)).complete
    await store.events.build("t")
    async with store.events.read() as session:
        found = await session.revisions("t", TEN_SECONDS, WHOLE)
    assert (set(found.numbers), found.complete) == ({T0, T0 + 60_000}, True)


async def test_events_of_a_type_with_an_index_are_rows(store: SqliteStore, tmp_path: Path) -> None:
    await store.events.save("t", [Event("t", T0, "a")])
    connection = sqlite3.connect(tmp_path / "x.events.db")
    with connection:
        connection.execute("CREATE INDEX mine ON events_1 (json_extract(data, '$.n'))")
    connection.close()
    await store.events.save("t", _events())

    assert _sizes(tmp_path) == (MANY + 1, 0)


async def test_a_store_of_an_earlier_version_keeps_its_rows_and_gets_packs(tmp_path: Path) -> None:
    store = await open_store(tmp_path, "x")
    old = [Event("t", T0 + n, id, {"n": n}) for n, id in enumerate(make_ids(MIN_EVENTS - 1))]
    await store.events.save("t", old)
    await store.close()
    connection = sqlite3.connect(tmp_path / "x.events.db")
    with connection:
        connection.execute("DROP VIEW all_events_1")
        connection.execute("DROP TABLE packs_1")
        connection.execute("PRAGMA user_version = 3")
    connection.close()

    store = await open_store(tmp_path, "x")
    new = _events(time=T0 + 20)
    await store.events.save("t", new)
    assert await _read(store) == _expected([*old, *new])
    assert _sizes(tmp_path) == (len(old), 1)
    await store.events.save("t", [*_events(MANY, T0 + 7_000), *old])  # ids that are rows stay so
    assert len(await _read(store)) == len(old) + 2 * MANY
    await store.close()
    connection = sqlite3.connect(tmp_path / "x.events.db")
    assert connection.execute("PRAGMA user_version").fetchone() == (catalog.VERSION,)
    connection.close()


_SAVE = st.tuples(
    st.integers(0, 2**32),  # what the rest is drawn by
    st.sampled_from([1, 3, MIN_EVENTS, 2 * MIN_EVENTS, 200]),  # events
    st.sampled_from([1, 900, 3_000, 20_000]),  # how far their times are apart, at most
    st.sampled_from([0.0, 0.1, 1.0]),  # how many have a client's id
    st.sampled_from([0.0, 0.2]),  # how many were stored before
)


@settings(max_examples=25, deadline=None)
@given(st.lists(_SAVE, min_size=1, max_size=6), st.integers(-500, 20_000), st.integers(1, 20_000))
def test_all_that_is_read_is_what_a_plain_dictionary_holds(
    tmp_path_factory: pytest.TempPathFactory, saves: list[Any], start: int, length: int
) -> None:
    asyncio.run(_compare(tmp_path_factory.mktemp("packs"), saves, Span(T0 + start, T0 + start + length)))


async def _compare(directory: Path, saves: list[Any], span: Span) -> None:
    store = await open_store(directory, "x")
    held: dict[EventId, Event] = {}
    for seed, count, apart, given_ids, again in saves:
        chance = random.Random(seed)
        events = []
        for n, made in enumerate(make_ids(count)):
            id: EventId = chance.choice(["a", "b", 1, 2.5, f"x{n}"]) if chance.random() < given_ids else made
            if held and chance.random() < again:
                id = chance.choice(list(held))
            data = ABSENT if chance.random() < 0.002 else {"n": n, "s": chance.choice(["x", "y"])}
            events.append(Event("t", T0 + chance.randrange(apart), id, data))
        chance.shuffle(events)
        await store.events.save("t", events)
        held.update({event.id: event for event in events})
    for part in (WHOLE, span):
        rows = [row for row in _expected(list(held.values())) if part.start <= row[0] < part.stop]
        assert await _read(store, part) == rows
        assert await _read(store, part, newest_first=True) == rows[::-1]
        assert await _plain(store, part) == [(time, data) for time, _, data in rows]
        assert [row[:2] for row in await _read(store, part, ())] == [row[:2] for row in rows]
        some = await _read(store, part, wanted={("s",): "x"})
        assert [row for row in some if row[2]["s"] == "x"] == [
            row for row in rows if row[2] is not ABSENT and row[2]["s"] == "x"
        ]
    await store.close()
