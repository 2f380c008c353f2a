"""The files of a SQLite store deleted or replaced while it is open: nothing is lost without a word."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from cube.errors import Unavailable
from cube.model.environment import DEFAULT, Key, Scope, digest
from cube.model.tier import DAY, Span
from cube.store.metric_ports import CachedBucket, CacheKey
from cube.store.sqlite import SqliteKeys, SqliteStore, open_store
from tests.contract.builders import T0, event, rows

KEY = CacheKey("test", "sum(test)", "value", 1)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
async def store(directory: Path) -> AsyncIterator[SqliteStore]:
    opened = await open_store(directory, "x")
    await opened.events.save("test", [event(T0, 1)])
    yield opened
    await opened.close()


def replace_by_a_copy(directory: Path) -> None:
    path = directory / "x.events.db"
    shutil.copy(path, directory / "copy")
    (directory / "copy").replace(path)


def delete_the_log(directory: Path) -> None:
    (directory / "x.events.db-wal").unlink()


def make_anew(directory: Path) -> None:
    shutil.rmtree(directory)
    directory.mkdir()


LOSSES = [shutil.rmtree, make_anew, replace_by_a_copy, delete_the_log]


async def ways(store: SqliteStore) -> list[Callable[[], Awaitable[object]]]:
    """All that a store is asked for."""
    return [
        lambda: store.events.save("test", [event(T0, 2)]),
        lambda: rows(store, "test"),
        lambda: store.events.expire("test", 0),
        lambda: store.names.claim("group", ["name"], 5),
        store.ping,
        store.probe,
    ]


@pytest.mark.parametrize("lose", LOSSES)
async def test_everything_is_refused_and_the_log_says_it_once(
    store: SqliteStore, directory: Path, lose: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    lose(directory)
    for way in await ways(store):
        with pytest.raises(Unavailable, match="deleted or replaced while the daemon runs") as refusal:
            await way()
        assert str(directory) not in refusal.value.message
    assert caplog.text.count("was deleted or replaced while it is open") == 1
    assert str(directory) in caplog.text


async def test_a_file_deleted_within_a_commit_is_no_success(store: SqliteStore, directory: Path) -> None:
    with pytest.raises(Unavailable, match="deleted or replaced"):
        await store._writer.write(lambda: lambda connection: shutil.rmtree(directory))


async def test_a_query_that_began_before_reads_on(store: SqliteStore, directory: Path) -> None:
    async with store.events.read() as session:
        await session.types()
        shutil.rmtree(directory)
        assert await session.types() == ["test"]


async def test_once_the_files_are_back_all_goes_on(
    store: SqliteStore, directory: Path, tmp_path: Path
) -> None:
    shutil.move(directory, tmp_path / "away")
    with pytest.raises(Unavailable):
        await store.events.save("test", [event(T0, 2)])
    shutil.move(tmp_path / "away", directory)
    await store.events.save("test", [event(T0, 3)])
    await store.probe()
    assert [id for _, id, _ in await rows(store, "test")] == [1, 3]


async def test_the_cache_of_the_store_that_took_its_place_is_left_alone(
    store: SqliteStore, directory: Path
) -> None:
    span = Span(DAY.floor(T0), DAY.floor(T0) + DAY.step)
    await store.metrics.save(KEY, DAY, {span.start: CachedBucket(1, b"old")})
    shutil.rmtree(directory)
    other = await open_store(directory, "x")
    await other.metrics.save(KEY, DAY, {span.start: CachedBucket(1, b"new")})

    assert await store.metrics.read(KEY, DAY, span) == {}
    await store.metrics.save(KEY, DAY, {span.start: CachedBucket(1, b"lost")})

    assert await other.metrics.read(KEY, DAY, span) == {span.start: CachedBucket(1, b"new")}
    await other.close()


async def test_a_cache_file_that_alone_is_gone_is_a_miss(store: SqliteStore, directory: Path) -> None:
    (directory / "x.metrics.db").unlink(missing_ok=True)
    assert await store.metrics.read(KEY, DAY, Span(0, DAY.step)) == {}


async def test_a_stop_leaves_the_store_alone_that_took_its_place(directory: Path) -> None:
    old = await open_store(directory, "x")
    await old.events.save("test", [event(T0, 1)])
    shutil.rmtree(directory)
    new = await open_store(directory, "x")
    await new.events.save("test", [event(T0, 2)])
    await old.close()
    await new.events.save("test", [event(T0, 3)])
    assert [id for _, id, _ in await rows(new, "test")] == [2, 3]
    await new.close()


async def test_keys_whose_file_is_gone_are_no_empty_list(tmp_path: Path) -> None:
    keys = SqliteKeys(tmp_path / "x.keys.db")
    assert await keys.all() == []
    key = Key("one", digest("one"), DEFAULT, frozenset(Scope), None, "")
    await keys.add(key)
    assert await keys.all() == [key]
    (tmp_path / "x.keys.db").unlink()
    with pytest.raises(Unavailable, match="deleted"):
        await keys.all()


async def damaged(directory: Path) -> SqliteStore:
    first = await open_store(directory, "x")
    await first.events.save("test", [event(T0, number, data="x" * 500) for number in range(1_000)])
    await first.close()
    return await open_store(directory, "x")


@pytest.mark.parametrize("kept", [0, 8_192, 40_000])
async def test_a_damaged_file_is_seen_past_what_is_in_memory(directory: Path, kept: int) -> None:
    store = await damaged(directory)
    await store.ping()
    path = directory / "x.events.db"
    with path.open("r+b") as file:
        size = file.seek(0, 2)
        file.seek(kept)
        file.write(b"x" * (size - kept))
    with pytest.raises(Unavailable, match="damaged|not an SQLite database"):
        await store.ping()
    await store.close()


async def test_a_probe_leaves_one_row_and_no_type(store: SqliteStore, directory: Path) -> None:
    for _ in range(3):
        await store.probe()
        await store.ping()
    with sqlite3.connect(directory / "x.events.db") as file:
        assert file.execute("SELECT count(*) FROM probe").fetchone() == (1,)
    async with store.events.read() as session:
        assert await session.types() == ["test"]
