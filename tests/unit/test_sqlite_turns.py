"""Processes that write to one file do so in turns, and nobody waits for long for one that is gone."""

from __future__ import annotations

import asyncio
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cube.model.event import Event
from cube.model.tier import Span
from cube.store.sqlite import open_store
from cube.store.sqlite.turns import Turns

LONG = 600.0
"""Nobody waits so long in a test that passes."""


def pipes(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir() if path.is_fifo()]


class Watched(Turns):
    """Turns that tell when somebody begins to wait."""

    def __init__(self, path: Path, patience_seconds: float = LONG) -> None:
        self.waits = threading.Event()
        super().__init__(path, patience_seconds)

    def _wait(self, seconds: float) -> bool:
        self.waits.set()
        return super()._wait(seconds)


@pytest.fixture
def both(tmp_path: Path) -> Iterator[tuple[Watched, Watched]]:
    turns = Watched(tmp_path / "a"), Watched(tmp_path / "a")
    yield turns
    for one in turns:
        one.close()


def test_who_comes_second_waits_until_the_first_is_done(both: tuple[Watched, Watched]) -> None:
    first, second = both
    done: list[str] = []

    def follow() -> None:
        with second.turn():
            done.append("second")

    thread = threading.Thread(target=follow)
    with first.turn():
        thread.start()
        assert second.waits.wait(LONG)
        done.append("first")
    thread.join()
    assert done == ["first", "second"]


def test_of_the_turns_that_each_process_brings_one_is_left(both: tuple[Watched, Watched]) -> None:
    first, second = both
    assert first.take()
    second._patience_seconds = 0
    assert not second.take()
    first.give()
    assert second.take()


def test_a_turn_that_went_with_its_process_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "a"
    killed, left, third = Watched(path), Watched(path), Watched(path)
    assert killed.take()
    killed.close()
    left._patience_seconds = 0.01
    with left.turn():  # it goes on without
        pass
    assert third.take()
    left.close()
    third.close()


def test_the_pipe_is_its_owners_alone(tmp_path: Path) -> None:
    Turns(tmp_path / "a").close()
    mode = (tmp_path / "a").stat().st_mode
    assert stat.S_ISFIFO(mode)
    assert stat.S_IMODE(mode) == 0o600


async def test_stores_that_take_turns_store_everything(tmp_path: Path) -> None:
    stores = [await open_store(tmp_path / "data", "cube", turns=tmp_path) for _ in range(2)]

    async def save(number: int) -> None:
        for place in range(10):
            await stores[number].events.save("a", [Event("a", place, f"{number}-{place}", {})])

    await asyncio.gather(save(0), save(1))
    async with stores[0].events.read() as session:
        counts = [len(block) async for block in session.scan("a", Span(0, 10), [])]
    assert sum(counts) == 20
    assert pipes(tmp_path) == ["cube.turns"]
    for store in stores:
        await store.close()
