"""What the store refuses leaves its batch where that costs no other, which keep their place."""

from __future__ import annotations

import asyncio

from prometheus_client import CollectorRegistry

from collector.ingest.intake import Intake
from collector.ingest.pending import PendingBatch
from cube.errors import ExpiredEvent, InvalidEvent
from cube.model.event import Event
from tests.unit.test_collector_intake import Memory, batch, intake, memory, mixed, registry, until_begun

__all__ = ["intake", "memory", "registry"]


async def test_what_is_refused_leaves_and_the_others_are_stored_before_what_came_later(
    intake: Intake, memory: Memory, registry: CollectorRegistry
) -> None:
    memory.gate.clear()
    memory.refused = {1, 4, 5}
    told: list[dict[int, InvalidEvent]] = [{}, {}, {}]
    offered = [
        intake.offer(batch(*ids), each) for ids, each in zip([(0, 1, 2), (4, 5), (6,)], told, strict=True)
    ]
    await until_begun(memory, 1)
    memory.gate.set()
    assert await asyncio.gather(*offered) == [0, 0, 0]
    assert memory.ids == [0, 2, 6]
    assert [{place: error.details for place, error in each.items()} for each in told] == [
        {1: {"field": "time", "index": 0, "id": 1}},
        {place: {"field": "time", "index": 0, "id": 4 + place} for place in (0, 1)},
        {},
    ]
    assert registry.get_sample_value("cube_events_accepted_total") == 6
    assert registry.get_sample_value("cube_events_stored_total") == 3
    assert registry.get_sample_value("cube_events_failed_total", {"error": "InvalidEvent"}) == 3
    assert intake._tally.told()["refusals"]["store"]["events"] == 3
    for figure in ("events", "bytes"):
        assert registry.get_sample_value(f"cube_waiting_{figure}") == 0


async def test_the_places_are_those_of_the_request_whatever_the_types(
    intake: Intake, memory: Memory, registry: CollectorRegistry
) -> None:
    memory.refused = {1, 3}
    refused: dict[int, InvalidEvent] = {}
    assert await intake.offer(mixed("a", "b", "a", "a"), refused) == 0
    assert (sorted(refused), sorted(memory.ids)) == ([1, 3], [0, 2])
    for figure in ("events", "bytes"):
        assert registry.get_sample_value(f"cube_waiting_{figure}") == 0


async def test_all_that_have_expired_leave_at_once() -> None:
    events = [Event("a", time, time) for time in (5, 1, 9, 4, 5)]
    settled: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    refused: dict[int, InvalidEvent] = {}
    pending = PendingBatch(events, 5, settled, [0, 2, 4, 6, 8], refused)
    error = ExpiredEvent("Got …", before=5, index=1)
    assert pending.leave_out(error, 1) == 2
    assert [event.time for event in pending.events] == [5, 9, 5]
    assert sorted(refused) == [2, 6]
    assert refused[6].message.startswith("Got the time 1970-01-01T00:00:00.004Z; events of type a before")
    assert pending.leave_out(InvalidEvent("Too deep.", index=2), 2) == 1
    assert refused[8].message == "Too deep."
    assert PendingBatch(events, 5, settled).leave_out(error, 1) == 0


async def test_what_came_at_the_same_time_is_handed_over_though_some_of_it_may_be_refused(
    intake: Intake, memory: Memory
) -> None:
    memory.joins = 2
    memory.refused = {1}
    refused: list[dict[int, InvalidEvent]] = [{}, {}]
    memory.gate.clear()
    offered = [
        intake.offer_quietly(batch(*ids), each) for ids, each in zip([(1, 2), (3, 4)], refused, strict=True)
    ]
    await until_begun(memory, 2)
    memory.gate.set()

    assert [await one for one in offered if one is not None] == [0, 0]
    assert [list(each) for each in refused] == [[0], []]
    assert sorted(map(str, memory.ids)) == ["2", "3", "4"]
