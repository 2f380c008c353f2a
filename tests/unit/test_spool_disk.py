"""The spool on a disk that is full, and under somebody who deletes its files."""

from __future__ import annotations

import resource
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from cube.errors import Unavailable
from cube.spool import Spool
from tests.unit.test_spool import drained, events, files, left_in, quarantined, spool


@contextmanager
def full_disk(directory: Path) -> Iterator[None]:
    """No file can grow beyond the largest one in a directory: SQLite's log has no room for another page."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    largest = max(path.stat().st_size for path in directory.iterdir())
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def delete_all(directory: Path) -> None:
    for path in directory.iterdir():
        path.unlink()


async def refuses(opening: Spool, directory: Path) -> None:
    with pytest.raises(Unavailable) as refusal:
        await opening.append(events(-1, size=30_000))
    assert str(directory) not in refusal.value.message


async def test_removing_needs_no_room_and_an_empty_file_gives_its_room_back(tmp_path: Path) -> None:
    async with spool(tmp_path) as (opening, _):
        ticket = await opening.append(events(*range(40), size=30_000))
        with full_disk(tmp_path):
            await refuses(opening, tmp_path)
            head = await opening.head(10, 10**9)
            assert head is not None
            assert await opening.remove(head.ticket(head.records)) == 10
            assert await opening.remove(head.ticket(head.records)) == 0
            assert opening.events == 30
            # Whatever comes with its id must not overtake it: a crash now would deliver it again.
            assert await opening.waiting(events(0, 39, 40)) == {0, 1}
            assert await drained(opening) == list(range(10, 40))
            assert await opening.remove(ticket) == 0
            assert await opening.waiting(events(0, 39, 40)) == set()
            assert files(tmp_path) == []
            await opening.append(events(1))
    assert [path.suffix for path in files(tmp_path)] == [".db"]


async def test_what_is_quarantined_on_a_full_disk_is_kept_once_there_is_room(tmp_path: Path) -> None:
    async with spool(tmp_path) as (opening, _):
        await opening.append(events(*range(10), size=30_000))
        with full_disk(tmp_path):
            head = await opening.head(10, 10**9)
            assert head is not None
            await opening.quarantine(head.ticket(head.records[3:4]), "It has expired.")
            assert await drained(opening) == [0, 1, 2, 4, 5, 6, 7, 8, 9]
            assert len(files(tmp_path)) == 1
    (away,) = quarantined(tmp_path)
    with closing(sqlite3.connect(away)) as kept:
        assert kept.execute("SELECT reason FROM aside").fetchall() == [("It has expired.",)]
        assert kept.execute("SELECT count(*) FROM records").fetchone() == (0,)


async def test_with_room_again_what_was_only_hidden_goes(tmp_path: Path) -> None:
    async with spool(tmp_path) as (opening, _):
        await opening.append(events(*range(20), size=30_000))
        with full_disk(tmp_path):
            head = await opening.head(10, 10**9)
            assert head is not None
            await opening.remove(head.ticket(head.records))
    async with spool(tmp_path) as (again, _):
        assert await drained(again) == list(range(10, 20))


async def test_a_failed_beginning_leaves_nothing(tmp_path: Path) -> None:
    async with spool(tmp_path) as (opening, _):
        (tmp_path / "other").write_bytes(b"x" * 1000)
        with full_disk(tmp_path):
            for _ in range(3):
                await refuses(opening, tmp_path)
        assert left_in(tmp_path) == ["other"]


async def test_a_long_spool_is_several_files_that_go_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cube.spool.segments._SEGMENT_BYTES", 100_000)
    async with spool(tmp_path, limit_bytes=2**20) as (opening, _):
        for first in range(0, 25, 5):
            await opening.append(events(*range(first, first + 5), size=20_000))
        assert len(files(tmp_path)) == 5
        head = await opening.head(5, 10**9)
        assert head is not None
        await opening.remove(head.ticket(head.records))
        assert len(files(tmp_path)) == 4
        assert await opening.waiting(events(2, 7, 24)) == {1, 2}
    async with spool(tmp_path) as (again, _):
        assert await drained(again) == list(range(5, 25))


async def test_events_of_a_file_that_is_deleted_go_to_a_new_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with spool(tmp_path) as (opening, _):
        await opening.append(events(1, 2, 3))
        delete_all(tmp_path)
        await opening.append(events(4))
        assert "was deleted or replaced while it was open; 3 events" in caplog.text
    async with spool(tmp_path) as (again, _):
        assert await drained(again) == [1, 2, 3, 4]


async def test_without_its_directory_nothing_is_taken_and_what_waits_is_drained(tmp_path: Path) -> None:
    directory = tmp_path / "spool"
    async with spool(directory) as (opening, _):
        await opening.append(events(1))
        shutil.rmtree(directory)
        for _ in range(2):
            with pytest.raises(Unavailable, match="deleted or replaced") as refusal:
                await opening.append(events(2))
            assert str(tmp_path) not in refusal.value.message
            directory.mkdir(exist_ok=True)  # another one: of a disk that is not mounted any more
        with pytest.raises(Unavailable):
            await opening.check()
        assert await drained(opening) == [1]


async def test_a_directory_that_is_back_is_used_again(tmp_path: Path) -> None:
    directory = tmp_path / "spool"
    async with spool(directory) as (opening, _):
        await opening.append(events(1))
        directory.rename(tmp_path / "away")
        with pytest.raises(Unavailable):
            await opening.append(events(2))
        (tmp_path / "away").rename(directory)
        await opening.check()
        await opening.append(events(3))
        assert await drained(opening) == [1, 3]
