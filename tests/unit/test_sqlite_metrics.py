"""The cache of metrics may be lost, damaged or deleted at any time; it never lies and never fails."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cube.model.tier import HOUR, Span
from cube.store.metric_ports import CachedBucket, CacheKey
from cube.store.sqlite import SqliteStore, open_store

T0 = 1_311_033_600_000
KEY = CacheKey("test", "sum(test)", "value", 1)
OTHER = CacheKey("test", "count(test)", "value", 1)
SPAN = Span(T0, T0 + 10 * HOUR.step)
CELLS = {T0 + i * HOUR.step: CachedBucket(i + 1, b"%d" % i) for i in range(10)}
FILES = ("x.metrics.db", "x.metrics.db-wal", "x.metrics.db-shm")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = await open_store(tmp_path, "x")
    await opened.metrics.save(KEY, HOUR, CELLS)
    yield opened
    await opened.close()


def _execute(directory: Path, statement: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(directory / "x.metrics.db", isolation_level=None)
    try:
        return connection.execute(statement).fetchall()
    finally:
        connection.close()


async def _reopened(store: SqliteStore, directory: Path) -> SqliteStore:
    await store.close()
    return await open_store(directory, "x")


async def test_metrics_outlive_the_process(store: SqliteStore, tmp_path: Path) -> None:
    again = await _reopened(store, tmp_path)

    assert await again.metrics.read(KEY, HOUR, SPAN) == CELLS
    await again.close()


async def test_a_damaged_chunk_is_a_miss_and_dropped(store: SqliteStore, tmp_path: Path) -> None:
    _execute(tmp_path, "UPDATE chunks SET cells = substr(cells, 1, length(cells) - 5)")

    assert await store.metrics.read(KEY, HOUR, SPAN) == {}
    assert _execute(tmp_path, "SELECT * FROM chunks") == []


async def test_a_chunk_under_the_key_of_another_is_a_miss(store: SqliteStore, tmp_path: Path) -> None:
    await store.metrics.save(OTHER, HOUR, {T0: CachedBucket(1, b"other")})
    _execute(tmp_path, "UPDATE chunks SET cells = (SELECT cells FROM chunks ORDER BY length(cells) LIMIT 1)")

    found = [await store.metrics.read(key, HOUR, SPAN) for key in (KEY, OTHER)]

    assert found == [{}, {T0: CachedBucket(1, b"other")}]


async def test_a_save_over_a_damaged_chunk_keeps_what_is_new(store: SqliteStore, tmp_path: Path) -> None:
    _execute(tmp_path, "UPDATE chunks SET cells = x'00'")
    await store.metrics.save(KEY, HOUR, {T0: CachedBucket(9, b"new")})

    assert await store.metrics.read(KEY, HOUR, SPAN) == {T0: CachedBucket(9, b"new")}


async def test_the_file_may_be_deleted_while_processes_run(store: SqliteStore, tmp_path: Path) -> None:
    for name in FILES:
        (tmp_path / name).unlink(missing_ok=True)

    assert await store.metrics.read(KEY, HOUR, SPAN) == {}
    await store.metrics.save(KEY, HOUR, CELLS)
    assert await store.metrics.read(KEY, HOUR, SPAN) == CELLS
    assert (tmp_path / "x.metrics.db").exists()


async def test_the_database_alone_may_be_deleted_beside_its_log(store: SqliteStore, tmp_path: Path) -> None:
    other = await open_store(tmp_path, "x")
    (tmp_path / "x.metrics.db").unlink()

    for each in (store, other):
        await each.metrics.save(OTHER, HOUR, CELLS)
        assert await each.metrics.read(OTHER, HOUR, SPAN) == CELLS
    await other.close()


@pytest.mark.parametrize(
    "content", [b"no database" * 1_000, b"SQLite format 3\0" + b"\xff" * 20_000, b"\0" * 9_000]
)
async def test_a_file_that_is_no_database_is_recreated(
    store: SqliteStore, tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    await store.close()
    (tmp_path / "x.metrics.db").write_bytes(content)
    again = await open_store(tmp_path, "x")

    with caplog.at_level(logging.WARNING):
        assert await again.metrics.read(KEY, HOUR, SPAN) == {}
    await again.metrics.save(KEY, HOUR, CELLS)

    assert await again.metrics.read(KEY, HOUR, SPAN) == CELLS
    assert "is recreated" in caplog.text
    await again.close()


async def test_a_file_damaged_in_the_middle_never_gives_a_wrong_cell(
    store: SqliteStore, tmp_path: Path
) -> None:
    many = {T0 + i * HOUR.step: CachedBucket(i + 1, b"%d" % i * 50) for i in range(3_000)}
    await store.metrics.save(KEY, HOUR, many)
    await store.close()
    path = tmp_path / "x.metrics.db"
    whole = path.read_bytes()
    span = Span(T0, T0 + 3_000 * HOUR.step)

    for position in range(8_000, len(whole), 40_000):
        path.write_bytes(whole[:position] + b"\xaa" * 64 + whole[position + 64 :])
        again = await open_store(tmp_path, "x")
        found = await again.metrics.read(KEY, HOUR, span)
        assert all(many[bucket] == cell for bucket, cell in found.items())
        await again.metrics.save(KEY, HOUR, many)
        await again.close()


async def test_a_cache_of_other_events_is_discarded(
    store: SqliteStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await store.close()
    (tmp_path / "x.events.db").unlink()
    again = await open_store(tmp_path, "x")

    with caplog.at_level(logging.WARNING):
        assert await again.metrics.read(KEY, HOUR, SPAN) == {}
    assert "other events" in caplog.text
    await again.close()


async def test_a_table_that_somebody_dropped_is_a_miss_and_recreated(
    store: SqliteStore, tmp_path: Path
) -> None:
    _execute(tmp_path, "DROP TABLE chunks")

    assert await store.metrics.read(KEY, HOUR, SPAN) == {}
    await store.metrics.save(KEY, HOUR, CELLS)
    assert await store.metrics.read(KEY, HOUR, SPAN) == CELLS


async def test_events_are_served_though_the_cache_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "x.metrics.db").mkdir()
    store = await open_store(tmp_path, "x")

    await store.metrics.save(KEY, HOUR, CELLS)
    assert await store.metrics.read(KEY, HOUR, SPAN) == {}
    await store.ping()
    await store.close()
