"""Computations in flight: who joins, who waits for what, who is cancelled, who learns of a failure."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from cube.store.bucket_revisions import BucketRevisions
from evaluator.engine.single_flight import FlightPart, Gaps, SingleFlight
from evaluator.engine.states import Encoded
from evaluator.query.limits import DeadlineExceeded, LimitExceeded
from evaluator.scheduling.scheduler import QUICK_SECONDS, QueryCost

TOO_MUCH = LimitExceeded("too much", reason="groups")


class Computing:
    """A computation that waits before each of its parts, of one bucket each, and keeps what it was asked."""

    def __init__(self, fails: dict[int, Exception] | None = None) -> None:
        self.asked: list[dict[int, int]] = []
        self.cancelled = 0
        self._fails = fails or {}
        self._go = asyncio.Semaphore(0)

    async def __call__(self, gaps: Gaps) -> AsyncGenerator[FlightPart[dict[int, bytes]], None]:
        self.asked.append(dict(gaps))
        for bucket, revision in gaps.items():
            try:
                await self._go.acquire()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
            if bucket in self._fails:
                raise self._fails[bucket]
            yield FlightPart(BucketRevisions.of({bucket: revision}), {bucket: b"%d" % revision})

    def go(self, parts: int = 100) -> Computing:
        """Let so many parts be computed."""
        for _ in range(parts):
            self._go.release()
        return self


def ask(
    flights: SingleFlight, computing: Computing, gaps: dict[int, int], cost: QueryCost | None = None
) -> asyncio.Task[Encoded]:
    """Ask for some gaps; what is returned has only those that the parts were taken for."""

    async def asked() -> Encoded:
        parts = await flights.parts("key", BucketRevisions.of(gaps), computing, cost or QueryCost())
        found = [bucket for part in parts for bucket in part.gaps]
        assert len(set(found)) == len(found)
        return {bucket: part.contents[bucket] for part in parts for bucket in part.gaps}

    return asyncio.create_task(asked())


async def begun(*arguments: Any) -> asyncio.Task[Encoded]:
    """Ask, and return when the question has been taken in."""
    task = ask(*arguments)
    await settled()
    return task


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def right(gaps: dict[int, int]) -> Encoded:
    return {bucket: b"%d" % revision for bucket, revision in gaps.items()}


async def test_only_what_is_not_in_flight_is_computed() -> None:
    flights, computing = SingleFlight(), Computing()
    first = await begun(flights, computing, {0: 7, 1: 8})
    second = await begun(flights, computing, {1: 8, 2: 9})
    computing.go()
    assert await first == right({0: 7, 1: 8})
    assert await second == right({1: 8, 2: 9})
    assert computing.asked == [{0: 7, 1: 8}, {2: 9}]


async def test_another_revision_is_another_computation() -> None:
    flights, computing = SingleFlight(), Computing()
    tasks = [await begun(flights, computing, {0: revision}) for revision in (1, 2)]
    computing.go()
    assert [await task for task in tasks] == [{0: b"1"}, {0: b"2"}]


@pytest.mark.parametrize("newest_first", [False, True])
async def test_a_computation_gives_only_the_buckets_it_was_joined_for(newest_first: bool) -> None:
    flights, computing = SingleFlight(), Computing()
    gaps = [{0: 7, 1: 8}, {0: 9, 1: 8}][:: -1 if newest_first else 1]
    tasks = [await begun(flights, computing, some) for some in gaps]
    assert [len(asked) for asked in computing.asked] == [2, 1]
    computing.go()
    for task, some in zip(tasks, gaps, strict=True):
        assert await task == right(some)


async def test_nothing_is_remembered() -> None:
    flights, computing = SingleFlight(), Computing().go()
    for count in (1, 2):
        await ask(flights, computing, {0: 1})
        assert len(computing.asked) == count


async def test_a_computation_goes_on_while_anybody_waits() -> None:
    flights, computing = SingleFlight(), Computing()
    first, second = [await begun(flights, computing, {0: 1}) for _ in range(2)]
    first.cancel()
    await asyncio.wait([first])
    computing.go()
    assert await second == {0: b"1"}
    assert (len(computing.asked), computing.cancelled) == (1, 0)


async def test_a_computation_nobody_waits_for_is_cancelled_and_not_joined() -> None:
    flights, computing = SingleFlight(), Computing()
    first = await begun(flights, computing, {0: 1})
    first.cancel()
    await asyncio.wait([first])
    second = await begun(flights, computing, {0: 1})
    assert (len(computing.asked), computing.cancelled) == (2, 1)
    computing.go()
    assert await second == {0: b"1"}
    await flights.close()


async def test_who_has_all_it_asked_for_does_not_wait_for_the_rest() -> None:
    flights, computing = SingleFlight(), Computing()
    large = await begun(flights, computing, {0: 1, 1: 1, 2: 1, 3: 1})
    half = await begun(flights, computing, {0: 1, 1: 1})
    computing.go(2)
    assert await half == right({0: 1, 1: 1})
    assert not large.done()
    computing.go()
    assert await large == right({0: 1, 1: 1, 2: 1, 3: 1})
    assert len(computing.asked) == 1


async def test_what_has_much_more_to_do_is_not_waited_for() -> None:
    flights, large, small = SingleFlight(), Computing(), Computing()
    everything = dict.fromkeys(range(100), 1)
    slow = await begun(flights, large, everything)
    quick = [await begun(flights, small, {99: 1}) for _ in range(8)]
    assert small.asked == [{99: 1}]  # they share with each other
    small.go()
    assert await asyncio.gather(*quick) == [{99: b"1"}] * 8
    assert not slow.done()
    large.go()
    assert await slow == right(everything)


async def test_what_a_larger_one_has_done_already_is_taken_from_it() -> None:
    flights, large, none = SingleFlight(), Computing(), Computing()
    slow = await begun(flights, large, dict.fromkeys(range(100), 1))
    large.go(3)
    await settled()
    assert await ask(flights, none, {2: 1}) == {2: b"1"}
    assert none.asked == []
    slow.cancel()
    await asyncio.wait([slow])
    await flights.close()
    assert large.cancelled == 1


async def test_a_failure_costs_nobody_but_who_began() -> None:
    flights, failing, own = SingleFlight(), Computing({1: DeadlineExceeded(30)}), Computing().go()
    gaps = {0: 1, 1: 1, 2: 1}
    first = await begun(flights, failing, gaps)
    others = [await begun(flights, own, gaps) for _ in range(3)]
    failing.go()
    with pytest.raises(DeadlineExceeded):
        await first
    assert await asyncio.gather(*others) == [right(gaps)] * 3
    assert own.asked == [{1: 1, 2: 1}] * 3  # what was done before the failure is good


async def test_a_failure_of_ones_own_is_raised_at_once_and_not_remembered() -> None:
    flights, hanging, failing = SingleFlight(), Computing(), Computing({5: ValueError("broken")}).go()
    first = await begun(flights, hanging, {0: 1})
    with pytest.raises(ValueError, match="broken"):
        await ask(flights, failing, {0: 1, 5: 1})
    hanging.go()
    assert await first == {0: b"1"}
    assert await ask(flights, Computing().go(), {0: 1, 5: 1}) == right({0: 1, 5: 1})


async def test_what_is_too_much_for_all_who_ask_is_found_out_once() -> None:
    flights, failing, none = SingleFlight(), Computing({1: TOO_MUCH}), Computing().go()
    first = await begun(flights, failing, {0: 1, 1: 1})
    equal = await begun(flights, none, {0: 1, 1: 1})
    half = await begun(flights, none, {1: 1})
    failing.go()
    for task in (first, equal):
        with pytest.raises(LimitExceeded):
            await task
    assert await half == {1: b"1"}
    assert none.asked == [{1: 1}]


async def test_what_waits_for_a_place_of_long_ones_is_joined_by_long_ones_alone() -> None:
    flights, parked, own = SingleFlight(), Computing(), Computing().go()
    cost, long = QueryCost(), QueryCost()
    cost.is_parked, long.seconds = True, 2 * QUICK_SECONDS
    first = await begun(flights, parked, {0: 1}, cost)
    waits = await begun(flights, own, {0: 1}, long)
    assert await ask(flights, own, {0: 1}) == {0: b"1"}
    assert not waits.done()
    parked.go()
    assert await first == await waits == {0: b"1"}
    assert own.asked == [{0: 1}]


async def test_who_is_waited_for_ranks_as_who_waits() -> None:
    flights, computing = SingleFlight(), Computing()
    cost = QueryCost(reach=1_000)
    cost.seconds = 20.0
    tasks = [await begun(flights, computing, {0: 1}, each) for each in (cost, QueryCost(reach=10))]
    assert cost.priority == (0.0, 10)
    computing.go()
    assert await asyncio.gather(*tasks) == [{0: b"1"}] * 2
