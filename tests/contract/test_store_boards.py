"""Boards, on every kind of store: nobody's change is lost without a word."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest

from cube import json_text
from cube.errors import Conflict, InvalidRequest
from cube.store.ports import Store
from cube.store.record_ports import ANY_REVISION, NO_REVISION, StoredBoard

from .databases import Database

SAVED = 1_700_000_000_000
PRESENT = {"revision": 0, "saved": "2023-11-14T22:13:20.000Z", "by": "team"}


def board(name: str = "web", revision: int = 7, content: str = '{"title": "Web <b>é</b>"}') -> StoredBoard:
    return StoredBoard(name, revision, SAVED, content, "team", SAVED)


async def test_boards_are_kept_as_they_were_saved_by_name(database: Database) -> None:
    first = await database.open()
    assert (await first.boards.all(), await first.boards.find("web")) == ([], None)
    await first.boards.save(board("web", 2**53 - 1), NO_REVISION, 10)
    await first.boards.save(board("api"), NO_REVISION, 10)
    second = await database.open()

    assert await second.boards.all() == [board("api"), board("web", 2**53 - 1)]
    assert await second.boards.find("web") == board("web", 2**53 - 1)
    assert await second.boards.find("w") is None


async def test_a_change_counts_only_at_the_revision_that_it_is_a_change_of(store: Store) -> None:
    await store.boards.save(board(revision=1), NO_REVISION, 10)
    for expected in (NO_REVISION, 2):
        with pytest.raises(Conflict) as found:
            await store.boards.save(board(revision=3), expected, 10)
        assert found.value.details == PRESENT | {"revision": 1}
    await store.boards.save(board(revision=3), 1, 10)
    await store.boards.save(board(revision=4), ANY_REVISION, 10)

    assert await store.boards.find("web") == board(revision=4)


async def test_what_is_not_there_is_neither_changed_nor_deleted(store: Store) -> None:
    for expected in (ANY_REVISION, 5):
        with pytest.raises(Conflict) as found:
            await store.boards.save(board(), expected, 10)
        assert found.value.details == dict.fromkeys(PRESENT)
        with pytest.raises(Conflict):
            await store.boards.delete("web", expected)
    assert await store.boards.all() == []


async def test_all_that_is_told_of_a_board_can_be_written_as_json(store: Store) -> None:
    await store.boards.save(board(revision=2**53 - 1), NO_REVISION, 10)
    with pytest.raises(Conflict) as found:
        await store.boards.save(board(), NO_REVISION, 10)
    assert json.loads(json_text.encode(found.value.details))["revision"] == 2**53 - 1


async def test_when_a_board_was_opened_is_noted_and_its_revision_stays(store: Store) -> None:
    await store.boards.note_opened("web", SAVED)
    assert await store.boards.find("web") is None
    await store.boards.save(board(), NO_REVISION, 10)
    for time in (SAVED + 5, SAVED + 3):
        await store.boards.note_opened("web", time)
    assert await store.boards.find("web") == replace(board(), opened=SAVED + 5)


async def test_a_board_is_deleted_at_its_revision(store: Store) -> None:
    await store.boards.save(board(revision=1), NO_REVISION, 10)
    with pytest.raises(Conflict):
        await store.boards.delete("web", 2)
    await store.boards.delete("web", 1)
    assert await store.boards.all() == []


async def test_there_are_no_more_boards_than_may_be(store: Store) -> None:
    await store.boards.save(board("a"), NO_REVISION, 2)
    await store.boards.save(board("b"), NO_REVISION, 2)
    with pytest.raises(InvalidRequest, match="There are 2 boards already"):
        await store.boards.save(board("c"), NO_REVISION, 2)
    await store.boards.save(board("a", 8), 7, 2)
    assert [one.name for one in await store.boards.all()] == ["a", "b"]


async def test_of_processes_that_change_one_at_once_one_succeeds(database: Database) -> None:
    stores = [await database.open() for _ in range(4)]
    for expected in (NO_REVISION, 100):
        results = await asyncio.gather(
            *(
                store.boards.save(board(revision=100 + expected + i), expected, 10)
                for i, store in enumerate(stores)
            ),
            return_exceptions=True,
        )
        assert sorted(type(result).__name__ for result in results) == ["Conflict"] * 3 + ["NoneType"]
        await stores[0].boards.save(board(revision=100), ANY_REVISION, 10)


async def test_definitions_are_kept_as_boards_are_and_apart_from_them(store: Store) -> None:
    await store.boards.save(board(), NO_REVISION, 10)
    assert await store.definitions.find("web") is None
    definition = StoredBoard("web", 3, SAVED, "sum(request)", "team", SAVED)
    await store.definitions.save(definition, NO_REVISION, 1)
    with pytest.raises(InvalidRequest, match="There are 1 definitions already"):
        await store.definitions.save(replace(definition, name="other"), NO_REVISION, 1)
    with pytest.raises(Conflict, match="The definition web is at revision 3"):
        await store.definitions.delete("web", 4)
    await store.definitions.delete("web", 3)
    assert await store.boards.all() == [board()]
