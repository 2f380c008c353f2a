"""The spool: order, limits, what dies with a process, and what damage costs."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from cube.errors import InvalidSettings, Overloaded
from cube.model.event import ABSENT, Event, EventId
from cube.model.made_id import make_id
from cube.spool import Spool, store_mark
from cube.spool.file import PAGE_BYTES
from cube.spool.record import Record

STORE = "mongodb://user:secret@localhost:27017/?w=1"
NOW = 1_311_033_600_000


class Opened:
    """An open spool, and the damage that it told of."""

    def __init__(self, directory: Path, store: str, limit_bytes: int) -> None:
        self.damaged = 0
        self.opening = Spool.open(
            directory,
            "db",
            store_mark(store),
            limit_bytes=limit_bytes,
            clock=lambda: NOW,
            on_damage=self._damage,
        )

    def _damage(self, count: int) -> None:
        self.damaged += count


@asynccontextmanager
async def spool(
    directory: Path, *, store: str = STORE, limit_bytes: int = 2**30
) -> AsyncIterator[tuple[Spool, Opened]]:
    opened = Opened(directory, store, limit_bytes)
    opening = await opened.opening
    try:
        yield opening, opened
    finally:
        await opening.close()


def events(*ids: EventId, size: int = 10) -> list[Event]:
    return [Event("a", NOW, id, {"text": "x" * size}) for id in ids]


async def drained(spool: Spool) -> list[EventId]:
    """Take everything out, and return the ids in order."""
    ids: list[EventId] = []
    while (head := await spool.head(100, 100_000)) is not None:
        ids += [record.event.id for record in head.records]
        await spool.remove(head.ticket(head.records))
    return ids


def files(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.spool.db"))


def left_in(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


def obstruct(path: Path) -> None:
    """Put a directory where the lock of a file has to be."""
    lock = Path(f"{path}.lock")
    lock.unlink(missing_ok=True)
    lock.mkdir()


def quarantined(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.damaged"))


async def test_events_come_out_as_they_went_in_and_in_order(tmp_path: Path) -> None:
    given = [
        Event("a", NOW, 1),
        Event("b", -NOW, 1.5, None),
        Event("a", NOW, "1", {"n": [1, 1.0, -0.0, 2**63 - 1, "ä\0", True, None, {"deep": []}]}, timed=False),
        Event("a", NOW, make_id(), ABSENT),
    ]
    async with spool(tmp_path) as (opening, _):
        await opening.append(given)
        await opening.append(given[:1])
        head = await opening.head(10, 10**6)
        assert head is not None
        assert [record.event for record in head.records] == [*given, given[0]]
        assert [repr(record.event.data) for record in head.records[:4]] == [repr(e.data) for e in given]
        assert (opening.events, opening.oldest) == (5, NOW)


async def test_an_id_waits_until_it_is_removed(tmp_path: Path) -> None:
    async with spool(tmp_path) as (opening, _):
        assert await opening.waiting(events(1)) == set()
        ticket = await opening.append(events(1, 1, "x"))
        await opening.append(events(1))
        asked = [*events("1", 1, "x"), Event("b", NOW, 1), Event("a", NOW, make_id())]
        assert await opening.waiting(asked) == {1, 2}
        assert await opening.remove(ticket) == 3
        assert await opening.waiting(asked) == {1}
        assert await opening.remove(ticket) == 0


async def test_the_next_process_takes_over_what_a_dead_one_left(tmp_path: Path) -> None:
    async with spool(tmp_path) as (first, _):
        await first.append(events(*range(20)))
        async with spool(tmp_path) as (second, _):  # the first lives
            assert second.events == 0
            await second.append(events(100))
    async with spool(tmp_path) as (third, _):
        assert third.events == 21
        await third.append(events(200))
        assert await third.waiting(events(5, 200, 6, 300)) == {0, 1, 2}
        assert await drained(third) == [*range(20), 100, 200]
    assert left_in(tmp_path) == []


async def test_a_process_takes_over_what_one_leaves_that_ends_after_its_start(tmp_path: Path) -> None:
    async with spool(tmp_path) as (new, _):
        async with spool(tmp_path) as (old, _):
            await old.append(events(1, 2))
            await new.append(events(3))
            await new.take_over()
            assert new.events == 1
        await new.take_over()
        assert new.events == 3
        await new.append(events(4))
        assert await drained(new) == [1, 2, 3, 4]
    assert left_in(tmp_path) == []


async def test_a_file_that_cannot_be_used_is_told_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = await filled(tmp_path, 3)
    with closing(sqlite3.connect(path)) as later:
        later.execute("PRAGMA user_version = 999")
    async with spool(tmp_path) as (one, _):
        await one.take_over()
        await one.take_over()
    assert caplog.text.count("is left where it is") == 1


async def test_events_of_another_store_or_database_are_left_alone(tmp_path: Path) -> None:
    async with spool(tmp_path) as (first, _):
        await first.append(events(1))
    async with spool(tmp_path, store="mongodb://other:27017") as (other, _):
        assert other.events == 0
    async with spool(tmp_path, store="mongodb://me:new@localhost:27017") as (same, _):
        assert same.events == 1


async def test_beyond_its_limit_it_takes_nothing_more_until_it_is_drained(tmp_path: Path) -> None:
    async with spool(tmp_path, limit_bytes=2**20) as (opening, _):
        kept = 0
        refusal: Overloaded | None = None
        while refusal is None:
            try:
                await opening.append(events(kept, size=10_000))
                kept += 1
            except Overloaded as error:
                refusal = error
        assert refusal.retry_after_seconds >= 1
        assert 60 < kept < 110
        assert opening.bytes <= 2**20
        assert await drained(opening) == list(range(kept))
        await opening.append(events(1, size=500_000))
        assert sum(path.stat().st_size for path in files(tmp_path)) < 2**20


async def test_appends_that_wait_share_a_transaction(tmp_path: Path) -> None:
    async with spool(tmp_path) as (opening, _):
        tickets = await asyncio.gather(*(opening.append(events(n, n + 0.5)) for n in range(50)))
        await asyncio.gather(*(opening.remove(ticket) for ticket in tickets[::2]))
        assert await drained(opening) == [id for n in range(1, 50, 2) for id in (n, n + 0.5)]


async def test_a_record_that_cannot_be_stored_is_kept_aside(tmp_path: Path) -> None:
    async with spool(tmp_path) as (opening, _):
        await opening.append(events(1, 2, 3))
        head = await opening.head(10, 10**6)
        assert head is not None
        await opening.quarantine(head.ticket([head.records[1]]), "It has expired.")
        assert await drained(opening) == [1, 3]
    (away,) = quarantined(tmp_path)
    with closing(sqlite3.connect(away)) as kept:
        assert kept.execute("SELECT CAST(event AS TEXT), reason FROM aside").fetchall() == [
            ('{"type":"a","time":1311033600000,"id":2,"data":{"text":"xxxxxxxxxx"}}', "It has expired.")
        ]
    async with spool(tmp_path) as (again, _):
        assert again.events == 0


def test_a_directory_that_cannot_be_used_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidSettings, match="cannot be used"):
        asyncio.run(Opened(tmp_path / "file" / "spool", STORE, 2**20).opening)


async def test_a_file_of_a_later_version_is_left_for_that(tmp_path: Path) -> None:
    path = await filled(tmp_path, 3)
    with closing(sqlite3.connect(path)) as later:
        later.execute("PRAGMA user_version = 999")
    content = path.read_bytes()
    assert await saved(tmp_path) == ([], 0)
    assert path.read_bytes() == content


async def test_a_lock_that_cannot_be_had_costs_only_that_file(tmp_path: Path) -> None:
    path = await filled(tmp_path, 3)
    obstruct(path)
    assert await saved(tmp_path) == ([], 0)


# Damage.


async def filled(directory: Path, count: int, size: int = 100) -> Path:
    """Make a spool file of so many events and release it."""
    async with spool(directory) as (opening, _):
        for first in range(0, count, 500):
            await opening.append(events(*range(first, min(first + 500, count)), size=size))
    (path,) = files(directory)
    return path


async def saved(directory: Path) -> tuple[list[EventId], int]:
    """Open the spool of a directory and drain it; return what was in it, and the damage told."""
    async with spool(directory) as (opening, opened):
        ids = await drained(opening)
        await opening.append(events(-1))
        assert await drained(opening) == [-1]
    return ids, opened.damaged


@pytest.mark.parametrize(("count", "size"), [(600, 100), (60, 9_000)])
async def test_a_flipped_byte_costs_the_records_that_it_hits(tmp_path: Path, count: int, size: int) -> None:
    path = await filled(tmp_path, count, size)
    whole = path.read_bytes()
    dice = random.Random(7)
    lost = []
    places = [0, 20, 101, *(dice.randrange(len(whole)) for _ in range(12))]
    for turn, place in enumerate(places):
        directory = tmp_path / str(turn)
        directory.mkdir()
        flipped = bytearray(whole)
        flipped[place] ^= 1 << dice.randrange(8)
        (directory / path.name).write_bytes(flipped)
        ids, damaged = await saved(directory)
        assert ids == sorted(ids)
        lost.append(count - len(set(ids)))
        assert damaged >= (lost[-1] > 0)
    assert max(lost) <= PAGE_BYTES // size + 1  # a page's own header is hit
    assert sum(lost) < 30


@pytest.mark.parametrize("rest", [0.95, 0.5, 0.1])
async def test_a_file_cut_short_costs_what_was_cut(tmp_path: Path, rest: float) -> None:
    path = await filled(tmp_path, 5_000)
    whole = path.stat().st_size
    with path.open("rb+") as file:
        file.truncate(int(whole * rest))
    ids, damaged = await saved(tmp_path)
    assert ids == sorted(set(ids))
    assert damaged >= 1
    assert len(ids) > 5_000 * rest * 0.75
    assert len(quarantined(tmp_path)) == 1


async def test_pages_of_garbage_cost_no_more_than_they_held(tmp_path: Path) -> None:
    path = await filled(tmp_path, 5_000)
    with path.open("rb+") as file:
        for page in (0, 1, 7, 8):  # the header, and whatever comes next: roots among them
            file.seek(page * PAGE_BYTES)
            file.write(random.Random(page).randbytes(PAGE_BYTES))
    ids, damaged = await saved(tmp_path)
    assert damaged >= 1
    assert ids == sorted(set(ids))
    assert len(ids) > 4_850


@pytest.mark.parametrize("content", [b"", b"no database at all\n" * 500, bytes(100_000)])
async def test_a_file_that_is_no_database_is_put_away_whole(tmp_path: Path, content: bytes) -> None:
    path = await filled(tmp_path, 3)
    path.write_bytes(content)
    ids, damaged = await saved(tmp_path)
    assert ids == []
    if content:
        assert damaged == 1
        (away,) = quarantined(tmp_path)
        assert away.read_bytes() == content


async def test_a_file_damaged_while_it_is_open_goes_on_as_a_new_one(tmp_path: Path) -> None:
    async with spool(tmp_path) as (opening, opened):
        ticket = await opening.append(events(*range(300), size=2_000))
        (path,) = files(tmp_path)
        with closing(sqlite3.connect(path)) as other:
            other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with path.open("rb+") as file:
            file.seek(50 * PAGE_BYTES)
            file.write(bytes(60 * PAGE_BYTES))
        await opening.append(events(*range(300, 600), size=2_000))
        await opening.remove(ticket)
        ids = await drained(opening)
    assert ids[-300:] == list(range(300, 600))
    assert opened.damaged >= 1


async def test_what_was_removed_does_not_come_back_from_a_damaged_file(tmp_path: Path) -> None:
    async with spool(tmp_path) as (opening, _):
        removed = await opening.append(events(*range(2_000)))
        await opening.append(events(*range(2_000, 2_100)))
        await opening.remove(removed)
    (path,) = files(tmp_path)
    with path.open("rb+") as file:
        file.write(b"x" * 100)
    ids, damaged = await saved(tmp_path)
    assert ids == list(range(2_000, 2_100))
    assert damaged == 1


async def test_a_record_is_read_with_its_bytes(tmp_path: Path) -> None:
    async with spool(tmp_path) as (opening, _):
        await opening.append(events(*range(10), size=1_000))
        head = await opening.head(10, 2_500)
        assert head is not None
        records: Sequence[Record] = head.records
        assert [record.event.id for record in records] == [0, 1, 2]
        assert all(1_000 < record.size < 1_100 for record in records)
