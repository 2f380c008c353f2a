"""The intake: shared writes, bounds, and who is told what."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import pytest
from prometheus_client import CollectorRegistry

from collector.ingest import intake as intake_module
from collector.ingest import pending as pending_module
from collector.ingest.batch import Batch
from collector.ingest.intake import Intake
from collector.ingest.quota import Quota
from collector.ingest.tally import IntakeTally
from collector.instrumentation import IntakeCounters
from cube.errors import InvalidEvent, Overloaded, Unavailable
from cube.model.event import Event
from cube.model.horizon import Horizon
from tests.stores import MemoryEvents


@dataclass
class Memory(MemoryEvents):
    """Tells which events it is about to spool, as a writer with a spool does."""

    spooled: set[object] = field(default_factory=set)

    async def save(  # type: ignore[override]
        self, type: str, events: Sequence[Event], *, more: bool = False
    ) -> Collection[int]:
        await super().save(type, events)
        return [place for place, event in enumerate(events) if event.id in self.spooled]

    async def ready(self) -> None:
        """Nothing beside it."""

    async def close(self) -> None:
        """Nothing to close."""


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
async def intake(memory: Memory, registry: CollectorRegistry) -> Intake:
    quota = Quota(max_events=20, max_bytes=1_000)
    return Intake(
        memory,
        horizon=Horizon(past_ms=1_000, future_ms=500),
        clock=lambda: 0,
        quota=quota,
        commit_events=4,
        counters=IntakeCounters(registry, quota),
        tally=IntakeTally(lambda: 0, str),
    )


def batch(*ids: int | str, type: str = "a", size: int = 1) -> Batch:
    return Batch([Event(type, 0, id) for id in ids], size)


def mixed(*types: str) -> Batch:
    return Batch([Event(type, 0, place) for place, type in enumerate(types)], 10)


async def until_begun(memory: Memory, count: int) -> None:
    async with asyncio.timeout(5):
        while memory.begun < count:  # noqa: ASYNC110 - the store under test has no event to wait for
            await asyncio.sleep(0)


async def test_a_lone_batch_is_written_at_once_and_alone(intake: Intake, memory: Memory) -> None:
    await intake.accept(batch(1, 2))
    assert [(type, [event.id for event in events]) for type, events in memory.commits] == [("a", [1, 2])]


async def test_it_is_acknowledged_only_after_the_write(intake: Intake, memory: Memory) -> None:
    memory.gate.clear()
    stored = intake.offer(batch(1))
    await until_begun(memory, 1)
    assert not stored.done()
    memory.gate.set()
    await stored
    assert memory.ids == [1]


async def test_batches_that_wait_share_the_next_write_in_order(intake: Intake, memory: Memory) -> None:
    memory.gate.clear()
    first = intake.offer(batch(1))
    await until_begun(memory, 1)
    others = [intake.offer(batch(number)) for number in (2, 3, 4)]
    memory.gate.set()
    await asyncio.gather(first, *others)
    assert [[event.id for event in events] for _, events in memory.commits] == [[1], [2, 3, 4]]


async def test_a_store_that_joins_saves_gets_some_at_once_and_the_others_together(
    intake: Intake, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake_module, "MOST_HANDED_OVER", 2)
    memory.joins = 2
    memory.gate.clear()
    offered = [intake.offer(batch(1)), intake.offer(batch(2, 3))]
    await until_begun(memory, 2)
    offered += [intake.offer(batch(number)) for number in (4, 5, 6)]
    await until_begun(memory, 3)
    memory.gate.set()
    await asyncio.gather(*offered)
    await intake.accept(batch(7, 8, 9))
    await intake.close()

    commits = [[event.id for event in events] for _, events in memory.commits]
    assert commits == [[1], [2, 3], [4, 5, 6], [7, 8, 9]]
    with pytest.raises(Unavailable):
        intake.offer(batch(10))


async def test_what_comes_behind_a_large_batch_waits_for_it(intake: Intake, memory: Memory) -> None:
    """Some of it may be refused, and the rest be stored a second time: nothing may be between."""
    memory.joins = 2
    memory.gate.clear()
    offered = [intake.offer(batch(1, 2, 3))]
    await until_begun(memory, 1)
    offered.append(intake.offer(batch(4)))
    await asyncio.sleep(0)
    assert memory.begun == 1
    memory.gate.set()
    await asyncio.gather(*offered)

    assert memory.ids == [1, 2, 3, 4]


async def test_what_was_handed_over_is_waited_for_at_a_close(intake: Intake, memory: Memory) -> None:
    memory.joins = 2
    memory.gate.clear()
    offered = intake.offer(batch(1))
    await until_begun(memory, 1)
    closing = asyncio.ensure_future(intake.close())
    await asyncio.sleep(0)
    assert not closing.done()
    memory.gate.set()
    await closing
    assert offered.done()
    assert memory.ids == [1]


async def commits_of_three(intake: Intake, memory: Memory) -> None:
    """Have 1 stored, then 2, 3 and 4 together."""
    memory.gate.clear()
    offered = [intake.offer(batch(1))]
    await until_begun(memory, 1)
    offered += [intake.offer(batch(number)) for number in (2, 3, 4)]
    memory.gate.set()
    await asyncio.gather(*offered)


async def some_turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_commit_waits_for_as_many_as_were_just_told(
    intake: Intake, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pending_module, "ANSWER_SECONDS", 3_600)
    await commits_of_three(intake, memory)
    offered = [intake.offer(batch(5)), intake.offer(batch(6))]
    await some_turns()
    assert len(memory.commits) == 2
    offered.append(intake.offer(batch(7)))
    await asyncio.gather(*offered)
    assert [[event.id for event in events] for _, events in memory.commits] == [[1], [2, 3, 4], [5, 6, 7]]


async def test_those_who_do_not_come_again_are_not_waited_for_long(
    intake: Intake, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pending_module, "ANSWER_SECONDS", 0)
    await commits_of_three(intake, memory)
    await intake.accept(batch(5))
    monkeypatch.setattr(pending_module, "ANSWER_SECONDS", 3_600)
    await intake.accept(batch(6))  # behind one that was alone nobody is waited for
    await intake.accept(batch(7))
    assert [len(events) for _, events in memory.commits] == [1, 3, 1, 1, 1]


async def test_a_store_that_joins_saves_waits_by_itself(
    intake: Intake, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pending_module, "ANSWER_SECONDS", 3_600)
    memory.joins = 2
    await intake.accept(batch(1, 2, 3))
    await intake.accept(batch(4))
    assert [len(events) for _, events in memory.commits] == [3, 1]


async def test_a_close_does_not_wait_for_those_who_were_told(
    intake: Intake, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pending_module, "ANSWER_SECONDS", 3_600)
    await commits_of_three(intake, memory)
    last = intake.offer(batch(5))
    async with asyncio.timeout(5):
        await intake.close()
    assert last.done()
    assert memory.ids == [1, 2, 3, 4, 5]


async def test_a_write_takes_no_more_than_its_bound_but_any_single_batch(
    intake: Intake, memory: Memory
) -> None:
    memory.gate.clear()
    first = intake.offer(batch(1))
    await until_begun(memory, 1)
    others = [intake.offer(batch(2, 3, 4)), intake.offer(batch(5, 6)), intake.offer(batch(7))]
    memory.gate.set()
    await asyncio.gather(first, *others)
    assert [len(events) for _, events in memory.commits] == [1, 3, 3]
    await intake.accept(batch(*range(10)))
    assert len(memory.commits[-1][1]) == 10


async def test_types_do_not_wait_for_each_other(intake: Intake, memory: Memory) -> None:
    memory.gate.clear()
    both = [intake.offer(batch(1)), intake.offer(batch(2, type="b"))]
    await until_begun(memory, 2)
    memory.gate.set()
    await asyncio.gather(*both)


async def test_a_batch_of_several_types_is_acknowledged_when_all_are_stored(
    intake: Intake, memory: Memory
) -> None:
    await intake.accept(mixed("a", "b", "a"))
    assert {type: [event.id for event in events] for type, events in memory.commits} == {
        "a": [0, 2],
        "b": [1],
    }


async def test_only_the_guilty_of_a_shared_write_are_refused(intake: Intake, memory: Memory) -> None:
    memory.gate.clear()
    memory.refused = {4, 6}
    first = intake.offer(batch(1))
    await until_begun(memory, 1)
    others = [
        intake.offer(batch(2)),
        intake.offer(batch(3, 4)),
        intake.offer(batch(5)),
        intake.offer(batch(6)),
    ]
    memory.gate.set()
    results = await asyncio.gather(first, *others, return_exceptions=True)
    assert memory.ids == [1, 2, 5]
    assert [isinstance(result, InvalidEvent) for result in results] == [False, False, True, False, True]
    assert isinstance(results[2], InvalidEvent)
    assert results[2].details == {"field": "time", "index": 1, "id": 4}


async def test_the_index_of_a_refusal_is_that_of_the_request(intake: Intake, memory: Memory) -> None:
    memory.refused = {3}
    with pytest.raises(InvalidEvent) as refused:
        await intake.accept(mixed("a", "b", "a", "b"))
    assert refused.value.details["index"] == 3


async def test_an_error_of_the_store_is_told_to_all_that_shared_the_write(
    intake: Intake, memory: Memory
) -> None:
    memory.error = Unavailable("The store is away.")
    results = await asyncio.gather(
        intake.accept(batch(1)),
        intake.accept(batch(2)),
        intake.accept(mixed("a", "b")),
        return_exceptions=True,
    )
    assert [str(result) for result in results] == ["The store is away."] * 3
    memory.error = None
    await intake.accept(batch(3))
    assert memory.ids == [3]


async def test_a_commit_outlives_the_request_that_it_was_made_for(intake: Intake, memory: Memory) -> None:
    memory.gate.clear()
    gone = asyncio.create_task(intake.accept(batch(1)))
    also_gone = asyncio.create_task(intake.accept(mixed("a", "b")))
    await until_begun(memory, 2)
    gone.cancel()
    also_gone.cancel()
    await asyncio.wait([gone, also_gone])
    memory.gate.set()
    await intake.close()
    assert sorted(map(str, memory.ids)) == ["0", "1", "1"]


async def test_over_a_bound_a_batch_is_refused_until_there_is_room(intake: Intake, memory: Memory) -> None:
    memory.gate.clear()
    full = intake.offer(batch(*range(20), size=1_000))
    with pytest.raises(Overloaded):
        intake.offer(batch(21))
    with pytest.raises(Overloaded):
        intake.check()
    memory.gate.set()
    await full
    await intake.accept(batch(22))
    assert memory.ids == [*range(20), 22]


async def test_the_bytes_that_wait_are_bounded_too(intake: Intake, memory: Memory) -> None:
    memory.gate.clear()
    full = intake.offer(batch(1, size=1_000))
    with pytest.raises(Overloaded):
        intake.offer(batch(2))
    memory.gate.set()
    await full


async def test_a_batch_over_the_bounds_is_taken_when_nothing_else_waits(
    intake: Intake, memory: Memory
) -> None:
    await intake.accept(batch(*range(50), size=5_000))
    assert len(memory.ids) == 50


async def test_who_can_wait_waits_for_room(intake: Intake, memory: Memory) -> None:
    memory.gate.clear()
    full = intake.offer(batch(*range(20)))
    waiting = [asyncio.create_task(intake.room(batch(number))) for number in (11, 12)]
    await until_begun(memory, 1)
    assert not any(task.done() for task in waiting)
    memory.gate.set()
    await asyncio.gather(full, *waiting)


async def test_a_type_that_floods_leaves_room_for_others(intake: Intake, memory: Memory) -> None:
    memory.gate.clear()
    offered = [intake.offer(batch(*range(4 * part, 4 * part + 4))) for part in range(3)]
    with pytest.raises(Overloaded):
        intake.offer(batch(12))
    offered += [intake.offer(batch(part, type="b")) for part in range(4)]
    offered.append(intake.offer(mixed("c", "d")))
    with pytest.raises(Overloaded):
        intake.offer(mixed("a", "e"))
    memory.gate.set()
    await asyncio.gather(*offered)
    assert len(memory.ids) == 18


async def test_what_is_only_spooled_is_told_to_whom_it_belongs(intake: Intake, memory: Memory) -> None:
    memory.spooled = {2, 3, 5}
    memory.gate.clear()
    first = intake.offer(batch(0))
    await until_begun(memory, 1)
    others = [intake.offer(batch(1)), intake.offer(batch(2, 3)), intake.offer(batch(5))]
    memory.gate.set()
    assert await asyncio.gather(first, *others) == [0, 0, 2, 1]
    memory.spooled = {0, 1}
    assert await intake.accept(mixed("a", "b", "b")) == 2


async def test_closing_stores_what_was_accepted_and_takes_nothing_more(
    intake: Intake, memory: Memory
) -> None:
    memory.gate.clear()
    offered = [intake.offer(batch(1)), intake.offer(batch(2, type="b")), intake.offer(batch(3))]
    closing = asyncio.create_task(intake.close())
    await until_begun(memory, 2)
    assert not closing.done()
    with pytest.raises(Unavailable):
        intake.offer(batch(4))
    memory.gate.set()
    await closing
    await asyncio.gather(*offered)
    assert sorted(map(str, memory.ids)) == ["1", "2", "3"]


async def test_an_empty_batch_needs_no_write(intake: Intake, memory: Memory) -> None:
    await intake.accept(batch())
    assert memory.begun == 0


async def test_what_is_stored_and_what_waits_is_counted(
    intake: Intake, memory: Memory, registry: CollectorRegistry
) -> None:
    memory.gate.clear()
    stored = intake.offer(mixed("a", "b", "b"))
    assert registry.get_sample_value("cube_waiting_events") == 3
    memory.gate.set()
    await stored
    memory.refused = {9}
    with pytest.raises(InvalidEvent):
        await intake.accept(batch(9))
    assert registry.get_sample_value("cube_waiting_events") == 0
    assert registry.get_sample_value("cube_waiting_bytes") == 0
    assert registry.get_sample_value("cube_events_stored_total") == 3
    assert registry.get_sample_value("cube_events_failed_total", {"error": "InvalidEvent"}) == 1
