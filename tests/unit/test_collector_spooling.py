"""The spooling writer: what goes to the store, what to the spool, and in which order it gets there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from collector.ingest.spooling import SpoolingWriter
from cube.errors import InvalidEvent, Overloaded, Unavailable
from cube.model.event import Event
from cube.spool import Replayer, Spool
from cube.spool.replayer import RETRY_SECONDS
from tests.stores import MemoryEvents

AWAY = Unavailable("The store is away.")


class Stage:
    """A spooling writer on a store in memory, and its spool."""

    def __init__(self, memory: MemoryEvents, spool: Spool) -> None:
        self.memory = memory
        self.spool = spool
        self.replayed = 0
        self.now = 0.0
        self.expired_before: int | None = None
        self.refused = 0
        replayer = Replayer(
            memory.save,
            spool,
            on_stored=self._replayed,
            on_refused=self._refused,
            expired_before=lambda: self.expired_before,
            clock=lambda: self.now,
        )
        self.writer = SpoolingWriter(
            memory,  # type: ignore[arg-type]  # it only saves
            spool,
            replayer,
            patience_seconds=0.05,
            look_seconds=0.05,
        )

    def _replayed(self, events: int) -> None:
        self.replayed += events

    def _refused(self, events: int, _reason: str) -> None:
        self.refused += events

    async def until_empty(self) -> None:
        async with asyncio.timeout(20):
            while self.spool.events or self.writer.away:  # noqa: ASYNC110 - counts are polled
                await asyncio.sleep(0.005)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    spool = await Spool.open(
        tmp_path, "db", "mark", limit_bytes=2**20, clock=lambda: 0, on_damage=lambda _: None
    )
    made = Stage(MemoryEvents(), spool)
    yield made
    made.memory.gate.set()
    await made.writer.close()


def events(*ids: Any, data: Any = None) -> list[Event]:
    return [Event("a", 0, id, data) for id in ids]


async def test_a_store_that_answers_gets_everything(stage: Stage) -> None:
    assert not await stage.writer.save("a", events(1, 2))
    assert stage.memory.saves == [[1, 2]]
    assert stage.spool.events == 0


async def test_while_it_is_away_all_is_spooled_and_nobody_waits_for_it(stage: Stage) -> None:
    stage.memory.error = AWAY
    assert len(await stage.writer.save("a", events(1, 2))) == 2
    tries = stage.memory.begun
    for number in range(50):
        assert len(await stage.writer.save("a", events(number))) == 1
    assert stage.memory.begun == tries
    stage.memory.error = None
    await stage.until_empty()
    assert sorted(stage.memory.stored) == list(range(50))
    assert stage.replayed == 52
    assert not await stage.writer.save("a", events(99))


async def test_an_event_whose_id_waits_goes_behind_it_and_the_others_do_not(stage: Stage) -> None:
    stage.memory.error = AWAY
    await stage.writer.save("a", events(1, 2, data="old"))
    stage.writer.away = False  # it has just come back, and nothing is replayed yet
    stage.memory.error = None
    assert set(await stage.writer.save("a", [*events(7), *events(1, data="new"), *events(8)])) == {1}
    assert stage.memory.saves[0] == [7, 8]
    await stage.until_empty()
    assert stage.memory.stored == {1: "new", 2: "old", 7: None, 8: None}


async def test_a_refusal_names_the_place_in_the_whole_commit(stage: Stage) -> None:
    stage.memory.error = AWAY
    await stage.writer.save("a", events(1))
    stage.writer.away = False
    stage.memory.error, stage.memory.refused = None, {9}
    with pytest.raises(InvalidEvent) as refusal:
        await stage.writer.save("a", events(1, 8, 9))
    assert refusal.value.details["index"] == 2


async def test_a_slow_commit_is_spooled_and_forgotten_there_when_it_ends_well(stage: Stage) -> None:
    stage.memory.gate.clear()
    assert len(await stage.writer.save("a", events(1, 2))) == 2
    assert len(await stage.writer.save("a", events(1, data="new"))) == 1
    assert stage.spool.events == 3
    await asyncio.sleep(0.1)
    assert stage.memory.begun == 1  # nothing is replayed beside it
    stage.memory.gate.set()
    await stage.until_empty()
    assert stage.memory.saves == [[1, 2], [1]]
    assert stage.replayed == 3
    assert stage.memory.stored[1] == "new"


async def test_a_slow_commit_that_fails_is_replayed(stage: Stage) -> None:
    stage.memory.gate.clear()
    await stage.writer.save("a", events(1, 2))
    stage.memory.error = AWAY
    stage.memory.gate.set()
    while stage.memory.begun < 1:  # noqa: ASYNC110 - a count is polled
        await asyncio.sleep(0.005)
    stage.memory.error = None
    await stage.until_empty()
    assert stage.memory.stored == {1: None, 2: None}


async def test_what_the_store_refuses_is_quarantined_and_the_rest_goes_on(stage: Stage) -> None:
    stage.memory.error = AWAY
    await stage.writer.save("a", events(*range(10)))
    await stage.writer.save("b", [Event("b", 0, 20), Event("b", 0, 21)])
    stage.memory.refused = {0, 5, 9, 21}
    stage.memory.error = None
    await stage.until_empty()
    assert sorted(stage.memory.stored) == [1, 2, 3, 4, 6, 7, 8, 20]
    assert (stage.replayed, stage.refused) == (8, 4)


async def test_what_expired_while_it_waited_is_quarantined_with_one_sentence(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    stage.memory.error = AWAY
    await stage.writer.save("a", [Event("a", time, time) for time in range(10)])
    stage.expired_before = 4
    stage.memory.error = None
    await stage.until_empty()
    assert sorted(stage.memory.stored) == [4, 5, 6, 7, 8, 9]
    assert (stage.replayed, stage.refused) == (6, 4)
    assert (
        caplog.text.count("4 events in the spool are quarantined: events before 1970-01-01T00:00:00.004Z")
        == 1
    )


async def test_an_event_that_cannot_be_stored_for_no_fault_of_its_own_stays_and_the_others_go_on(
    stage: Stage,
) -> None:
    """Later ones of its id stay behind it, so that no older event is written over a newer one."""
    stage.memory.error = AWAY
    await stage.writer.save("a", events(*range(10)))
    await stage.writer.save("a", events(3, data="second"))
    stage.memory.broken = lambda event: event.id == 3 and event.data is None
    stage.memory.error = None
    async with asyncio.timeout(20):
        while stage.spool.events > 2:  # noqa: ASYNC110 - a count is polled
            await asyncio.sleep(0.005)
    assert sorted(stage.memory.stored) == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    assert stage.refused == 0
    stage.memory.broken = lambda event: False
    stage.now += RETRY_SECONDS
    await stage.until_empty()
    assert stage.memory.stored[3] == "second"


async def test_a_type_whose_events_cannot_be_stored_holds_up_no_other(stage: Stage) -> None:
    stage.memory.error = AWAY
    await stage.writer.save("a", events(*range(5)))
    await stage.writer.save("b", [Event("b", 0, 20 + number) for number in range(5)])
    stage.memory.broken = lambda event: event.type == "a"
    stage.memory.error = None
    async with asyncio.timeout(20):
        while stage.spool.events > 5:  # noqa: ASYNC110 - a count is polled
            await asyncio.sleep(0.005)
    assert sorted(stage.memory.stored) == [20, 21, 22, 23, 24]
    stage.memory.broken = lambda event: False
    stage.now += RETRY_SECONDS
    await stage.until_empty()


async def test_a_store_at_fault_costs_no_event(stage: Stage) -> None:
    stage.memory.error = AWAY
    await stage.writer.save("a", events(*range(30)))
    stage.memory.broken = lambda event: True
    stage.memory.error = None
    tries = stage.memory.begun
    while stage.memory.begun < tries + 12:  # noqa: ASYNC110 - a count is polled
        await asyncio.sleep(0.005)
    assert (stage.spool.events, stage.refused) == (30, 0)
    stage.memory.broken = lambda event: False
    await stage.until_empty()
    assert sorted(stage.memory.stored) == list(range(30))


async def test_a_full_spool_refuses_until_the_store_is_back(stage: Stage) -> None:
    stage.memory.error = AWAY
    await stage.writer.save("a", events(1, data="x" * 900_000))
    with pytest.raises(Overloaded):
        await stage.writer.save("a", events(2, data="x" * 900_000))
    assert len(await stage.writer.save("a", events(3))) == 1
    stage.memory.error = None
    await stage.until_empty()
    assert not await stage.writer.save("a", events(2, data="x" * 900_000))
    assert sorted(stage.memory.stored) == [1, 2, 3]


async def test_a_fault_of_the_store_that_is_no_absence_is_told(stage: Stage) -> None:
    stage.memory.broken = lambda event: True
    with pytest.raises(RuntimeError):
        await stage.writer.save("a", events(1))
    assert stage.spool.events == 0


async def test_what_waits_at_a_stop_stays_for_the_next_start(tmp_path: Path) -> None:
    async def opened() -> Spool:
        return await Spool.open(
            tmp_path, "db", "mark", limit_bytes=2**20, clock=lambda: 0, on_damage=lambda _: None
        )

    first = Stage(MemoryEvents(error=AWAY), await opened())
    await first.writer.save("a", events(1, 2))
    await first.writer.close()
    second = Stage(MemoryEvents(), await opened())
    await second.until_empty()
    await second.writer.close()
    assert sorted(second.memory.stored) == [1, 2]


async def test_what_another_process_leaves_is_replayed_by_one_that_lives(
    stage: Stage, tmp_path: Path
) -> None:
    other = await Spool.open(
        tmp_path, "db", "mark", limit_bytes=2**20, clock=lambda: 0, on_damage=lambda _: None
    )
    await other.append(events(1, 2))
    await other.close()
    async with asyncio.timeout(20):
        while stage.replayed < 2:  # noqa: ASYNC110 - counts are polled
            await asyncio.sleep(0.005)
    assert stage.memory.saves == [[1, 2]]
