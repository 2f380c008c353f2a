"""What is SQLite's own: files, processes, threads and faults. The rest is in the contract."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from cube.errors import Unavailable
from cube.model.event import Event
from cube.model.made_id import make_id
from cube.model.tier import TEN_SECONDS, Span
from cube.store.metric_ports import CacheKey
from cube.store.sqlite import SqliteStore, catalog, database, open_store, readers
from cube.store.sqlite.database import LogLimits

T0 = 1_311_033_600_000
WHOLE = Span(0, 10**14)

WRITING = """
import asyncio, sys
from cube.model.event import Event
from cube.model.made_id import make_id
from cube.store.sqlite import open_store

async def main(directory, batches):
    store = await open_store(directory, "x")
    for number in range(batches):
        await store.events.save("test", [Event("test", 1_311_033_600_000 + i, make_id()) for i in range(10)])
    print("saved", flush=True)
    if sys.argv[3] == "stay":
        sys.stdin.read()
    await store.close()

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


def _writer(directory: Path, batches: int, then: str = "end") -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITING, str(directory), str(batches), then],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = await open_store(tmp_path, "x")
    yield opened
    await opened.close()


def _file(directory: Path) -> sqlite3.Connection:
    return sqlite3.connect(directory / "x.events.db", isolation_level=None)


async def _count(store: SqliteStore, type: str = "test") -> int:
    async with store.events.read() as session:
        return sum([len(block) async for block in session.scan(type, WHOLE, ())])


def _events(count: int, size: int = 10) -> list[Event]:
    return [Event("test", T0 + i, make_id(), {"i": i, "text": "x" * size}) for i in range(count)]


async def test_processes_that_open_a_new_database_at_once_all_save(tmp_path: Path) -> None:
    writers = [_writer(tmp_path / "new", 20) for _ in range(4)]
    outputs = [writer.communicate(timeout=60) for writer in writers]

    assert [(writer.returncode, out) for writer, (out, _) in zip(writers, outputs, strict=True)] == [
        (0, b"saved\n")
    ] * 4
    store = await open_store(tmp_path / "new", "x")
    assert await _count(store) == 800
    await store.close()


async def test_what_was_acknowledged_survives_the_death_of_the_process(tmp_path: Path) -> None:
    with _writer(tmp_path, 5, "stay") as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"saved\n"
        writer.kill()

    store = await open_store(tmp_path, "x")
    async with store.events.read() as session:
        found = await session.revisions("test", TEN_SECONDS, Span(T0, T0 + 10_000))
    assert (await _count(store), set(found.numbers), found.complete) == (50, {T0}, True)
    await store.close()


async def test_a_commit_reaches_the_disk(store: SqliteStore) -> None:
    modes: list[tuple[object, ...]] = []

    def look(connection: sqlite3.Connection) -> None:
        modes.extend(
            connection.execute(f"PRAGMA {name}").fetchone() for name in ("synchronous", "journal_mode")
        )

    await store._writer.write(lambda: look)

    assert modes == [(2,), ("wal",)]


async def test_data_are_text_that_sqlites_json_functions_read(store: SqliteStore, tmp_path: Path) -> None:
    await store.events.save("test", [Event("test", T0, "a", {"path": "/é"}), Event("test", T0, "b", None)])
    await store.events.save("test", [Event("test", T0, "c")])

    connection = _file(tmp_path)
    found = connection.execute(
        "SELECT id, json_extract(data, '$.path'), typeof(data) FROM events_1"
    ).fetchall()
    connection.close()
    assert found == [("a", "/é", "text"), ("b", None, "text"), ("c", None, "null")]


async def test_a_directory_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(Unavailable, match=r"cannot be made .* choose another"):
        await open_store(tmp_path / "file" / "data", "x")


async def test_a_file_that_is_no_database_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "x.events.db").write_bytes(b"no database at all" * 1_000)

    with pytest.raises(Unavailable, match=r"x\.events\.db .*not an SQLite database; move it away"):
        await open_store(tmp_path, "x")


async def test_a_file_that_cannot_be_opened_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "x.events.db").mkdir()

    with pytest.raises(Unavailable, match="unable to open"):
        await open_store(tmp_path, "x")


async def test_a_file_of_a_later_cube_is_refused(tmp_path: Path) -> None:
    await (await open_store(tmp_path, "x")).close()
    with _file(tmp_path) as connection:
        connection.execute(f"PRAGMA user_version = {catalog.VERSION + 1}")
    connection.close()

    with pytest.raises(Unavailable, match="made by a later Cube"):
        await open_store(tmp_path, "x")


async def test_a_lock_that_another_holds_too_long_is_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(database.connect.__kwdefaults__, "busy_seconds", 0.05)
    store = await open_store(tmp_path, "x")
    connection = _file(tmp_path)
    connection.execute("BEGIN IMMEDIATE")

    with pytest.raises(Unavailable, match="locked"):
        await store.events.save("test", _events(1))
    connection.execute("ROLLBACK")
    connection.close()

    await store.events.save("test", _events(1))
    assert await _count(store) == 1
    await store.close()


async def test_a_full_disk_is_unavailable_and_nothing_of_the_save_is_stored(store: SqliteStore) -> None:
    await store.events.save("test", _events(1))

    def limit(pages: int) -> None:
        store._writer._connection.execute(f"PRAGMA max_page_count = {pages}")

    await asyncio.to_thread(limit, 30)
    with pytest.raises(Unavailable, match="full"):
        await store.events.save("test", _events(5_000, 200))
    await asyncio.to_thread(limit, 2**30)
    assert await _count(store) == 1

    await store.events.save("test", _events(10))
    assert await _count(store) == 11


async def test_a_save_that_cannot_be_written_does_not_fail_those_beside_it(store: SqliteStore) -> None:
    unencodable = [Event("test", T0, "bad", {"a": object()})]

    outcomes = await asyncio.gather(
        store.events.save("test", _events(3)),
        store.events.save("test", unencodable),
        store.events.save("other", _events(4)),
        return_exceptions=True,
    )

    assert [type(outcome) for outcome in outcomes] == [type(None), TypeError, type(None)]
    assert (await _count(store), await _count(store, "other")) == (3, 4)


async def test_saves_that_wait_together_share_transactions(store: SqliteStore) -> None:
    commits: list[int] = []
    store._writer._after = lambda _: commits.append(1)

    await asyncio.gather(*(store.events.save(f"type{i % 5}", _events(1)) for i in range(200)))

    assert len(commits) < 100


async def test_a_save_whose_caller_goes_away_is_finished(store: SqliteStore) -> None:
    task = asyncio.create_task(store.events.save("test", _events(1_000)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    await store.events.save("other", _events(1))
    assert await _count(store) == 1_000


async def test_closing_finishes_the_saves_that_wait(tmp_path: Path) -> None:
    store = await open_store(tmp_path, "x")
    saves = [asyncio.create_task(store.events.save("test", _events(100))) for _ in range(20)]
    await asyncio.sleep(0)
    await store.close()
    await asyncio.gather(*saves)

    again = await open_store(tmp_path, "x")
    assert await _count(again) == 2_000
    await again.close()


async def test_a_closed_store_is_unavailable(tmp_path: Path) -> None:
    store = await open_store(tmp_path, "x")
    await store.close()

    with pytest.raises(Unavailable, match="closed"):
        await store.events.save("test", _events(1))
    with pytest.raises(Unavailable, match="closed"):
        await store.ping()


async def test_closing_leaves_no_log_behind(tmp_path: Path) -> None:
    store = await open_store(tmp_path, "x")
    await store.events.save("test", _events(100))
    await store.metrics.read(CacheKey("test", "sum(test)", "value", 1), TEN_SECONDS, Span(T0, T0 + 10_000))
    assert await _count(store) == 100
    await store.close()

    assert _names(tmp_path) == {"x.events.db", "x.metrics.db"}


def _names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def _pinned(directory: Path) -> bool:
    """Whether some reader's snapshot keeps the log from being cut."""
    connection = _file(directory)
    connection.execute("PRAGMA busy_timeout = 0")
    (busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    connection.close()
    return bool(busy)


async def test_a_session_is_a_snapshot(store: SqliteStore, tmp_path: Path) -> None:
    await store.events.save("test", _events(1))

    async with store.events.read() as session:
        assert await session.types() == ["test"]
        await store.events.save("other", _events(1))
        assert await session.types() == ["test"]
        assert _pinned(tmp_path)


async def test_a_session_closed_midway_through_a_scan_pins_nothing(
    store: SqliteStore, tmp_path: Path
) -> None:
    await store.events.save("test", _events(5_000))
    async with store.events.read() as session:
        scan = session.scan("test", WHOLE, None)
        assert len(await anext(scan))
        await store.events.save("test", _events(1))

    assert not _pinned(tmp_path)


async def test_a_cancelled_scan_pins_nothing_once_its_read_has_stopped(
    store: SqliteStore, tmp_path: Path
) -> None:
    await store.events.save("test", _events(5_000))
    task = asyncio.create_task(_count(store))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await store.events.save("test", _events(1))

    await asyncio.to_thread(store._readers.close)
    assert not _pinned(tmp_path)


async def test_a_session_used_after_its_end_is_a_fault(store: SqliteStore) -> None:
    async with store.events.read() as session:
        pass

    with pytest.raises(RuntimeError, match="after its end"):
        await session.types()


async def test_readers_keep_few_connections(store: SqliteStore) -> None:
    await store.events.save("test", _events(1))
    await asyncio.gather(*(_count(store) for _ in range(60)))

    pool = store._readers
    assert readers.WARM < len(pool._warm) + len(pool._idle) <= readers.KEPT


async def test_few_idle_connections_keep_the_pages_that_they_have_read(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.events.save("test", _events(20_000))
    pool, released = store._readers, set[int]()
    opened = pool._connect

    def connect() -> sqlite3.Connection:
        connection = opened()

        def note(statement: str) -> None:
            (released.add if statement == "PRAGMA shrink_memory" else released.discard)(id(connection))

        connection.set_trace_callback(note)
        return connection

    monkeypatch.setattr(pool, "_connect", connect)
    async with AsyncExitStack() as sessions:
        for _ in range(8):
            await (await sessions.enter_async_context(store.events.read())).types()

    assert len(released) == 8 - readers.WARM
    assert await _count(store) == 20_000
    assert len(released) == 8 - readers.WARM  # a single question takes one that is warm


async def _overlap(store: SqliteStore, saved: asyncio.Event) -> None:
    """Keep at least one session open, each but for a moment."""
    async with AsyncExitStack() as last:
        while not saved.is_set():
            async with AsyncExitStack() as before:
                session = await before.enter_async_context(store.events.read())
                await session.types()
                await asyncio.sleep(0.005)
                await last.aclose()
                last.push_async_exit(before.pop_all())


async def test_the_log_is_cut_though_sessions_overlap(tmp_path: Path) -> None:
    limit = 16 * 1024 * 1024
    store = await open_store(tmp_path, "x", log=LogLimits(limit, 10))
    saved = asyncio.Event()
    reading = asyncio.create_task(_overlap(store, saved))
    lengths: list[int] = []

    for _ in range(100):
        await store.events.save("test", _events(50, 1_000))
        lengths.append(_log_bytes(tmp_path))
    saved.set()
    await reading

    assert limit / 4 < max(lengths) < limit
    assert await _count(store) == 5_000
    await store.close()


def _log_bytes(directory: Path) -> int:
    return (directory / "x.events.db-wal").stat().st_size
