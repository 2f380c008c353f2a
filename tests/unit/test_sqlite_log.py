"""The write-ahead log under queries that last: its bound holds, and a query has one snapshot or an error."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections import deque
from collections.abc import AsyncIterator
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

import pytest

from cube.errors import Unavailable
from cube.model.event import Event
from cube.model.made_id import make_id
from cube.model.tier import Span
from cube.store.sqlite import SqliteStore, open_store
from cube.store.sqlite.checkpoint import Checkpoint
from cube.store.sqlite.database import LogLimits, connect

T0 = 1_311_033_600_000
WHOLE = Span(0, 10**14)
BYTES = 8 * 2**20
OLD_SECONDS = 0.2


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = await open_store(tmp_path, "x", log=LogLimits(BYTES, OLD_SECONDS))
    yield opened
    await opened.close()


def events(count: int) -> list[Event]:
    return [Event("test", T0 + number, make_id(), "x" * 1_000) for number in range(count)]


def log_bytes(directory: Path) -> int:
    return (directory / "x.events.db-wal").stat().st_size


async def write_much(store: SqliteStore, directory: Path, saves: int = 40) -> int:
    """Write several times the bound; return the longest that the log was."""
    longest = 0
    for _ in range(saves):
        await store.events.save("test", events(50))
        longest = max(longest, log_bytes(directory))
    return longest


async def read_for_long(store: SqliteStore, done: asyncio.Event) -> int:
    """Read again and again in one session, which must see the same all the while; return how much it saw."""
    async with store.events.read() as session:
        counts: set[int] = set()
        while not done.is_set():
            counts.add(sum([len(block) async for block in session.scan("test", WHOLE, ())]))
            assert len(counts) == 1
            await asyncio.sleep(0.05)
        return counts.pop()


async def overlap(store: SqliteStore, done: asyncio.Event) -> list[str]:
    """Keep several long queries going, at different places, until done; return what they were refused for."""
    refusals: list[str] = []

    async def reader(delay: float) -> None:
        await asyncio.sleep(delay)
        while not done.is_set():
            try:
                await read_for_long(store, done)
            except Unavailable as error:
                refusals.append(error.message)

    await asyncio.gather(*(reader(number * OLD_SECONDS / 4) for number in range(4)))
    return refusals


async def test_long_queries_that_overlap_are_ended_before_the_log_is_too_long(
    store: SqliteStore, tmp_path: Path
) -> None:
    await store.events.save("test", events(10))
    done = asyncio.Event()
    reading = asyncio.create_task(overlap(store, done))
    longest = await write_much(store, tmp_path)
    done.set()
    refusals = await reading

    assert longest < BYTES
    assert refusals
    (sentence,) = set(refusals)
    assert sentence.startswith("So much was written while the query read that its view of the database")


async def test_a_query_that_only_waits_is_ended_too_and_never_reads_another_snapshot(
    store: SqliteStore, tmp_path: Path
) -> None:
    await store.events.save("test", events(10))
    async with store.events.read() as session:
        assert await session.types() == ["test"]
        assert await write_much(store, tmp_path) < BYTES
        for _ in range(2):
            with pytest.raises(Unavailable, match="had to be given up"):
                await session.types()
    async with store.events.read() as session:
        assert await session.types() == ["test"]


async def test_without_much_writing_a_query_may_last(store: SqliteStore) -> None:
    await store.events.save("test", events(10))
    async with store.events.read() as session:
        await session.types()
        await store.events.save("test", events(10))
        await asyncio.sleep(3 * OLD_SECONDS)
        assert sum([len(block) async for block in session.scan("test", WHOLE, ())]) == 10


async def test_another_program_that_reads_for_long_is_told_of_and_stops_no_save(
    store: SqliteStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await store.events.save("test", events(10))
    with closing(sqlite3.connect(tmp_path / "x.events.db", isolation_level=None)) as other:
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM types").fetchone()
        async with asyncio.timeout(30):
            while "another program reads the database for long" not in caplog.text:
                await store.events.save("test", events(500))
        assert log_bytes(tmp_path) > BYTES
    async with asyncio.timeout(30):
        while log_bytes(tmp_path) > BYTES:
            await store.events.save("test", events(50))


async def test_the_log_restarts_though_readers_take_over_each_others_places(tmp_path: Path) -> None:
    """SQLite waits for a place among them, which one who needs no log may have taken over."""
    path = tmp_path / "x.db"
    open_database = partial(connect, path, synchronous="FULL", cache_bytes=2**20)
    with closing(open_database()) as written, ExitStack() as ended:
        written.execute("CREATE TABLE t (x)")
        checkpoint = Checkpoint(written, path, LogLimits(2**20, 1.0))
        readers = deque(ended.enter_context(closing(open_database())) for _ in range(2))
        begin_to_read(readers[0])
        written.execute("BEGIN")
        written.executemany("INSERT INTO t VALUES (?)", [("x" * 1_000,)] * 1_000)
        written.commit()
        begun = threading.Event()
        written.set_trace_callback(lambda sql: begun.set() if "wal_checkpoint(" in sql else None)
        cutting = asyncio.create_task(asyncio.to_thread(checkpoint.after_commit))
        await asyncio.to_thread(begun.wait, 10)
        await asyncio.sleep(0.1)  # it finds the reader in its way
        readers[0].rollback()
        begin_to_read(readers[0])
        while not cutting.done():
            begin_to_read(readers[1])
            readers[0].rollback()
            readers.rotate()
            await asyncio.sleep(0.001)
        readers[0].rollback()
        (_, length, _) = written.execute("PRAGMA wal_checkpoint").fetchone()
        assert length == 0


def begin_to_read(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN")
    connection.execute("SELECT COUNT(*) FROM t").fetchone()
