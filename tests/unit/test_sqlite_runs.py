"""Runs in the embedded store: their text is what their events' would be, and nobody sees a difference."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from cube.errors import InvalidEvent
from cube.model.event import Event, EventId, id_key
from cube.model.event_run import EventRun, EventRuns, joined
from cube.model.made_id import make_consecutive_ids, make_ids
from cube.model.tier import TEN_SECONDS, Span
from cube.store.sqlite import SqliteStore, open_store, packing, packs
from cube.store.sqlite.packing import LONG_RUN
from cube.store.sqlite.packs import MAX_BYTES, MAX_EVENT_BYTES, MIN_EVENTS, Pack
from cube.store.sqlite.saving import SaveBatch

T0 = 1_311_033_600_000
WHOLE = Span(T0 - 10_000, T0 + 3_600_000)


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = await open_store(tmp_path, "x")
    yield opened
    await opened.close()


def _run(count: int = MIN_EVENTS, time: int = T0, spacing: int = 1, **more: Any) -> EventRun:
    data = msgspec.json.encode([{"n": number, "é": 0.5, **more} for number in range(count)])
    return EventRun("t", [time + n * spacing for n in range(count)], make_consecutive_ids(count), data)


async def _read(store: SqliteStore) -> list[tuple[int, EventId, Any]]:
    async with store.events.read() as session:
        blocks = [block async for block in session.scan("t", WHOLE, None, ids=True)]
    return [row for one in blocks for row in zip(one.times.tolist(), one.known_ids, one.data, strict=True)]


async def _raised(store: SqliteStore) -> int:
    async with store.events.read() as session:
        return len((await session.revisions("t", TEN_SECONDS, WHOLE)).numbers)


def _stored(directory: Path, what: str) -> list[Any]:
    connection = sqlite3.connect(directory / "x.events.db")
    found = connection.execute(f"SELECT {what}").fetchall()
    connection.close()
    return found


def _expected(events: Sequence[Event]) -> list[tuple[int, EventId, Any]]:
    return sorted(
        ((event.time, event.id, event.data) for event in events), key=lambda row: (row[0], id_key(row[1]))
    )


async def test_a_run_is_stored_as_its_events_are(store: SqliteStore, tmp_path: Path) -> None:
    run = _run()
    await store.events.save("t", run)
    await store.events.save("t", [Event("t", event.time + 60_000, event.id, event.data) for event in _run()])

    columns = "events, ids, times, data FROM packs_1 ORDER BY second"
    assert len(set(_stored(tmp_path, columns))) == 1
    assert await _read(store) == _expected(list(run)) + (await _read(store))[MIN_EVENTS:]
    assert await _raised(store) == 2


@pytest.mark.parametrize("seed", range(10))
async def test_any_runs_and_other_events_of_one_commit_are_read_in_the_order_of_time_and_id(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    drawn = random.Random(seed)
    monkeypatch.setattr(packing, "LONG_RUN", drawn.choice((40, 100)))
    monkeypatch.setattr(packs, "MAX_BYTES", drawn.choice((500, 4_000, MAX_BYTES)))
    every: list[Event] = []
    for _ in range(3):
        parts: list[Sequence[Event]] = []
        for _ in range(drawn.randrange(1, 6)):
            count, time = drawn.choice((1, 5, 20, 50)), T0 + drawn.choice((0, 100, 1_000))
            if drawn.random() < 0.7:
                parts.append(_run(count, time, drawn.choice((0, 1, 10))))
            else:
                parts.append([Event("t", time + n, id, n) for n, id in enumerate(make_ids(count))])
        every += [event for part in parts for event in part]
        await store.events.save("t", joined(parts))

    assert await _read(store) == _expected(every)
    assert await _raised(store) == 1


async def test_long_runs_of_a_second_are_packs_of_their_own_and_short_ones_one_together(
    store: SqliteStore, tmp_path: Path
) -> None:
    await store.events.save("t", EventRuns("t", [_run(LONG_RUN), _run(), _run(LONG_RUN), _run(5)]))

    assert sorted(_stored(tmp_path, "events FROM packs_1")) == [(MIN_EVENTS + 5,), (LONG_RUN,), (LONG_RUN,)]
    assert _stored(tmp_path, "count(*) FROM events_1") == [(0,)]


async def test_short_runs_and_long_events_are_rows(store: SqliteStore, tmp_path: Path) -> None:
    runs = [_run(MIN_EVENTS - 1), _run(time=T0 + 1_000, long="x" * MAX_EVENT_BYTES)]
    await store.events.save("t", EventRuns("t", runs))

    assert _stored(tmp_path, "count(*) FROM packs_1") == [(0,)]
    assert await _read(store) == _expected([event for run in runs for event in run])


async def test_a_run_of_more_bytes_than_a_pack_may_have_is_parted(store: SqliteStore, tmp_path: Path) -> None:
    run = _run(2_000, spacing=0, long="x" * 900)
    await store.events.save("t", run)

    assert _stored(tmp_path, "events FROM packs_1") == [(1_000,), (1_000,)]
    assert max(length for (length,) in _stored(tmp_path, "length(data) FROM packs_1")) <= packs.MAX_BYTES
    assert await _read(store) == _expected(list(run))


async def test_a_run_that_comes_again_is_stored_once(store: SqliteStore) -> None:
    run = _run()
    for _ in range(3):
        await store.events.save("t", run)

    assert await _read(store) == _expected(list(run))


async def test_runs_of_a_type_with_an_index_on_a_field_are_rows(store: SqliteStore, tmp_path: Path) -> None:
    await store.events.save("t", [Event("t", T0, 1, {"n": 0})])
    connection = sqlite3.connect(tmp_path / "x.events.db")
    connection.execute("CREATE INDEX some ON events_1 (json_extract(data, '$.n'))")
    connection.commit()
    connection.close()
    run = _run()
    await store.events.save("t", run)

    assert _stored(tmp_path, "count(*) FROM packs_1") == [(0,)]
    assert (await _read(store))[1:] == _expected(list(run))[0:]


async def test_an_expired_event_of_a_run_is_refused_by_its_place_before_anything_is_written(
    store: SqliteStore,
) -> None:
    await store.events.save("t", _run())
    await store.events.expire("t", T0 + 2_000)

    with pytest.raises(InvalidEvent) as refused:
        await store.events.save("t", EventRuns("t", [_run(time=T0 + 2_000), _run(time=T0 + 1_990)]))
    assert refused.value.details["index"] == MIN_EVENTS
    assert len(await _read(store)) <= MIN_EVENTS


@pytest.mark.parametrize("place", [0, 7, MIN_EVENTS - 1])
async def test_an_event_with_a_guessed_id_of_a_run_replaces_that_event(
    store: SqliteStore, place: int
) -> None:
    run = _run()
    guessed = Event("t", T0 + 5_000, run.ids()[place], "guessed")
    await store.events.save("t", EventRuns("t", [run, [guessed]]))

    expected = [*list(run)[:place], *list(run)[place + 1 :], guessed]
    assert await _read(store) == _expected(expected)


def test_a_run_is_made_ready_without_its_events(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = EventRuns("t", [_run(), _run(time=T0 + 1_000)])
    monkeypatch.delattr(EventRun, "__iter__")

    assert len(SaveBatch.of("t", runs).packed.packs) == 2


@pytest.mark.parametrize("seed", range(20))
def test_runs_that_are_put_in_order_together_are_the_pack_of_their_rows(seed: int) -> None:
    drawn = random.Random(seed)
    runs = [
        _run(drawn.randrange(1, 40), T0 + drawn.randrange(500), drawn.choice((0, 1, 10))) for _ in range(3)
    ]
    drawn.shuffle(runs)
    rows = sorted(row for run in runs for row in Pack.of_run(run).rows())

    assert packing._merged(runs) == Pack.of_rows(T0, rows)
    assert packing._merged(runs[:1]) == Pack.of_run(runs[0])
