"""How a scan reads: as few rows as possible, and the same events whatever they hold."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from cube.columns.block import Block
from cube.model.event import ABSENT, Event
from cube.model.tier import MINUTE, TEN_SECONDS, Span
from cube.store.sqlite import SqliteStore, open_store, scanning
from cube.store.sqlite.scanning import BlockQuery

T0 = 1_311_033_600_000
WHOLE = Span(T0, T0 + 3_600_000)


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = await open_store(tmp_path, "x")
    yield opened
    await opened.close()


async def _blocks(store: SqliteStore, fields: tuple[str, ...] | None = None, **options: Any) -> list[Block]:
    async with store.events.read() as session:
        return [block async for block in session.scan("t", WHOLE, fields, **options)]


async def _both(store: SqliteStore, fields: tuple[str, ...] | None = None) -> list[tuple[int, Any]]:
    """What is read without ids, which must be what is read with them."""
    found = [
        [pair for block in blocks for pair in zip(block.times.tolist(), block.data, strict=True)]
        for blocks in (await _blocks(store, fields), await _blocks(store, fields, ids=True))
    ]
    assert sorted(map(str, found[0])) == sorted(map(str, found[1]))
    return found[0]


@pytest.fixture
def no_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing may be read row by row."""

    def refuse(_: object) -> None:
        raise AssertionError("a scan read row by row")

    monkeypatch.setattr(scanning, "_bounded", refuse)


@pytest.mark.usefixtures("no_rows")
async def test_events_come_many_in_a_row(store: SqliteStore) -> None:
    events = [Event("t", T0 + number // 3, number, {"n": number}) for number in range(7_000)]
    await store.events.save("t", events)

    blocks = await _blocks(store)

    assert [len(block) for block in blocks] == [1_024, 4_096, 1_880]
    assert [time for block in blocks for time in block.times.tolist()] == [event.time for event in events]
    assert sorted(data["n"] for block in blocks for data in block.data) == list(range(7_000))


async def test_what_events_lack_stays_with_them(store: SqliteStore) -> None:
    data = [{"a": 1}, None, ABSENT, 7, [1, {"a": 2}], "text, ]", {}, ABSENT, {"a": None, "b": ABSENT}]
    del data[-1]["b"]  # type: ignore[index,union-attr]  # an object
    await store.events.save("t", [Event("t", T0 + n, n, each) for n, each in enumerate(data)])

    assert [value for _, value in await _both(store)] == data
    assert [value for _, value in await _both(store, ())] == [ABSENT] * len(data)


@pytest.mark.usefixtures("no_rows")
@pytest.mark.parametrize("data", [ABSENT, None])
async def test_events_without_data_come_so_too(store: SqliteStore, data: Any) -> None:
    await store.events.save("t", [Event("t", T0 + n, n, data) for n in range(2_000)])

    assert [value for block in await _blocks(store) for value in block.data] == [data] * 2_000


async def test_rows_that_are_too_long_together_are_read_one_by_one(store: SqliteStore) -> None:
    sizes = [10] * 30 + [900_000] * 20 + [10] * 30
    await store.events.save("t", [Event("t", T0 + n, n, {"x": "y" * size}) for n, size in enumerate(sizes)])

    assert [len(value["x"]) for _, value in await _both(store)] == sizes
    assert max(block.size for block in await _blocks(store)) < 16 * 900_000 + scanning.BLOCK_BYTES


async def test_rows_that_are_not_in_order_are_read_one_by_one(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.events.save("t", [Event("t", T0 + n, n, {"n": n}) for n in range(100)])
    joined = scanning._joined_row
    monkeypatch.setattr(
        scanning, "_joined_row", lambda rows: joined(f"SELECT * FROM ({rows}) ORDER BY time DESC")
    )

    assert [time for time, _ in await _both(store)] == [T0 + n for n in range(100)]


async def test_revisions_come_as_one_row(store: SqliteStore) -> None:
    await store.events.save("t", [Event("t", T0 + n * 10_000, n) for n in range(360)])
    async with store.events.read() as session:
        seen: list[str] = []
        session._lease._begun().set_trace_callback(seen.append)  # type: ignore[attr-defined]  # SQLite's
        tens = await session.revisions("t", TEN_SECONDS, WHOLE)
        minutes = await session.revisions("t", MINUTE, Span(T0 + 60_000, T0 + 180_000))
        session._lease._begun().set_trace_callback(None)  # type: ignore[attr-defined]  # SQLite's

    assert list(tens.numbers) == list(TEN_SECONDS.buckets(WHOLE))
    assert list(minutes.numbers) == [T0 + 60_000, T0 + 120_000]
    assert min(tens.numbers.values()) > 0
    assert all("group_concat" in statement for statement in seen if "step =" in statement)


@pytest.mark.parametrize(("ids", "newest_first"), [(False, False), (True, False), (True, True)])
async def test_events_of_one_time_are_each_looked_at_once(
    store: SqliteStore, tmp_path: Path, ids: bool, newest_first: bool
) -> None:
    await store.events.save("t", [Event("t", T0, f"id{number:05}", number) for number in range(24_000)])
    connection = sqlite3.connect(tmp_path / "x.events.db")
    steps: list[None] = []
    connection.set_progress_handler(lambda: steps.append(None), 100)
    events, costs = 0, []
    query: BlockQuery | None = BlockQuery("events_1", WHOLE, None, ids, newest_first)
    while query is not None:
        steps.clear()
        block, query = query.read(connection)
        events += len(block)
        costs.append(len(steps) / (len(block) or 1_000))
    connection.close()

    assert events == 24_000
    assert max(costs) < 0.8  # in hundreds of steps of SQLite for an event; some 0.4 on 3.40
