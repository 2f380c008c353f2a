"""What is SQLite's own about expiry: freed pages are used again, and files of the first version are read."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from cube.model.event import Event
from cube.model.made_id import make_id
from cube.model.tier import HOUR
from cube.store.sqlite import catalog, open_store
from tests.contract.builders import T0, event, revisions

FILE = "test.events.db"
ROUND = 4_000


def pages(directory: Path) -> int:
    with closing(sqlite3.connect(directory / FILE)) as connection:
        (count,) = connection.execute("PRAGMA page_count").fetchone()
    return int(count)


@pytest.mark.parametrize("made_ids", [True, False], ids=["made ids", "ids in no order"])
async def test_a_file_stops_growing_once_as_much_expires_as_comes(tmp_path: Path, made_ids: bool) -> None:
    store = await open_store(tmp_path, "test")
    sizes: list[int] = []
    for turn in range(6):
        first = T0 + turn * ROUND
        events = [
            Event("test", time, make_id() if made_ids else f"{time * 7_919 % 100_003}-{time}", {"v": time})
            for time in range(first, first + ROUND)
        ]
        for place in range(0, ROUND, 500):
            await store.events.save("test", events[place : place + 500])
        await store.events.expire("test", first)
        await store.events.delete_events("test", first)
        sizes.append(pages(tmp_path))
    await store.close()
    assert sizes[-1] <= sizes[2] * 1.05, sizes


async def test_a_file_of_the_first_version_is_taken_over(tmp_path: Path) -> None:
    store = await open_store(tmp_path, "test")
    await store.events.save("test", [event(T0)])
    await store.events.expire("test", T0 + 1)
    await store.close()
    with closing(sqlite3.connect(tmp_path / FILE)) as connection:
        connection.execute("ALTER TABLE types DROP COLUMN forgotten_before")
        connection.execute("ALTER TABLE types DROP COLUMN tiers")
        connection.execute("PRAGMA user_version = 1")

    again = await open_store(tmp_path, "test")
    await again.events.forget("test", T0)

    found = await revisions(again, HOUR)
    assert (set(found.numbers), found.expired_before, found.forgotten_before) == ({T0}, T0 + 1, T0)
    await again.close()
    with closing(sqlite3.connect(tmp_path / FILE)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (catalog.VERSION,)
